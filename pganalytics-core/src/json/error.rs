//! Errors of the JSON codec.

/// Why a push document can't be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is not JSON.
    #[error("not valid JSON: {message}")]
    Syntax {
        /// What is wrong, with line and column.
        message: String,
    },
    /// It is JSON, but not a push document.
    #[error("not a push document: {message}")]
    Shape {
        /// What is wrong.
        message: String,
    },
    /// It exceeds a limit.
    #[error("{what}: {given} exceeds the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size, as far as it was counted.
        given: u64,
        /// The limit.
        limit: u64,
    },
}

impl JsonError {
    /// A short name that stays the same, for APIs and counters.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "bad_json",
            Self::Shape { .. } => "bad_document",
            Self::TooLarge { .. } => "document_too_large",
        }
    }
}

/// Why one metric of a document was rejected; its neighbours were not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metric {index}: {message}")]
pub struct MetricError {
    /// Its position in `metrics`, from 0.
    pub index: usize,
    /// A short name that stays the same, for APIs and counters.
    pub code: &'static str,
    /// What is wrong and where, for people.
    pub message: String,
}

/// A [`MetricError`] before its position is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: clipped(message.into()) }
    }
}

/// Longest message.
const LONGEST: usize = 400;

/// What is wrong with a document may be quoted from it, at any length; nobody's
/// log should hold that.
pub(super) fn clipped(message: String) -> String {
    if message.len() <= LONGEST {
        return message;
    }
    let end = message.floor_char_boundary(LONGEST);
    let (kept, _) = message.split_at(end);
    format!("{kept}…")
}

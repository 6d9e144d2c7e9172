//! Errors of the frame codec.

use crate::error::ModelError;

/// Why bytes are not a frame, or a batch can't become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The bytes do not begin with a frame's magic.
    #[error("not a frame: it does not begin with {expected:?}")]
    NotAFrame {
        /// The magic that was expected.
        expected: &'static str,
    },
    /// The format is another one than this version reads.
    #[error(
        "frame format {major}.{minor} is not the format {supported} that this version of pgAnalytics reads; \
         upgrade the {} of the two",
        if major > supported { "receiving side" } else { "sending side, or begin with an empty folder: the older" }
    )]
    UnsupportedVersion {
        /// Major version of the frame.
        major: u8,
        /// Minor version of the frame.
        minor: u8,
        /// Major version that is read here.
        supported: u8,
    },
    /// The checksum does not fit the bytes: they were changed on their way.
    #[error("frame of {len} bytes: checksum is {found:08x}, stored is {stored:08x}; it was damaged or cut")]
    Checksum {
        /// Length of the frame.
        len: usize,
        /// Checksum of the bytes.
        found: u32,
        /// Checksum that the frame carries.
        stored: u32,
    },
    /// The bytes end too early.
    #[error("{what} is cut: {needed} more bytes were expected, {left} are left")]
    Cut {
        /// The part that is cut.
        what: &'static str,
        /// Bytes needed.
        needed: usize,
        /// Bytes left.
        left: usize,
    },
    /// A part of the frame makes no sense.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// The part.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A column's bytes make no sense.
    #[error("column {column}: {why}")]
    BadColumn {
        /// The column's name.
        column: String,
        /// What is wrong with it.
        why: String,
    },
    /// A page can't be read; the others can.
    #[error("page {page}: {why}")]
    BadPage {
        /// Its number among the pages of its column.
        page: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The bytes could not be read from where they are kept.
    #[error("the frame can't be read: {0}")]
    Unavailable(String),
    /// A limit is exceeded.
    #[error("{what}: {given} exceeds the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        given: u64,
        /// The limit.
        limit: u64,
    },
    /// There is no column of this number.
    #[error("the frame has no column number {index}; it has {columns}")]
    NoSuchColumn {
        /// Number asked for.
        index: usize,
        /// Columns that there are.
        columns: usize,
    },
    /// The frame only names its schema, and nobody here knows it. It must be
    /// sent again with the schema.
    #[error("the schema {fingerprint:016x} that the frame names is not known here; send it along")]
    UnknownSchema {
        /// What the frame names it by.
        fingerprint: u64,
    },
    /// Rows were asked for, but the frame says what its stream has lost.
    #[error("the frame is a gap and holds no rows")]
    NoRows,
    /// A batch was asked for, but the frame does not hold exactly one scrape.
    #[error("the frame holds {scrapes} scrapes; a batch has exactly one")]
    NotABatch {
        /// Scrapes of the frame.
        scrapes: usize,
    },
    /// Frames that are to become one block do not belong together.
    #[error("frames can't be compacted into one block: {why}")]
    Mismatch {
        /// What differs.
        why: &'static str,
    },
    /// The values do not fit the data model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl FrameError {
    /// A short name that stays the same, for APIs and counters.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAFrame { .. } => "not_a_frame",
            Self::UnsupportedVersion { .. } => "unsupported_frame_version",
            Self::Checksum { .. } => "bad_checksum",
            Self::Cut { .. } => "frame_cut",
            Self::Malformed { .. } => "malformed_frame",
            Self::BadColumn { .. } => "bad_column",
            Self::BadPage { .. } => "bad_page",
            Self::Unavailable(_) => "unavailable",
            Self::TooLarge { .. } => "frame_too_large",
            Self::NoSuchColumn { .. } => "no_such_column",
            Self::UnknownSchema { .. } => "unknown_schema",
            Self::NoRows => "no_rows",
            Self::NotABatch { .. } => "not_a_batch",
            Self::Mismatch { .. } => "frames_mismatch",
            Self::Model(_) => "bad_schema",
        }
    }

    pub(crate) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed { what, why: why.into() }
    }
}

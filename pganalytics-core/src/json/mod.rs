//! The second, human door (API first; bodies being written).
#![allow(missing_docs)]

use std::sync::Arc;

use crate::{Batch, Schema, Source, Timestamp};

#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    #[error("not valid JSON: {message} at line {line}, column {column}")]
    Syntax { line: usize, column: usize, message: String },
    #[error("the document: {0}")]
    BadDocument(String),
    #[error("{what}: {given} exceeds the limit of {limit}")]
    TooLarge { what: &'static str, given: u64, limit: u64 },
}

impl JsonError {
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "bad_json",
            Self::BadDocument(_) => "bad_document",
            Self::TooLarge { .. } => "document_too_large",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metric {index}: {message}")]
pub struct MetricError {
    pub index: usize,
    pub code: &'static str,
    pub message: String,
}

#[derive(Debug, Clone)]
pub struct JsonLimits {
    pub max_bytes: usize,
    pub max_depth: usize,
    pub max_metrics: usize,
    pub max_rows: usize,
    pub max_text_bytes: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_depth: 64, max_metrics: 1000, max_rows: 1_000_000, max_text_bytes: 1 << 20 }
    }
}

/// What a metric gets that does not say otherwise.
#[derive(Debug, Clone)]
pub struct Defaults {
    pub source: Source,
    pub received_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct PushDocument {
    pub collector_id: Option<String>,
    pub hostname: Option<String>,
    pub version: Option<String>,
    pub timestamp: Option<Timestamp>,
    pub metrics: Vec<Result<Batch, MetricError>>,
}

impl PushDocument {
    pub fn parse(
        _document: &[u8],
        _limits: &JsonLimits,
        _lookup: &dyn Fn(&str) -> Option<Arc<Schema>>,
        _defaults: &Defaults,
    ) -> Result<Self, JsonError> {
        Err(JsonError::BadDocument("not written yet".to_owned()))
    }
}

#[must_use]
pub fn to_metric(_batch: &Batch) -> serde_json::Value {
    serde_json::Value::Null
}

#[must_use]
pub fn push_document(_collector_id: &str, _batches: &[Batch]) -> String {
    String::new()
}

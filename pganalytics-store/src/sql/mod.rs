//! SQL over every measurement (being written).

/// (being written)
#[derive(Debug, thiserror::Error)]
#[error("being written")]
pub struct SqlError;
/// (being written)
#[derive(Debug)]
pub struct SqlQuery;
/// Rows of an answer, batch by batch.
pub type RecordStream = datafusion::physical_plan::SendableRecordBatchStream;

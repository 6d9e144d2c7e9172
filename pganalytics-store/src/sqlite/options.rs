//! Settings of the store, with defaults that are right for most.

use crate::sql::EngineOptions;

/// Settings of a [`SqliteStore`](super::SqliteStore).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// Most bytes of frames that wait for the writer; appends over it wait.
    pub queue_bytes: u32,
    /// Most bytes of frames in one transaction.
    pub group_bytes: u32,
    /// Most calls in one transaction.
    pub group_calls: usize,
    /// Connections for reading that are kept open. More are made when more
    /// queries read at once.
    pub idle_readers: usize,
    /// How queries are run.
    pub engine: EngineOptions,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            queue_bytes: 64 << 20,
            group_bytes: 8 << 20,
            group_calls: 256,
            idle_readers: 4,
            engine: EngineOptions::default(),
        }
    }
}

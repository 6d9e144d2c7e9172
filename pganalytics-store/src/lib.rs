//! Stores pgAnalytics metrics and answers SQL over them.
//!
//! * [`MetricStore`] takes frames exactly once, keeps them as long as their
//!   measurement asks, and answers SQL.
//! * [`MetaStore`] keeps what a server must remember besides: users, tokens,
//!   collectors.
//! * [`memory`] and [`sqlite`] are adapters of both; [`conformance`] is the
//!   suite that every adapter passes, yours too.
//! * [`sql`] is the engine that block stores share: every measurement is a
//!   table, on every store the same.

pub mod chunk;
pub mod compaction;
pub mod conformance;
pub mod error;
pub mod ledger;
pub mod memory;
pub mod meta_store;
pub mod metric_store;
pub mod retention;
pub mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod stored_schema;

pub use chunk::{Chunk, ChunkSelect, ChunkSource, StoredMeasurement};
pub use error::StoreError;
pub use meta_store::MetaStore;
pub use metric_store::{AppendOutcome, FrameOutcome, Job, JobReport, MetricStore, Origin, SeenSource};
pub use sql::{RecordStream, SqlError, SqlQuery};

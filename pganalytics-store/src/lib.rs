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
//!
//! # Store a sample, ask for it
//! A store needs no set-up: this makes the file, keeps one scrape of a
//! measurement of your own and reads it back with SQL.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use pganalytics_core::{
//!     Batch, CollectorId, Column, ColumnKind, ColumnType, CounterFamily, Epoch, InstanceId,
//!     MeasurementName, RowsBuilder, Schema, Scrape, ScrapeClock, ScrapeKind, Seq, ServerId, Source, StreamId,
//!     TenantId, Timestamp, Value, frame::VerifiedFrame,
//! };
//! use pganalytics_store::{
//!     MetricStore, Origin,
//!     sql::{SqlGuard, SqlPrincipal, to_json_rows},
//!     sqlite::{SqliteOptions, SqliteStore},
//! };
//!
//! # let folder = tempfile::tempdir()?;
//! let store = SqliteStore::open(folder.path(), SqliteOptions::default())?;
//!
//! // What is measured, and where.
//! let schema = Arc::new(Schema::new(
//!     MeasurementName::new("app_queue")?,
//!     CounterFamily::None,
//!     vec![
//!         Column::new("queue", ColumnKind::Key, ColumnType::Text),
//!         Column::new("waiting", ColumnKind::Gauge, ColumnType::Int),
//!     ],
//! )?);
//! let server_id = ServerId::of_host("app1");
//! let source = Source {
//!     server_id,
//!     instance_id: InstanceId::of_address(server_id, "app1:8080"),
//!     server: "app1".into(),
//!     database: None,
//! };
//!
//! // One scrape. A keyframe holds all rows; later ones may hold what changed.
//! let mut rows = RowsBuilder::new(&schema);
//! rows.push(&[Value::Text("mail"), Value::Int(3)])?;
//! rows.push(&[Value::Text("billing"), Value::Int(0)])?;
//! let now = Timestamp::from_secs(1_769_860_800);
//! let scrape = Scrape {
//!     collected_at: now,
//!     interval_micros: 60_000_000,
//!     kind: ScrapeKind::Keyframe,
//!     epoch: Epoch::default(),
//!     clock: ScrapeClock::default(),
//! };
//! let batch = Batch { rows: rows.finish(), schema, source, scrape };
//!
//! // Frames of a stream are numbered from 1. Sent again, one is a duplicate.
//! let origin =
//!     Origin::new(TenantId::DEFAULT, CollectorId::random(), now);
//! let stream = StreamId::random();
//! let frame = VerifiedFrame::of_batch(Seq(1), &batch)?;
//! let first = store.append(&origin, stream, vec![frame.clone()]).await?;
//! let again = store.append(&origin, stream, vec![frame]).await?;
//! assert_eq!((first.accepted(), again.duplicates()), (1, 1));
//!
//! // SQL goes through the guard, which knows who asks.
//! let asks = SqlPrincipal::new(TenantId::DEFAULT);
//! let query = SqlGuard::default().check(
//!     "SELECT server, queue, waiting FROM app_queue WHERE waiting > 0",
//!     Vec::new(),
//!     asks,
//! )?;
//! let answer = store.query(query).await?.into_answer().await?;
//! let rows = to_json_rows(&answer.batches[0]);
//! assert_eq!(serde_json::to_string(&rows)?, r#"[["app1","mail",3]]"#);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! # Keep it small
//! Run [`Job::Compact`] and [`Job::Retain`] now and then (the server does, every
//! few minutes): small frames of finished hours become blocks, and what is older
//! than its measurement's retention is dropped. Both may be run at any time.
//!
//! # Write a store of your own
//! Implement [`MetricStore`], [`MetaStore`] and [`ChunkSource`], give the last to
//! [`sql::Engine`], and let [`conformance::run`] tell what is missing.

pub mod chunk;
pub mod compaction;
pub mod conformance;
pub mod document_store;
pub mod error;
pub mod fork;
pub mod ledger;
pub mod memory;
pub mod meta_store;
pub mod metric_store;
pub mod quarantine;
pub mod quota;
pub mod retention;
pub mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod stored_schema;
pub mod stream_account;
pub mod unnumbered;

pub use chunk::{Chunk, ChunkSelect, ChunkSource, Pick, StoredMeasurement};
pub use document_store::{Document, DocumentStore};
pub use error::StoreError;
pub use fork::{Fork, StoredFork};
pub use meta_store::MetaStore;
pub use metric_store::{
    AppendOutcome, FrameOutcome, Job, JobReport, MetricStore, Origin, Owned, SeenSource, StoredGap,
};
pub use quarantine::Quarantined;
pub use quota::Quotas;
pub use sql::{RecordStream, SqlError, SqlQuery};
pub use stream_account::StreamAccount;
pub use unnumbered::{PushKey, Unnumbered};

//! SQL over every measurement, the same on each block store.
//!
//! ```text
//!  text ── SqlGuard ──▶ SqlQuery ── Engine ──▶ RecordStream
//!                                     │
//!                    ChunkSource ─────┘  (frames and blocks of one tenant)
//! ```
//!
//! A store keeps one [`Engine`] and answers queries with
//! [`Engine::execute`]; a server keeps one [`SqlGuard`] and lets users' text
//! through it. There is no other way to a [`SqlQuery`].
//!
//! # Tables
//! For each measurement `m` in the store, and for each that the guard
//! [knows beforehand](SqlGuard::knowing), then empty:
//!
//! | table | rows |
//! |---|---|
//! | `m` | each scrape × each live row; values are carried forward over scrapes that brought only changes |
//! | `m_delta` | each change: counters as their increase since the scrape before, gauges as they are |
//! | `m_latest` | the last live row of each source and key |
//!
//! Columns `time`, `collector_id`, `server_id`, `instance_id`, `server` and
//! `database_name` come first, then the measurement's own, then, in `m_delta`,
//! `delta_seconds` and `delta_quality`, in the others `carried_over_gap`. A column
//! of a measurement that has the name of one of these gets a `_` behind it.
//!
//! `pganalytics_gaps` has what agents declared lost, `pganalytics_streams` what became
//! of the frames of each of their streams.
//!
//! Measurements of events ([`Presence::Append`](pganalytics_core::Presence))
//! have rows as they came in `m`, the newest of each key in `m_latest`, and no
//! `m_delta`.
//!
//! # What must stay true
//! * No query sees another tenant's rows: the tenant comes from the principal
//!   and is part of every [`ChunkSelect`](crate::ChunkSelect).
//! * To answer from a time on, [`LOOKBACK`] more is read, for `m_delta`
//!   [`GONE_MEMORY`] on top; what lies before only primes the state. The same
//!   rows come out whatever the range asked for, as long as a source's keyframes
//!   are at most an hour apart. Where they are not, a row whose state before is
//!   not in what was read has an unknown increase.
//! * What frames that are missing may have changed is marked: values carried over
//!   a gap are, until the next keyframe (`carried_over_gap`), and an increase over
//!   one is a `lower_bound`. Across a step of the agent's clock there is no
//!   increase.
//! * Increases follow [`pganalytics_core::increase`]: never negative, never
//!   inflated. A counter that other objects keep
//!   ([`Schema::with_derived`](pganalytics_core::Schema::with_derived)) has no
//!   increase where it fell, whatever the row's quality.
//! * A query ends at its deadline, holds no more memory than its share, and
//!   runs on threads of its own.

mod arrays;
mod budget;
mod changes;
mod convert;
mod copies;
mod counted;
mod cuts;
mod decoded;
mod ends;
mod engine;
mod error;
mod fact_cache;
mod facts;
mod functions;
mod gaps;
mod gather;
mod guard;
mod history;
pub(crate) mod mending;
mod merge;
mod naming;
mod narrow;
mod output;
mod own_table;
mod pick;
mod pieces;
mod pushdown;
mod query;
mod queue;
mod reader;
mod rows;
mod runner;
mod scan;
mod shape;
mod stamps;
mod stream;
mod stream_accounts;
mod sums;
mod table;
#[cfg(test)]
mod tests;
mod trusted;
mod underway;
mod watch;
mod whole;
#[cfg(target_os = "linux")]
pub mod worker;

use std::time::Duration;

/// Arrow's types, of the version that answers have.
pub use datafusion::arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
};

pub use self::{
    engine::{Engine, EngineOptions},
    error::SqlError,
    guard::{SqlGuard, SqlLimits},
    mending::Mending,
    output::{column_types, csv_header, to_csv, to_json_rows},
    pieces::ArrowPieces,
    query::{SqlParam, SqlPrincipal, SqlQuery},
    runner::{InProcess, PerPrincipal, SqlRunner},
    stream::{Answer, RecordStream},
    trusted::{TrustedInProcess, TrustedQueries},
};

/// How far before the first time asked for is read. Keyframes come at least
/// once an hour; the rest is for late ones.
pub const LOOKBACK: Duration = Duration::from_secs(75 * 60);

/// How long a key that is gone is remembered. One that comes back within this
/// time is compared with its last row; later it counts as new.
pub const GONE_MEMORY: Duration = Duration::from_secs(30 * 60);

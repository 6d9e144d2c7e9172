//! Data model, measurement catalog and frame codec of pgAnalytics.
//!
//! This crate is pure: it does no IO, is not async and knows neither SQL
//! drivers nor HTTP. Everything else in pgAnalytics speaks in its types.
//!
//! * [`Schema`] says what a measurement looks like, [`Source`] where a sample
//!   comes from, [`Batch`] holds what one scrape brought, column by column.
//! * [`Block`] holds many scrapes of one source; stores keep their history so.
//! * [`catalog`] holds what pgAnalytics collects: one file a measurement.
//! * [`frame`] is the one binary form of batches and blocks, on the wire and at
//!   rest; [`json`] is the format for people.
//! * [`autoconfig`] derives the settings of a PostgreSQL server from memory and processors.
//! * [`privacy`] takes out of statements what people put into them.
//! * [`Ranges`] are sets of sequence numbers: what is stored, acknowledged, lost.
//! * [`Epoch`] says when counters began to count, so that increases can be
//!   computed exactly where they are read.

pub mod autoconfig;
pub mod batch;
pub mod catalog;
pub mod epoch;
pub mod error;
pub mod frame;
pub mod id;
pub mod increase;
pub mod json;
pub mod mask;
pub mod parts;
pub mod privacy;
pub mod push_reply;
pub mod ranges;
pub mod rows;
pub mod schema;
pub mod secret;
pub mod source;
pub mod stream;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod value;

pub use batch::{Batch, Block, Scrape, ScrapeClock, ScrapeKind};
pub use epoch::{CounterFamily, Epoch};
pub use error::ModelError;
pub use id::{CollectorId, InstanceId, MeasurementName, Seq, ServerId, StreamId, TenantId};
pub use mask::Mask;
pub use push_reply::{PushReply, PushStatus, RefusedRange, StreamRange, UnreadableItem};
pub use ranges::Ranges;
pub use rows::{Rows, RowsBuilder};
pub use schema::{Aggregate, Column, ColumnKind, ColumnType, Presence, Schema};
pub use secret::Secret;
pub use source::Source;
pub use stream::{CutSource, Gap, GapReason, Incarnation, Link, Position};
pub use time::Timestamp;
pub use value::{ColumnData, TextValues, Value, Values};

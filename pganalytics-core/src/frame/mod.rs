//! The one binary form of batches and blocks: on the wire, in the spool, at
//! rest.
//!
//! ```text
//! "PGAF"  major  minor  kind
//! length of the head, then the head (see `header`)
//! CRC32C over all before it (4 bytes)
//! pages, where there are more rows than fit one; each with its CRC32C
//! the schema, unless it is known where the frame goes (see `schema_blob`)
//! ```
//!
//! Integers of the frame are of variable length unless it says otherwise; fixed
//! ones are little-endian. Values stand in strips, column by column (see
//! `strip`): up to [`PAGE_ROWS`] rows in the head, more in pages behind it, each
//! of which is read by itself ([`FrameHead`]). Rows that are sorted by key, as
//! those of blocks, have a directory of keys ([`KeyDirectory`]).
//!
//! A schema takes most of a small frame. So it stands at the end, from where it
//! can be taken off ([`split_schema`]), and the frame names it by its
//! fingerprint. [`encode_push`] puts frames and the schemas that the receiver
//! does not know yet into one body.
//!
//! # Invariants
//! * What was encoded comes back equal, bit for bit.
//! * Foreign bytes give a frame or a [`FrameError`]; never a panic, never more
//!   memory than [`Limits`] says, and time in proportion to the bytes and the
//!   rows that they announce.
//! * A flipped bit costs the page that it is in, and no other; one in the head
//!   costs the frame. Nothing is ever read wrong for it.
//! * A page that is read by itself gives what it gives as part of the whole.
//! * A reader of major version 2 reads every minor version: it skips what later
//!   ones append to the head, and sections that it does not know.
//!
//! ```
//! use pganalytics_core::{*, frame::{self, Frame, Limits}};
//! let schema = Schema::new(
//!     MeasurementName::new("app_queue")?,
//!     CounterFamily::None,
//!     vec![
//!         Column::new("queue", ColumnKind::Key, ColumnType::Text),
//!         Column::new("waiting", ColumnKind::Gauge, ColumnType::Int),
//!     ],
//! )?;
//! let mut rows = RowsBuilder::new(&schema);
//! rows.push(&[Value::Text("mail"), Value::Int(3)])?;
//! let server_id = ServerId::random();
//! let batch = Batch {
//!     rows: rows.finish(),
//!     schema: schema.into(),
//!     source: Source {
//!         server_id,
//!         instance_id: InstanceId::of_address(server_id, "localhost:5432"),
//!         server: "main".into(),
//!         database: None,
//!     },
//!     scrape: Scrape {
//!         collected_at: Timestamp::from_secs(1_769_860_800),
//!         interval_micros: 60_000_000,
//!         kind: ScrapeKind::Keyframe,
//!         epoch: Epoch::default(),
//!         clock: ScrapeClock::default(),
//!     },
//! };
//! let frame = Frame::parse(frame::encode(&batch)?.into(), &Limits::default())?;
//! assert_eq!(frame.column(1)?.get(0), Value::Int(3));
//! assert_eq!(frame.to_batch()?, batch);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blob;
mod compact;
#[cfg(test)]
mod compact_tests;
mod content;
mod encode;
mod envelope;
mod error;
mod facts;
#[cfg(test)]
mod facts_tests;
mod gap;
mod header;
mod keys;
mod limits;
mod links;
mod mask;
mod number;
#[cfg(test)]
mod page_tests;
mod paged;
mod paged_read;
mod parse;
mod present;
#[cfg(test)]
mod present_tests;
mod push;
mod ranges;
mod read;
mod schema_blob;
mod scrapes;
mod strip;
mod strip_place;
#[cfg(test)]
mod tests;
mod text;
mod wire;

pub use self::{
    compact::compact,
    content::{Content, VerifiedFrame},
    encode::{encode, encode_block, encode_stored, encode_without_schema},
    error::FrameError,
    facts::{BlockFacts, ColumnEnds},
    gap::encode_gap,
    keys::KeyDirectory,
    limits::{Limits, PushLimits},
    parse::{FindSchema, Frame, decoded_bytes, schema_fingerprint, split_schema},
    present::present,
    push::{PushBody, encode_push},
    read::{FrameBytes, FrameHead},
    schema_blob::{decode_schema, encode_schema, schema_len},
};

/// Content type of a push of frames.
pub const CONTENT_TYPE: &str = "application/vnd.pganalytics.frame";

const MAGIC: &[u8; 4] = b"PGAF";
const MAJOR: u8 = 2;
const MINOR: u8 = 0;
/// Rows of a page.
pub const PAGE_ROWS: usize = 1024;

//! The one binary form of batches and blocks: on the wire, in the spool, at
//! rest.
//!
//! ```text
//! "PGAF"  major  minor
//! header: its length, its packed length, then packed (see `header`)
//! columns, one behind the other
//! other sections: scrape of each row (1), gone rows (2)
//! CRC32C over all before it (4 bytes)
//! ```
//!
//! Integers of the frame are of variable length unless it says otherwise; fixed
//! ones are little-endian. Each column decodes on its own. Numbers are stored
//! as in `number`, texts as in `text`, masks as in `mask`.
//!
//! # Invariants
//! * What was encoded comes back equal, bit for bit.
//! * Foreign bytes give a frame or a [`FrameError`]; never a panic, never more
//!   memory than [`Limits`] says, and time in proportion to the bytes and the
//!   rows that they announce.
//! * A reader of major version 1 reads every minor version: it skips what later
//!   ones append to the header, and sections that it does not know.
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
mod column;
mod compact;
#[cfg(test)]
mod compact_tests;
mod content;
mod encode;
mod envelope;
mod error;
mod gap;
mod header;
mod limits;
mod mask;
mod number;
mod parse;
mod push;
mod schema_blob;
#[cfg(test)]
mod tests;
mod text;
mod wire;

pub use self::{
    compact::compact,
    content::{Content, VerifiedFrame},
    encode::{encode, encode_block},
    error::FrameError,
    gap::encode_gap,
    limits::{Limits, PushLimits},
    parse::{FindSchema, Frame, decoded_bytes, split_schema},
    push::{PushBody, encode_push},
    schema_blob::{decode_schema, encode_schema, schema_len},
};

/// Content type of a push of frames.
pub const CONTENT_TYPE: &str = "application/vnd.pganalytics.frame";

const MAGIC: &[u8; 4] = b"PGAF";
const MAJOR: u8 = 2;
const MINOR: u8 = 0;
/// The section that says for each row which scrape it belongs to.
const SECTION_SCRAPES: u64 = 1;
/// The section that says which rows are gone.
const SECTION_GONE: u64 = 2;

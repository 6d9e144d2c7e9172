//! The body of a push: frames of one stream, each with its place in it.
//!
//! ```text
//! magic "PGAP", version 2, stream (16 bytes)
//! compression (a byte); if there is any, the length of what is compressed
//! items, each begun by a byte:
//!   1: a schema that frames here or later may name: length, schema
//!   2: the incarnation of the frames that follow (8 bytes)
//!   3: a frame: its number as the difference to the one before, how many
//!      numbers before it its base stands (0: none), length, frame
//! ```
//! Frames of small servers are some hundred bytes, most of which the others
//! have too (ids, names, times); so the items are compressed together where
//! that makes them smaller.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::{
    FrameError, PushLimits, decode_schema, encode_schema,
    limits::Limits,
    schema_blob::schema_len,
    wire::{Reader, put_signed, put_slice, put_varint},
};
use crate::{
    id::{Seq, StreamId},
    schema::Schema,
    stream::{Incarnation, Position},
};

const MAGIC: &[u8; 4] = b"PGAP";
const MAGIC_TEXT: &str = "PGAP";
const VERSION: u8 = 2;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Level of zstd.
const LEVEL: i32 = 3;

const SCHEMA: u8 = 1;
const INCARNATION: u8 = 2;
const FRAME: u8 = 3;

/// Frames of one stream, as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushBody {
    /// The stream.
    pub stream: StreamId,
    /// Schemas that frames name.
    pub schemas: Vec<Arc<Schema>>,
    /// The frames and their places; they share one piece of memory and are not
    /// looked into yet.
    pub frames: Vec<(Position, Bytes)>,
}

/// The body of a push. `schemas` are those that the receiver may not know yet
/// and that the frames only name.
///
/// ```
/// use pganalytics_core::{Seq, StreamId, frame::{PushBody, PushLimits, encode_push}};
/// let stream = StreamId::random();
/// let body = encode_push(stream, &[], &[(Seq(7).into(), b"a frame".as_slice().into())]);
/// let read = PushBody::parse(body.into(), &PushLimits::default())?;
/// assert_eq!((read.stream, read.frames.len()), (stream, 1));
/// # Ok::<(), pganalytics_core::frame::FrameError>(())
/// ```
#[must_use]
pub fn encode_push(stream: StreamId, schemas: &[Arc<Schema>], frames: &[(Position, Bytes)]) -> Vec<u8> {
    let size: usize = frames.iter().map(|(_, bytes)| bytes.len() + 12).sum();
    let mut items = Vec::with_capacity(size);
    for schema in schemas {
        items.push(SCHEMA);
        put_slice(&mut items, &encode_schema(schema));
    }
    let mut incarnation = Incarnation::UNKNOWN;
    let mut before = 0_u64;
    for (position, bytes) in frames {
        if position.incarnation != incarnation {
            incarnation = position.incarnation;
            items.push(INCARNATION);
            items.extend_from_slice(&incarnation.0.to_le_bytes());
        }
        let seq = position.seq.0;
        items.push(FRAME);
        put_signed(&mut items, seq.wrapping_sub(before).cast_signed());
        put_varint(&mut items, position.base.map_or(0, |base| seq.saturating_sub(base.0)));
        put_slice(&mut items, bytes);
        before = seq;
    }
    let packed = zstd::bulk::compress(&items, LEVEL).ok().filter(|packed| packed.len() < items.len());
    let mut out = Vec::with_capacity(packed.as_ref().unwrap_or(&items).len() + 32);
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.extend_from_slice(stream.as_uuid().as_bytes());
    if let Some(packed) = packed {
        out.push(ZSTD);
        put_varint(&mut out, items.len() as u64);
        out.extend_from_slice(&packed);
    } else {
        out.push(PLAIN);
        out.extend_from_slice(&items);
    }
    out
}

impl PushBody {
    /// How many bytes [`PushBody::parse`] takes for what is compressed, as the
    /// body announces it.
    ///
    /// # Errors
    /// When it is no push.
    pub fn expanded_len(body: &[u8]) -> Result<u64, FrameError> {
        let (_, mut reader) = open(body)?;
        match reader.byte()? {
            PLAIN => Ok(0),
            _ => reader.varint(),
        }
    }

    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is no push, an item overruns it, or a limit is exceeded. Whether
    /// each frame is good is not looked at.
    #[expect(clippy::needless_pass_by_value, reason = "the frames keep a share of it")]
    pub fn parse(body: Bytes, limits: &PushLimits) -> Result<Self, FrameError> {
        let (stream, mut reader) = open(&body)?;
        let items = match reader.byte()? {
            PLAIN => body.slice_ref(reader.rest()),
            ZSTD => {
                let len = reader.count("push, expanded,", limits.max_expanded_bytes)?;
                let items = zstd::bulk::decompress(reader.rest(), len)
                    .map_err(|error| FrameError::malformed("push", error.to_string()))?;
                if items.len() != len {
                    return Err(FrameError::malformed("push", format!("{} bytes, {len} were announced", items.len())));
                }
                items.into()
            }
            other => return Err(FrameError::malformed("push", format!("unknown compression {other}"))),
        };
        let mut push = Self { stream, schemas: Vec::new(), frames: Vec::new() };
        push.read(&items, limits)?;
        Ok(push)
    }

    fn read(&mut self, items: &Bytes, limits: &PushLimits) -> Result<(), FrameError> {
        let mut schemas_left = limits.max_schema_bytes;
        let mut reader = Reader::new("push", items);
        let mut incarnation = Incarnation::UNKNOWN;
        let mut before = 0_u64;
        while !reader.rest().is_empty() {
            match reader.byte()? {
                SCHEMA => {
                    within("schemas in one push", self.schemas.len() + 1, limits.max_frames)?;
                    let bytes = reader.slice()?;
                    let len = usize::try_from(schema_len(bytes)?).unwrap_or(usize::MAX);
                    let taken = (limits.max_schema_bytes - schemas_left).saturating_add(len);
                    within("bytes of schemas in one push", taken, limits.max_schema_bytes)?;
                    schemas_left -= len;
                    let own = Limits { max_header_bytes: len, ..Limits::default() };
                    self.schemas.push(decode_schema(bytes, &own)?);
                }
                INCARNATION => incarnation = Incarnation(u64::from_le_bytes(reader.array()?)),
                FRAME => {
                    within("frames in one push", self.frames.len() + 1, limits.max_frames)?;
                    let seq = before.wrapping_add(reader.signed()?.cast_unsigned());
                    let base = match reader.varint()? {
                        0 => None,
                        back => Some(Seq(seq.checked_sub(back).ok_or_else(|| {
                            FrameError::malformed("push", format!("frame {seq}: its base would stand {back} before it"))
                        })?)),
                    };
                    let len = reader.count("frame in a push", limits.max_frame_bytes)?;
                    let bytes = items.slice_ref(reader.take(len)?);
                    self.frames.push((Position { seq: Seq(seq), base, incarnation }, bytes));
                    before = seq;
                }
                other => return Err(FrameError::malformed("push", format!("unknown item {other}"))),
            }
        }
        Ok(())
    }
}

fn open(body: &[u8]) -> Result<(StreamId, Reader<'_>), FrameError> {
    if !body.starts_with(MAGIC) {
        return Err(FrameError::NotAFrame { expected: MAGIC_TEXT });
    }
    let mut reader = Reader::new("push", body);
    reader.take(MAGIC.len())?;
    let version = reader.byte()?;
    if version != VERSION {
        return Err(FrameError::UnsupportedVersion { major: version, minor: 0, supported: VERSION });
    }
    Ok((StreamId::from_uuid(Uuid::from_bytes(reader.array()?)), reader))
}

fn within(what: &'static str, given: usize, limit: usize) -> Result<(), FrameError> {
    if given > limit {
        return Err(FrameError::TooLarge { what, given: given as u64, limit: limit as u64 });
    }
    Ok(())
}

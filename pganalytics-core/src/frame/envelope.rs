//! What all frames begin with, whatever they hold.
//!
//! ```text
//! "PGAF"  major  minor  kind
//! length of the head, then the head
//! CRC32C over all before it (4 bytes)
//! ```

use bytes::Bytes;

use super::{
    FrameError, Limits, MAGIC, MAJOR, MINOR,
    wire::{Reader, put_varint},
};

const MAGIC_TEXT: &str = "PGAF";
/// Magic, version, kind, and the longest length.
pub(super) const LONGEST_PREFIX: usize = 7 + 10;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows, all of them in the head.
    Packed = 0,
    /// Rows; the head says where their pages stand behind it.
    Paged = 1,
    /// What a stream has lost.
    Gap = 2,
}

/// A frame whose head is whole and undamaged.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    pub(super) kind: Kind,
    pub(super) head: Bytes,
    /// Where what follows the head's checksum begins.
    pub(super) end: usize,
}

/// Puts a head into its envelope.
pub(super) fn seal(kind: Kind, head: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len() + LONGEST_PREFIX + 4);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[MAJOR, MINOR, kind as u8]);
    put_varint(&mut out, head.len() as u64);
    out.extend_from_slice(head);
    let checksum = crc32c::crc32c(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// Reads what comes before the head, and says how long the head is.
pub(super) fn open_prefix<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(Kind, usize, Reader<'a>), FrameError> {
    if !bytes.starts_with(MAGIC) {
        return Err(FrameError::NotAFrame { expected: MAGIC_TEXT });
    }
    let mut reader = Reader::new("frame", bytes);
    reader.take(MAGIC.len())?;
    let [major, minor] = reader.array()?;
    if major != MAJOR {
        return Err(FrameError::UnsupportedVersion { major, minor, supported: MAJOR });
    }
    let kind = match reader.byte()? {
        0 => Kind::Packed,
        1 => Kind::Paged,
        2 => Kind::Gap,
        other => return Err(FrameError::malformed("frame", format!("unknown kind {other}"))),
    };
    let len = reader.count("frame", limits.max_frame_bytes)?;
    Ok((kind, len, reader))
}

impl Envelope {
    /// Checks magic, version and the checksum of the head.
    pub(super) fn open(bytes: &Bytes, limits: &Limits) -> Result<Self, FrameError> {
        if bytes.len() > limits.max_frame_bytes {
            let limit = limits.max_frame_bytes as u64;
            return Err(FrameError::TooLarge { what: "frame", given: bytes.len() as u64, limit });
        }
        let (kind, len, mut reader) = open_prefix(bytes, limits)?;
        let start = bytes.len() - reader.rest().len();
        reader.take(len)?;
        let stored = u32::from_le_bytes(reader.array()?);
        let end = bytes.len() - reader.rest().len();
        let found = crc32c::crc32c(bytes.get(..start + len).unwrap_or_default());
        if found != stored {
            return Err(FrameError::Checksum { len: end, found, stored });
        }
        Ok(Self { kind, head: bytes.slice(start..start + len), end })
    }
}

//! What is written at once: a group, which is a start and then its frames.
//!
//! ```text
//! start: "PGRP" | length of the rest u32 | CRC32C of the rest u32
//!        | first seq u64 | frames u32 | bytes of the frames u32
//!        | written at i64 (µs) | incarnation u64
//!        | states u32, each: length u32, name; length u32, state
//! frame: length u32 | seq u64 | base u64 (0: none) | CRC32C u32 | payload
//! ```
//!
//! Numbers are little-endian. A frame's checksum is of its length, seq, base and
//! payload, so a damaged frame costs itself: those behind it are found again, even
//! when the length is what was damaged.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use pganalytics_core::{Incarnation, Seq};

pub(super) const MARK: &[u8; 4] = b"PGRP";
/// Mark, length and checksum of a start.
const START_HEAD: usize = 12;
/// Least bytes of a start.
pub(super) const LEAST_START: usize = START_HEAD + 36;
/// What stands before a frame's payload.
pub(super) const FRAME_HEAD: usize = 24;

/// What collectors want to be told after a restart.
pub(super) type States = BTreeMap<Arc<str>, Bytes>;

/// A frame that is about to be written.
#[derive(Debug, Clone)]
pub(super) struct Numbered {
    pub(super) seq: u64,
    pub(super) base: Option<u64>,
    pub(super) bytes: Bytes,
}

/// What the start of a group says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) first: u64,
    pub(super) frames: u32,
    pub(super) written_at: i64,
    pub(super) incarnation: Incarnation,
    pub(super) states: States,
}

/// A frame that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) seq: u64,
    pub(super) base: Option<u64>,
    /// Where the record begins.
    pub(super) at: usize,
    /// Where its payload stands.
    pub(super) payload: Range<usize>,
}

/// The bytes of a group, and where each record begins. `None` when it is too big
/// to be told.
pub(super) fn encode(
    first: u64,
    written_at: i64,
    incarnation: Incarnation,
    states: &States,
    frames: &[Numbered],
) -> Option<(Vec<u8>, Vec<usize>)> {
    let size: usize = frames.iter().map(|frame| FRAME_HEAD + frame.bytes.len()).sum();
    let mut out = Vec::with_capacity(LEAST_START + size);
    out.extend_from_slice(MARK);
    out.extend_from_slice(&[0; START_HEAD - 4]);
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&u32::try_from(frames.len()).ok()?.to_le_bytes());
    out.extend_from_slice(&u32::try_from(size).ok()?.to_le_bytes());
    out.extend_from_slice(&written_at.to_le_bytes());
    out.extend_from_slice(&incarnation.0.to_le_bytes());
    out.extend_from_slice(&u32::try_from(states.len()).ok()?.to_le_bytes());
    for part in states.iter().flat_map(|(name, state)| [name.as_bytes(), state]) {
        out.extend_from_slice(&u32::try_from(part.len()).ok()?.to_le_bytes());
        out.extend_from_slice(part);
    }
    let rest = out.get(START_HEAD..)?;
    let (length, whole) = (u32::try_from(rest.len()).ok()?, crc32c::crc32c(rest));
    out.get_mut(4..8)?.copy_from_slice(&length.to_le_bytes());
    out.get_mut(8..12)?.copy_from_slice(&whole.to_le_bytes());
    let mut places = Vec::with_capacity(frames.len());
    for frame in frames {
        places.push(out.len());
        let length = u32::try_from(frame.bytes.len()).ok()?;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&frame.seq.to_le_bytes());
        out.extend_from_slice(&frame.base.unwrap_or_default().to_le_bytes());
        let checksum = checksum(length, frame.seq, frame.base, &frame.bytes);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&frame.bytes);
    }
    Some((out, places))
}

fn checksum(length: u32, seq: u64, base: Option<u64>, payload: &[u8]) -> u32 {
    let head = crc32c::crc32c(&length.to_le_bytes());
    let head = crc32c::crc32c_append(head, &seq.to_le_bytes());
    let head = crc32c::crc32c_append(head, &base.unwrap_or_default().to_le_bytes());
    crc32c::crc32c_append(head, payload)
}

/// The start at `at`, where its frames begin, and where they end as it says. That
/// may be behind the end of the bytes. `None` when there is no whole one.
pub(super) fn start(bytes: &[u8], at: usize) -> Option<(Start, Range<usize>)> {
    let mut reader = Reader { bytes, at };
    if reader.slice(4)? != MARK {
        return None;
    }
    let length = usize::try_from(reader.u32()?).ok()?;
    let checksum = reader.u32()?;
    let end = reader.at.checked_add(length)?;
    if crc32c::crc32c(bytes.get(reader.at..end)?) != checksum {
        return None;
    }
    let first = reader.u64()?;
    let frames = reader.u32()?;
    let size = usize::try_from(reader.u32()?).ok()?;
    let written_at = reader.u64()?.cast_signed();
    let incarnation = Incarnation(reader.u64()?);
    let mut states = States::new();
    for _ in 0..reader.u32()? {
        let name = std::str::from_utf8(reader.part()?).ok()?;
        let state = Bytes::copy_from_slice(reader.part()?);
        states.insert(name.into(), state);
    }
    // Numbers have an end, whatever the bytes say.
    first.checked_add(u64::from(frames))?;
    let frames_at = end..end.checked_add(size)?;
    (reader.at == end).then_some((Start { first, frames, written_at, incarnation, states }, frames_at))
}

/// The next start from `at` on.
pub(super) fn next_start(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    memchr::memmem::find_iter(rest, MARK).map(|found| at + found).find(|&found| start(bytes, found).is_some())
}

/// The frame at `at`, if it is whole and undamaged.
pub(super) fn frame(bytes: &[u8], at: usize) -> Option<Found> {
    let mut reader = Reader { bytes, at };
    let length = reader.u32()?;
    let seq = reader.u64()?;
    let base = Some(reader.u64()?).filter(|&base| base != 0);
    let stored = reader.u32()?;
    let end = reader.at.checked_add(usize::try_from(length).ok()?)?;
    let payload = reader.at..end;
    (checksum(length, seq, base, bytes.get(payload.clone())?) == stored).then_some(Found { seq, base, at, payload })
}

/// The first undamaged frame from `at` on whose number is in `seqs`.
pub(super) fn next_frame(bytes: &[u8], at: usize, seqs: &Range<u64>) -> Option<Found> {
    (at..bytes.len()).find_map(|at| {
        // The number first: a checksum over each place would take for ever.
        let seq = Reader { bytes, at: at.checked_add(4)? }.u64()?;
        if seqs.contains(&seq) { frame(bytes, at) } else { None }
    })
}

/// The payload of a record that was read by itself, if it is what was written
/// under this number.
pub(super) fn payload(record: &[u8], seq: Seq) -> Option<Range<usize>> {
    let found = frame(record, 0)?;
    (found.seq == seq.0 && found.payload.end == record.len()).then_some(found.payload)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.slice(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.slice(8)?.try_into().ok()?))
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.slice(length)
    }
}

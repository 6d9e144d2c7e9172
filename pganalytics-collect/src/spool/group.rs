//! What is written at once: the frames of a visit and what is remembered with
//! them, under one checksum.
//!
//! ```text
//! length u32 | CRC32C u32 | first seq u64 | collected at i64 (µs)
//! | number of states u32 | each: length u32, name; length u32, state
//! | number of frames u32 | each: length u32, frame
//! ```
//!
//! Numbers are little-endian. The length and the checksum are of all behind them.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;

/// Length and checksum.
const HEAD: usize = 8;

/// What collectors want to be told after a restart.
pub(super) type States = BTreeMap<Arc<str>, Bytes>;

/// A group that was found in a file.
#[derive(Debug)]
pub(super) struct Group {
    /// Number of the first frame.
    pub(super) first: u64,
    pub(super) collected_at: i64,
    pub(super) states: States,
    /// Where each frame stands in the bytes that were read.
    pub(super) frames: Vec<Range<usize>>,
    /// Where the next group begins.
    pub(super) end: usize,
}

/// The bytes of a group and where each frame stands in them. `None` when it is
/// too big to be told.
pub(super) fn encode(
    first: u64,
    collected_at: i64,
    states: &States,
    frames: &[Bytes],
) -> Option<(Vec<u8>, Vec<Range<usize>>)> {
    let mut bytes = vec![0; HEAD];
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(&collected_at.to_le_bytes());
    push_number(&mut bytes, states.len())?;
    for (name, state) in states {
        push(&mut bytes, name.as_bytes())?;
        push(&mut bytes, state)?;
    }
    push_number(&mut bytes, frames.len())?;
    let mut places = Vec::with_capacity(frames.len());
    for frame in frames {
        push(&mut bytes, frame)?;
        places.push(bytes.len() - frame.len()..bytes.len());
    }
    let length = u32::try_from(bytes.len() - HEAD).ok()?;
    let checksum = crc32c::crc32c(bytes.get(HEAD..).unwrap_or_default());
    let head = length.to_le_bytes().into_iter().chain(checksum.to_le_bytes());
    bytes.iter_mut().zip(head).for_each(|(byte, value)| *byte = value);
    Some((bytes, places))
}

fn push_number(bytes: &mut Vec<u8>, number: usize) -> Option<()> {
    bytes.extend_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
    Some(())
}

fn push(bytes: &mut Vec<u8>, part: &[u8]) -> Option<()> {
    push_number(bytes, part.len())?;
    bytes.extend_from_slice(part);
    Some(())
}

/// The group that begins at `at`; `None` when there is no whole one.
pub(super) fn decode(bytes: &[u8], at: usize) -> Option<Group> {
    let mut reader = Reader { bytes, at };
    let length = reader.number()?;
    let checksum = reader.number()?;
    let end = reader.at.checked_add(usize::try_from(length).ok()?)?;
    if crc32c::crc32c(bytes.get(reader.at..end)?) != checksum || length == 0 {
        return None;
    }
    let first = u64::from_le_bytes(reader.take()?);
    let collected_at = i64::from_le_bytes(reader.take()?);
    let mut states = States::new();
    for _ in 0..reader.number()? {
        let name = reader.part()?;
        let name = std::str::from_utf8(bytes.get(name)?).ok()?;
        let state = reader.part()?;
        states.insert(name.into(), Bytes::copy_from_slice(bytes.get(state)?));
    }
    let mut frames = Vec::new();
    for _ in 0..reader.number()? {
        frames.push(reader.part()?);
    }
    (reader.at == end).then_some(Group { first, collected_at, states, frames, end })
}

/// Where the group at `at` says that it ends, whether it is whole or not.
pub(super) fn claimed_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut reader = Reader { bytes, at };
    at.checked_add(HEAD)?.checked_add(usize::try_from(reader.number()?).ok()?)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let end = self.at.checked_add(N)?;
        let taken = self.bytes.get(self.at..end)?.try_into().ok()?;
        self.at = end;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn part(&mut self) -> Option<Range<usize>> {
        let length = usize::try_from(self.number()?).ok()?;
        let end = self.at.checked_add(length)?;
        let part = self.at..end;
        self.bytes.get(part.clone())?;
        self.at = end;
        Some(part)
    }
}

//! What a process before left behind.

use std::{
    fs::{self, OpenOptions},
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;
use tracing::{error, info};

use super::{
    MAGIC, Writer,
    folder::Folder,
    group::{self, States},
    index::{Index, Segment, Waiting},
};
use crate::deliver::GapReason;

/// Fewer bytes than a frame takes in a group.
const LEAST: u64 = 4;

/// Reads all segments; what is cut off is the end of what was being written.
pub(super) fn recover(folder: &Folder) -> io::Result<(Writer, Index)> {
    let firsts = folder.segments()?;
    let mut index = Index::new(&folder.done());
    let mut states = States::new();
    // The number that must come next, and those that nobody has any more.
    let mut next = firsts.first().copied().unwrap_or(1);
    let mut lost: Vec<(u64, u64)> = Vec::new();
    let mut newest = None;
    for (at, &first) in firsts.iter().enumerate() {
        let is_last = at + 1 == firsts.len();
        if first > next {
            lost.push((next, first - 1));
            next = first;
        }
        // One that can't be read now may be whole: the spool is opened later, or not
        // at all, and nothing of it is lost.
        let bytes = fs::read(folder.segment(first))?;
        index.segments.push_back(Segment { first, bytes: bytes.len() as u64, waiting: 0 });
        let end = if bytes.starts_with(MAGIC) { read(&bytes, first, &mut next, &mut states, &mut index) } else { 0 };
        if end == bytes.len() {
            newest = is_last.then_some((first, end));
        } else if is_last && end > 0 {
            let file = OpenOptions::new().write(true).open(folder.segment(first))?;
            file.set_len(end as u64)?;
            file.sync_all()?;
            newest = Some((first, end));
            if is_torn(&bytes, end) {
                info!(
                    segment = first,
                    bytes = bytes.len() - end,
                    "the end of a group that was being written is cut off"
                );
            } else {
                lost.push((next, skip(&mut next, bytes.len() - end)));
            }
        } else if is_last {
            lost.push((next, skip(&mut next, bytes.len())));
        }
    }
    let last_done = index.last_done();
    next = next.max(last_done.saturating_add(1));
    for (first, last) in lost {
        let seqs: Vec<u64> = (first..=last).filter(|&seq| !index.is_done(seq)).collect();
        if let Some(gap) = index.drop_all(&seqs, &GapReason::Damaged) {
            error!(stream = %folder.stream, first = gap.first.0, last = gap.last.0, "the spool is damaged: frames are lost");
        }
    }
    let file = match newest {
        Some((segment, size)) => {
            let file = OpenOptions::new().read(true).append(true).open(folder.segment(segment))?;
            Writer { file, segment, size: size as u64, next, states, fault: None }
        }
        None => {
            let empty = group::encode(next, 0, &states, &[]).map(|(bytes, _)| bytes).unwrap_or_default();
            let bytes = [MAGIC.as_slice(), &empty].concat();
            let size = bytes.len() as u64;
            index.segments.retain(|segment| segment.first != next);
            index.segments.push_back(Segment { first: next, bytes: size, waiting: 0 });
            Writer { file: folder.create_segment(next, &bytes)?, segment: next, size, next, states, fault: None }
        }
    };
    Ok((file, index))
}

/// Reads the groups of a segment; where the last good one ends.
fn read(bytes: &[u8], segment: u64, next: &mut u64, states: &mut States, index: &mut Index) -> usize {
    let now = (Instant::now(), SystemTime::now());
    let mut end = MAGIC.len();
    while let Some(group) = group::decode(bytes, end) {
        if group.first > *next {
            break;
        }
        let written = UNIX_EPOCH + Duration::from_micros(u64::try_from(group.collected_at).unwrap_or_default());
        let age = now.1.duration_since(written).unwrap_or_default();
        let since = now.0.checked_sub(age).unwrap_or(now.0);
        for (seq, place) in (group.first..).zip(&group.frames) {
            // A group that was written again, behind a fault, is there twice.
            if seq < *next {
                continue;
            }
            *next = seq + 1;
            if !index.is_done(seq) {
                index.push(Waiting { seq, segment, offset: place.start as u64, length: place.len(), since });
            }
        }
        states.extend(group.states);
        end = group.end;
    }
    end
}

/// Whether what is there from `at` on is the begin of one group, as a crash
/// leaves it: no group is begun before the one before is synced.
fn is_torn(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().all(|&byte| byte == 0) || group::claimed_end(bytes, at).is_none_or(|end| end >= bytes.len())
}

/// Leaves out as many numbers as may have been in so many bytes, for the server
/// may have seen them; the last of them.
fn skip(next: &mut u64, bytes: usize) -> u64 {
    *next += bytes as u64 / LEAST + 1;
    *next - 1
}

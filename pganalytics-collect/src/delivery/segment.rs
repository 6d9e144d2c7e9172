//! A file of the spool: groups, one behind the other.
//!
//! A segment is named by the number of its first frame. What it holds of numbers
//! that belong to the next one was written there again, behind a fault, and does
//! not count.

use std::ops::Range;

use pganalytics_core::{Incarnation, Ranges, Seq};

use super::record::{self, Start, States};

/// What a segment begins with.
pub(super) const MAGIC: &[u8; 8] = b"pgaspl\x00\x02";
/// End of the names of segments.
const SUFFIX: &str = ".segment";

/// A frame that a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) seq: u64,
    /// Number of its base; 0: none.
    pub(super) base: u64,
    /// Where its record begins.
    pub(super) offset: u32,
    /// Bytes of its payload.
    pub(super) length: u32,
    /// When it was put in, in microseconds of the wall clock.
    pub(super) written_at: i64,
    pub(super) incarnation: Incarnation,
}

impl Entry {
    /// Bytes of its record.
    pub(super) fn record_bytes(&self) -> usize {
        record::FRAME_HEAD + self.length as usize
    }
}

/// What a look through a segment found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) entries: Vec<Entry>,
    pub(super) states: States,
    /// Numbers that were in it and can't be read any more.
    pub(super) damaged: Ranges,
    /// Numbers of a group that was being written when the process ended, as far as
    /// is known.
    pub(super) unsaved: Ranges,
    /// The number that comes behind it.
    pub(super) next: u64,
}

/// The name of the segment that begins with this number.
pub(super) fn name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The first number of the segment of this name; `None`: it is none.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 20).then_some(())?;
    digits.parse().ok()
}

/// Looks through a segment. `end` is the first number of the next one, `None`
/// for the newest: its end may have been being written.
pub(super) fn scan(bytes: &[u8], first: u64, end: Option<u64>) -> Scan {
    let mut scan = Scan { next: first, ..Scan::default() };
    let mut at = MAGIC.len();
    let mut behind_damage = !bytes.starts_with(MAGIC);
    if behind_damage {
        at = 0;
    }
    while at < bytes.len() {
        let group = record::start(bytes, at).filter(|(start, _)| start.first >= scan.next || start.frames == 0);
        let Some((start, frames_at)) = group else {
            // Not a start, or one that repeats numbers: on to the next that goes on.
            let Some(next) = record::next_start(bytes, at + 1) else { break };
            behind_damage = true;
            at = next;
            continue;
        };
        if start.first > scan.next {
            insert(&mut scan.damaged, scan.next..start.first);
            scan.next = start.first;
        }
        behind_damage = false;
        let is_cut = frames_at.end > bytes.len();
        let is_last = end.is_none() && (is_cut || record::next_start(bytes, frames_at.end).is_none());
        at = frames_at.end.min(bytes.len());
        take_group(&mut scan, bytes, &start, &frames_at, is_last);
        if is_cut {
            // Groups behind it, if it is its length that lies.
            at = record::next_start(bytes, frames_at.start).unwrap_or(bytes.len());
        }
    }
    finish(&mut scan, bytes.get(at..).unwrap_or_default(), behind_damage, end);
    scan
}

/// Takes in the frames of a group. That of a group at the end of the newest
/// segment count only together: with them goes what collectors remember.
fn take_group(scan: &mut Scan, bytes: &[u8], start: &Start, place: &Range<usize>, is_last: bool) {
    let numbers = start.first..start.first + u64::from(start.frames);
    let frames = bytes.get(..place.end.min(bytes.len())).unwrap_or_default();
    let mut at = place.start;
    let mut found = Vec::new();
    let mut lost = Ranges::new();
    let mut next = numbers.start;
    while next < numbers.end {
        let here = record::frame(frames, at).filter(|frame| frame.seq == next);
        let Some(frame) = here.or_else(|| record::next_frame(frames, at, &(next..numbers.end))) else {
            insert(&mut lost, next..numbers.end);
            break;
        };
        insert(&mut lost, next..frame.seq);
        found.push(Entry {
            seq: frame.seq,
            base: frame.base.unwrap_or_default(),
            offset: u32::try_from(frame.at).unwrap_or(u32::MAX),
            length: u32::try_from(frame.payload.len()).unwrap_or(u32::MAX),
            written_at: start.written_at,
            incarnation: start.incarnation,
        });
        at = frame.payload.end;
        next = frame.seq + 1;
    }
    scan.next = numbers.end;
    if is_last && !lost.is_empty() {
        insert(&mut scan.unsaved, numbers);
        return;
    }
    scan.damaged.extend(lost.iter());
    scan.entries.append(&mut found);
    scan.states.extend(start.states.clone());
}

/// What is behind the last group.
fn finish(scan: &mut Scan, tail: &[u8], behind_damage: bool, end: Option<u64>) {
    match end {
        Some(end) => {
            scan.entries.retain(|entry| entry.seq < end);
            for lost in [&mut scan.damaged, &mut scan.unsaved] {
                lost.remove_range(Seq(end)..=Seq(u64::MAX));
            }
            insert(&mut scan.damaged, scan.next..end);
            scan.next = end;
        }
        // A start that was being written, or one that is damaged: as many numbers are
        // left out as there may have been, for they may have been sent.
        None if behind_damage || tail.iter().any(|&byte| byte != 0) => {
            let most = (tail.len() / record::FRAME_HEAD) as u64 + 1;
            let upper = scan.next.saturating_add(most);
            insert(&mut scan.unsaved, scan.next..upper);
            scan.next = upper;
        }
        None => {}
    }
}

pub(super) fn insert(ranges: &mut Ranges, numbers: Range<u64>) {
    if let Some(last) = numbers.end.checked_sub(1) {
        ranges.insert_range(Seq(numbers.start)..=Seq(last));
    }
}

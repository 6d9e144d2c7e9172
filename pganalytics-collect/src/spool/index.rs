//! Which frames wait, and where.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use pganalytics_core::Seq;
use tokio::time::Instant;

use crate::deliver::{Gap, GapReason, OutboxStats};

/// A frame that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) seq: u64,
    /// First frame of its segment.
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: usize,
    pub(super) since: Instant,
}

/// A segment's size, and how many of its frames wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) bytes: u64,
    pub(super) waiting: usize,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) waiting: VecDeque<Waiting>,
    /// In order; the last is the one that is written.
    pub(super) segments: VecDeque<Segment>,
    pub(super) bytes: usize,
    /// All frames before this one are done with.
    floor: u64,
    /// Those above it that are, too.
    above: BTreeSet<u64>,
    /// The last frame that is out in a group.
    pub(super) out: u64,
    pub(super) stats: OutboxStats,
}

impl Index {
    pub(super) fn new(done: &[(u64, u64)]) -> Self {
        let mut index = Self { floor: 1, ..Self::default() };
        for &(first, last) in done {
            if first <= index.floor {
                index.floor = index.floor.max(last.saturating_add(1));
            } else {
                // They are few: what one group left open.
                index.above.extend((first..=last).take(1_000_000));
            }
        }
        index
    }

    pub(super) fn is_done(&self, seq: u64) -> bool {
        seq < self.floor || self.above.contains(&seq)
    }

    /// The last frame that is known to be done with.
    pub(super) fn last_done(&self) -> u64 {
        self.above.last().copied().unwrap_or_default().max(self.floor.saturating_sub(1))
    }

    /// Ranges of frames that are done with.
    pub(super) fn done(&self) -> Vec<(u64, u64)> {
        let mut ranges = vec![(1, self.floor.saturating_sub(1))];
        for &seq in &self.above {
            match ranges.last_mut() {
                Some((_, last)) if last.saturating_add(1) == seq => *last = seq,
                _ => ranges.push((seq, seq)),
            }
        }
        ranges.retain(|(first, last)| first <= last);
        ranges
    }

    pub(super) fn push(&mut self, frame: Waiting) {
        self.bytes += frame.length;
        self.stats.produced += 1;
        self.waiting.push_back(frame);
        if let Some(segment) = self.segments.iter_mut().rev().find(|segment| segment.first == frame.segment) {
            segment.waiting += 1;
        }
    }

    /// Takes a frame out that is delivered, refused or lost.
    pub(super) fn remove(&mut self, seq: u64) -> Option<Waiting> {
        let at = self.waiting.binary_search_by_key(&seq, |waiting| waiting.seq).ok()?;
        let removed = self.waiting.remove(at)?;
        self.bytes -= removed.length;
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.first == removed.segment) {
            segment.waiting -= 1;
        }
        self.finish(seq);
        Some(removed)
    }

    /// A frame is done with.
    pub(super) fn finish(&mut self, seq: u64) {
        if seq >= self.floor {
            self.above.insert(seq);
        }
        while self.above.remove(&self.floor) {
            self.floor += 1;
        }
    }

    /// The segments that nobody needs any more. The last one stays: its name and
    /// its frames say which number comes next, and it holds what is remembered.
    pub(super) fn take_empty(&mut self) -> Vec<u64> {
        let last = self.segments.back().map(|segment| segment.first);
        let (empty, kept) =
            self.segments.iter().partition(|segment| segment.waiting == 0 && Some(segment.first) != last);
        self.segments = kept;
        let empty: VecDeque<Segment> = empty;
        empty.iter().map(|segment| segment.first).collect()
    }

    /// Drops the frames of the oldest segments until `quota` holds, but none that
    /// is out in a group, and not the segment that is written.
    pub(super) fn shrink(&mut self, quota: u64) -> Option<Gap> {
        let mut lost = Vec::new();
        let mut bytes: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        let kept = self.segments.len().saturating_sub(1);
        for segment in self.segments.iter().take(kept).copied().collect::<Vec<_>>() {
            if bytes <= quota {
                break;
            }
            let frames = self.waiting.iter().filter(|waiting| waiting.segment == segment.first);
            let seqs: Vec<u64> = frames.map(|waiting| waiting.seq).collect();
            if seqs.first().is_some_and(|&first| first <= self.out) {
                continue;
            }
            bytes -= segment.bytes;
            lost.extend(seqs);
        }
        self.drop_all(&lost, &GapReason::OverQuota)
    }

    /// These frames are lost; the gap that they make.
    pub(super) fn drop_all(&mut self, seqs: &[u64], reason: &GapReason) -> Option<Gap> {
        let (first, last) = (Seq(*seqs.first()?), Seq(*seqs.last()?));
        for &seq in seqs {
            if self.remove(seq).is_none() {
                self.stats.produced += 1;
                self.finish(seq);
            }
        }
        let gap = Gap { first, last, frames: seqs.len() as u64, reason: reason.clone() };
        self.stats.dropped += gap.frames;
        self.lost(&gap);
        Some(gap)
    }

    pub(super) fn lost(&mut self, gap: &Gap) {
        self.stats.losses += 1;
        self.stats.last_gap = Some(gap.clone());
    }
}

/// A frame with its number.
pub(super) type Numbered = (Seq, Bytes);

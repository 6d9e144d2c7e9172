//! How much is kept, and what goes when it is too much.

use pganalytics_core::{GapReason, Ranges, Seq};
use tracing::warn;

use super::{
    segment,
    stream::{Moment, Stream},
};

/// Of a disk, the part that is left to others: one in so many.
const LEFT_TO_OTHERS: u64 = 20;

impl Stream {
    /// Bytes that may be kept now: the quota, and not the last 5 % of the disk.
    fn allowed(&self, used: u64) -> u64 {
        match self.disk.space() {
            Ok(Some(space)) => {
                let room = used.saturating_add(space.free).saturating_sub(space.total / LEFT_TO_OTHERS);
                self.room.quota.min(room)
            }
            Ok(None) | Err(_) => self.room.quota,
        }
    }

    fn used(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    /// Drops whole segments, oldest first, until what is kept is allowed. One that
    /// is out waits for its answer, unless another segment's worth has come since.
    /// The newest one stays: it knows which number comes next.
    pub(super) fn shrink(&mut self, now: Moment) {
        let used = self.used();
        let allowed = self.allowed(used);
        if used <= allowed || !self.disk.is_there() {
            return;
        }
        let saved = self.tidy();
        let mut left = self.used();
        let mut lost = Ranges::new();
        let mut gone = Vec::new();
        let firsts: Vec<u64> = self.segments.keys().copied().collect();
        for (&first, &end) in firsts.iter().zip(firsts.iter().skip(1)) {
            let Some(segment) = self.segments.get(&first) else { continue };
            if left <= allowed {
                break;
            }
            let mut numbers = Ranges::from_iter([Seq(first)..=Seq(end.saturating_sub(1))]);
            if !numbers.intersect(&self.leased).is_empty() {
                // What is not noted goes in order only: a segment that was given up in the
                // middle of a group is told from its successor.
                if !saved || left <= allowed.saturating_add(self.room.segment) {
                    break;
                }
                continue;
            }
            match &segment.entries {
                Some(_) => numbers = numbers.intersect(&self.waiting),
                None => self.account.take_from(&mut numbers),
            }
            left = left.saturating_sub(segment.bytes);
            lost.extend(numbers.iter());
            gone.push(first);
        }
        if gone.is_empty() {
            return;
        }
        if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
            warn!(
                stream = %self.id(), first = first.0, last = last.0, frames = lost.len(), quota = self.room.quota,
                "frames dropped: the buffer is full; see why nothing is delivered, or give it more bytes"
            );
            self.lose(&lost, &GapReason::Quota, "", now);
        }
        for first in gone {
            self.remove_segment(first);
        }
        // Now there is room for what could not be noted before.
        self.declare(now);
        self.save_account();
    }

    /// Notes what became of frames, and removes segments that nobody needs. Whether it
    /// could be noted: else nothing is removed.
    pub(super) fn tidy(&mut self) -> bool {
        let saved = self.save_account();
        if saved {
            self.remove_empty();
        }
        saved
    }

    /// Removes segments of which nothing waits. The newest one stays.
    fn remove_empty(&mut self) {
        let firsts: Vec<u64> = self.segments.keys().copied().collect();
        for (&first, &end) in firsts.iter().zip(firsts.iter().skip(1)) {
            if self.segments.get(&first).is_none_or(|segment| segment.entries.is_none()) {
                continue;
            }
            let waits = self.waiting.touching(&(Seq(first)..=Seq(end.saturating_sub(1))));
            if !waits.into_iter().any(|range| range.start().0 < end && range.end().0 >= first) {
                self.remove_segment(first);
            }
        }
    }

    fn remove_segment(&mut self, first: u64) {
        if let Err(error) = self.disk.remove(&segment::name(first))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            warn!(segment = segment::name(first), %error, "a segment that is not needed stays");
        }
        self.segments.remove(&first);
    }
}

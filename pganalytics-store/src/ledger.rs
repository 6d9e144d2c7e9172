//! Which frames of a stream are stored.
//!
//! A ledger holds [`Ranges`] of one (tenant, collector, stream). Frames come
//! almost in order, so the history of a healthy stream is one range however
//! long it is: the ledger stays small, which is what lets a store promise "at
//! most once" without an end. Only of a stream that was silent for longer than
//! anything that it sent can be kept ([`retention`](crate::retention)) it goes:
//! what came again then would be dropped for its age.
//!
//! Invariants: a number once held stays held; the [`Changes`] of
//! [`Ledger::insert_noting`] bring a copy that holds what was held before to
//! what is held now.

use std::{collections::BTreeMap, ops::RangeInclusive};

use pganalytics_core::{Position, Ranges, Seq};

use crate::{fork::Openings, metric_store::FrameOutcome};

/// Smallest and largest sequence number that stores take: they fit a signed
/// 64-bit integer, which is what databases have.
pub const SEQS: RangeInclusive<u64> = 1..=i64::MAX as u64;

/// What every store answers, before it looks further, to a number that no
/// stream gives out; `None` for good ones.
#[must_use]
pub fn refusal(seq: Seq) -> Option<FrameOutcome> {
    (!SEQS.contains(&seq.0)).then(|| FrameOutcome::Rejected {
        code: "bad_seq",
        message: format!("sequence number {} is not one of 1 to {}; number frames from 1", seq.0, i64::MAX),
    })
}

/// Numbers of frames that are stored.
///
/// ```
/// use pganalytics_core::Seq;
/// use pganalytics_store::ledger::Ledger;
/// let mut ledger = Ledger::default();
/// assert!(ledger.insert(Seq(1)) && ledger.insert(Seq(3)) && ledger.insert(Seq(2)));
/// assert!(!ledger.insert(Seq(2)), "it was there before");
/// assert_eq!(ledger.ranges().to_string(), "1-3");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    ranges: Ranges,
    /// Who numbered them.
    openings: Openings,
}

/// What an insertion did to the ranges, for a copy elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// First number of a range → its last now, or `None` when that range is
    /// part of another now.
    pub ranges: BTreeMap<u64, Option<u64>>,
}

impl Ledger {
    /// What is held, and the openings of the stream that are known.
    #[must_use]
    pub fn new(ranges: Ranges, openings: Openings) -> Self {
        Self { ranges, openings }
    }

    /// Whether the number is held.
    #[must_use]
    pub fn contains(&self, seq: Seq) -> bool {
        self.ranges.contains(seq)
    }

    /// How many ranges the number would touch: one that touches none is a range
    /// of its own, one that touches two makes one of them.
    #[must_use]
    pub fn neighbours(&self, seq: Seq) -> u64 {
        self.ranges.touching(&(seq..=seq)).count() as u64
    }

    /// Adds a number; false, and nothing done, when it was held before.
    pub fn insert(&mut self, seq: Seq) -> bool {
        self.ranges.insert(seq)
    }

    /// As [`Ledger::insert`], and adds what changed to `changes`.
    pub fn insert_noting(&mut self, seq: Seq, changes: &mut Changes) -> bool {
        if self.contains(seq) {
            return false;
        }
        changes.ranges.extend(self.ranges.touching(&(seq..=seq)).map(|range| (range.start().0, None)));
        self.ranges.insert(seq);
        changes.ranges.extend(self.ranges.range_of(seq).map(|range| (range.start().0, Some(range.end().0))));
        true
    }

    /// All that is held.
    #[must_use]
    pub fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// The openings of the stream.
    #[must_use]
    pub fn openings(&self) -> &Openings {
        &self.openings
    }

    /// Notes which opening of the stream a frame is of, once [`fork::find`] has
    /// found nothing. Whether something changed.
    ///
    /// [`fork::find`]: crate::fork::find
    pub fn note_opening(&mut self, position: Position) -> bool {
        let before = self.openings.clone();
        self.openings.note(position) && self.openings != before
    }

    /// The number after the last one.
    #[must_use]
    pub fn next(&self) -> Seq {
        Seq(self.ranges.last().map_or(1, |last| last.0.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_copy_follows_by_the_changes(groups in prop::collection::vec(prop::collection::vec(1_u64..120, 0..9), 0..40)) {
            let (mut ledger, mut copy) = (Ledger::default(), BTreeMap::new());
            for seqs in groups {
                let mut changes = Changes::default();
                for seq in seqs.into_iter().map(Seq) {
                    let (count, touched) = (ledger.ranges().range_count() as u64, ledger.neighbours(seq));
                    if ledger.insert_noting(seq, &mut changes) {
                        prop_assert_eq!(ledger.ranges().range_count() as u64 + touched, count + 1);
                    }
                }
                for (first, last) in changes.ranges {
                    match last {
                        Some(last) => copy.insert(first, last),
                        None => copy.remove(&first),
                    };
                }
                let held: BTreeMap<_, _> = ledger.ranges().iter().map(|range| (range.start().0, range.end().0)).collect();
                prop_assert_eq!(&copy, &held);
            }
        }
    }
}

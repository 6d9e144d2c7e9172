//! Which frames of a stream are stored.
//!
//! A ledger holds ranges of sequence numbers of one (tenant, collector,
//! stream). Frames come almost in order, so the history of a healthy stream is
//! one range however long it is: the ledger stays small for ever, which is what
//! lets a store promise "at most once, for ever".
//!
//! Invariants: ranges do not overlap and do not touch; a number once held stays
//! held; the [`Changes`] of [`Ledger::insert_noting`] bring a copy that holds what
//! was held before to what is held now.

use std::collections::BTreeMap;

use pganalytics_core::Seq;

use crate::metric_store::FrameOutcome;

/// Smallest and largest sequence number that stores take: they fit a signed
/// 64-bit integer, which is what databases have.
pub const SEQS: std::ops::RangeInclusive<u64> = 1..=i64::MAX as u64;

/// What every store answers, before it looks further, to a number that no
/// stream gives out; `None` for good ones.
#[must_use]
pub fn refusal(seq: Seq) -> Option<FrameOutcome> {
    (!SEQS.contains(&seq.0)).then(|| FrameOutcome::Rejected {
        code: "bad_seq",
        message: format!("sequence number {} is not one of 1 to {}; number frames from 1", seq.0, i64::MAX),
    })
}

/// Ranges of sequence numbers.
///
/// ```
/// use pganalytics_core::Seq;
/// use pganalytics_store::ledger::Ledger;
/// let mut ledger = Ledger::default();
/// assert!(ledger.insert(Seq(1)) && ledger.insert(Seq(3)) && ledger.insert(Seq(2)));
/// assert!(!ledger.insert(Seq(2)), "it was there before");
/// assert_eq!(ledger.ranges().collect::<Vec<_>>(), [(1, 3)]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// First number of each range → its last.
    ranges: BTreeMap<u64, u64>,
}

/// What an insertion did to the ranges, for a copy elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// First number of a range → its last now, or `None` when that range is
    /// part of another now.
    pub ranges: BTreeMap<u64, Option<u64>>,
}

impl Ledger {
    /// A ledger of ranges, given in any order; they may overlap.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut ledger = Self::default();
        let mut changes = Changes::default();
        for (first, last) in ranges {
            ledger.merge(first, last, &mut changes);
        }
        ledger
    }

    /// Whether the number is held.
    #[must_use]
    pub fn contains(&self, seq: Seq) -> bool {
        self.ranges.range(..=seq.0).next_back().is_some_and(|(_, &last)| last >= seq.0)
    }

    /// How many ranges the number would touch: one that touches none is a range
    /// of its own, one that touches two makes one of them.
    #[must_use]
    pub fn neighbours(&self, seq: Seq) -> u64 {
        let held = |other: Option<u64>| other.is_some_and(|other| self.contains(Seq(other)));
        u64::from(held(seq.0.checked_sub(1))) + u64::from(held(seq.0.checked_add(1)))
    }

    /// Adds a number; false, and nothing done, when it was held before.
    pub fn insert(&mut self, seq: Seq) -> bool {
        self.insert_noting(seq, &mut Changes::default())
    }

    /// As [`Ledger::insert`], and adds what changed to `changes`.
    pub fn insert_noting(&mut self, seq: Seq, changes: &mut Changes) -> bool {
        if self.contains(seq) {
            return false;
        }
        self.merge(seq.0, seq.0, changes);
        true
    }

    /// Adds all numbers from `first` to `last`, and what changed to `changes`.
    /// A range that ends before it begins is nothing.
    pub fn merge(&mut self, first: u64, last: u64, changes: &mut Changes) {
        if first > last {
            return;
        }
        let (mut from, mut to) = (first, last);
        // Only a range that begins at or before `last + 1` can touch.
        while let Some((&start, &end)) = self.ranges.range(..=to.saturating_add(1)).next_back() {
            if end < from.saturating_sub(1) {
                break;
            }
            self.ranges.remove(&start);
            changes.ranges.insert(start, None);
            from = from.min(start);
            to = to.max(end);
        }
        self.ranges.insert(from, to);
        changes.ranges.insert(from, Some(to));
    }

    /// The ranges, first and last number, in order.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().map(|(&first, &last)| (first, last))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Ranges of the naive model: a set of all numbers.
    fn ranges_of(set: &BTreeSet<u64>) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for &seq in set {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == seq => *last = seq,
                _ => ranges.push((seq, seq)),
            }
        }
        ranges
    }

    proptest! {
        #[test]
        fn it_holds_what_a_set_of_numbers_holds(actions in prop::collection::vec((1_u64..120, 0_u64..12, any::<bool>()), 0..200)) {
            let (mut ledger, mut model, mut copy) = (Ledger::default(), BTreeSet::new(), BTreeMap::new());
            for (first, length, single) in actions {
                let mut changes = Changes::default();
                if single {
                    let touched = ledger.neighbours(Seq(first));
                    let (before, known) = (ledger.ranges.len() as u64, ledger.contains(Seq(first)));
                    let new = ledger.insert_noting(Seq(first), &mut changes);
                    prop_assert_eq!(new, model.insert(first));
                    prop_assert!(known || ledger.ranges.len() as u64 + touched == before + 1);
                } else {
                    ledger.merge(first, first + length, &mut changes);
                    model.extend(first..=first + length);
                }
                for (first, last) in changes.ranges {
                    match last {
                        Some(last) => copy.insert(first, last),
                        None => copy.remove(&first),
                    };
                }
                prop_assert_eq!(ledger.ranges().collect::<Vec<_>>(), ranges_of(&model));
                prop_assert_eq!(&copy, &ledger.ranges);
            }
            for seq in 0..140 {
                prop_assert_eq!(ledger.contains(Seq(seq)), model.contains(&seq));
            }
            prop_assert_eq!(&Ledger::from_ranges(ledger.ranges().collect::<Vec<_>>().into_iter().rev()), &ledger);
        }
    }

    #[test]
    fn contiguous_history_is_one_range() {
        let mut ledger = Ledger::default();
        for seq in (1..=10_000).step_by(2).chain((2..=10_000).step_by(2)) {
            assert!(ledger.insert(Seq(seq)));
        }
        assert_eq!(ledger.ranges().collect::<Vec<_>>(), [(1, 10_000)]);
    }

    #[test]
    fn the_ends_of_the_numbers_are_safe() {
        let mut ledger = Ledger::default();
        assert!(ledger.insert(Seq(u64::MAX)) && ledger.insert(Seq(0)) && ledger.insert(Seq(u64::MAX - 1)));
        assert_eq!(ledger.ranges().collect::<Vec<_>>(), [(0, 0), (u64::MAX - 1, u64::MAX)]);
        ledger.merge(5, 4, &mut Changes::default());
        assert!(!ledger.contains(Seq(4)) && !ledger.contains(Seq(5)));
    }
}

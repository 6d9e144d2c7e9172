//! Sets of sequence numbers.
//!
//! Frames come, are acknowledged and are lost almost in order, so a set of them
//! is a few ranges however long the history is. Ledgers, acknowledgements and
//! spools keep theirs so.
//!
//! Invariants: ranges do not overlap and do not touch; none is empty.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive};

use crate::id::Seq;

/// A set of sequence numbers, kept as ranges.
///
/// ```
/// use pganalytics_core::{Ranges, Seq};
/// let mut held = Ranges::new();
/// assert!(held.insert(Seq(1)) && held.insert(Seq(3)) && held.insert(Seq(2)));
/// assert!(!held.insert(Seq(2)), "it was there before");
/// assert_eq!(held.iter().collect::<Vec<_>>(), [Seq(1)..=Seq(3)]);
/// held.remove(Seq(2));
/// assert_eq!(held.to_string(), "1, 3");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Ranges {
    /// First number of each range → its last.
    ranges: BTreeMap<u64, u64>,
}

impl Ranges {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: BTreeMap::new() }
    }

    /// Whether it holds no number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many ranges it is.
    #[must_use]
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// How many numbers it holds, `u64::MAX` when there are more.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().fold(0, |sum: u64, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }

    /// The smallest number.
    #[must_use]
    pub fn first(&self) -> Option<Seq> {
        self.ranges.keys().next().copied().map(Seq)
    }

    /// The largest number.
    #[must_use]
    pub fn last(&self) -> Option<Seq> {
        self.ranges.values().next_back().copied().map(Seq)
    }

    /// Whether it holds the number.
    #[must_use]
    pub fn contains(&self, seq: Seq) -> bool {
        self.range_of(seq).is_some()
    }

    /// Whether it holds every number of the range. An empty range is held.
    #[must_use]
    pub fn contains_range(&self, range: &RangeInclusive<Seq>) -> bool {
        range.is_empty() || self.range_of(*range.start()).is_some_and(|held| held.end() >= range.end())
    }

    /// The range that holds the number.
    #[must_use]
    pub fn range_of(&self, seq: Seq) -> Option<RangeInclusive<Seq>> {
        let (&first, &last) = self.ranges.range(..=seq.0).next_back()?;
        (last >= seq.0).then_some(Seq(first)..=Seq(last))
    }

    /// The ranges, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = RangeInclusive<Seq>> + '_ {
        self.ranges.iter().map(|(&first, &last)| Seq(first)..=Seq(last))
    }

    /// Each number, in order.
    pub fn seqs(&self) -> impl Iterator<Item = Seq> + '_ {
        self.ranges.iter().flat_map(|(&first, &last)| (first..=last).map(Seq))
    }

    /// The ranges that hold a number of `range`, or one next to it: those that
    /// [`Ranges::insert_range`] makes one with it. Last one first.
    pub fn touching(&self, range: &RangeInclusive<Seq>) -> impl Iterator<Item = RangeInclusive<Seq>> + '_ {
        let (from, to) = (range.start().0.saturating_sub(1), range.end().0.saturating_add(1));
        let held = (from <= to).then(|| self.ranges.range(..=to).rev());
        let held = held.into_iter().flatten().take_while(move |(_, last)| **last >= from);
        held.map(|(&first, &last)| Seq(first)..=Seq(last))
    }

    /// Adds a number; false when it was there before.
    pub fn insert(&mut self, seq: Seq) -> bool {
        if self.contains(seq) {
            return false;
        }
        self.insert_range(seq..=seq);
        true
    }

    /// Adds every number of a range. An empty range is nothing.
    pub fn insert_range(&mut self, range: RangeInclusive<Seq>) {
        if range.is_empty() {
            return;
        }
        let (mut from, mut to) = (range.start().0, range.end().0);
        while let Some((start, end)) = self.last_between(from.saturating_sub(1), to.saturating_add(1)) {
            self.ranges.remove(&start);
            from = from.min(start);
            to = to.max(end);
        }
        self.ranges.insert(from, to);
    }

    /// Takes a number out; false when it was not there.
    pub fn remove(&mut self, seq: Seq) -> bool {
        let held = self.contains(seq);
        if held {
            self.remove_range(seq..=seq);
        }
        held
    }

    /// Takes every number of a range out. An empty range is nothing.
    pub fn remove_range(&mut self, range: RangeInclusive<Seq>) {
        if range.is_empty() {
            return;
        }
        let (from, to) = (range.start().0, range.end().0);
        while let Some((start, end)) = self.last_between(from, to) {
            self.ranges.remove(&start);
            if end > to {
                self.ranges.insert(to + 1, end);
            }
            if start < from {
                self.ranges.insert(start, from - 1);
            }
        }
    }

    /// The numbers that both hold.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let mut both = Self::new();
        let (mut ours, mut theirs) = (self.ranges.iter(), other.ranges.iter());
        let (mut a, mut b) = (ours.next(), theirs.next());
        while let (Some((a_first, a_last)), Some((b_first, b_last))) = (a, b) {
            let (first, last) = (*a_first.max(b_first), *a_last.min(b_last));
            if first <= last {
                both.ranges.insert(first, last);
            }
            if a_last < b_last {
                a = ours.next();
            } else {
                b = theirs.next();
            }
        }
        both
    }

    /// The numbers that this one holds and the other does not.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = self.clone();
        other.iter().for_each(|range| left.remove_range(range));
        left
    }

    /// The numbers of `range` that it does not hold.
    #[must_use]
    pub fn missing(&self, range: RangeInclusive<Seq>) -> Self {
        let mut missing = Self::from_iter([range.clone()]);
        let held: Vec<_> = self.touching(&range).collect();
        held.into_iter().for_each(|held| missing.remove_range(held));
        missing
    }

    /// The last range that holds a number from `from` to `to`.
    fn last_between(&self, from: u64, to: u64) -> Option<(u64, u64)> {
        let (&first, &last) = self.ranges.range(..=to).next_back()?;
        (last >= from).then_some((first, last))
    }
}

impl FromIterator<RangeInclusive<Seq>> for Ranges {
    /// Of ranges in any order; they may overlap.
    fn from_iter<I: IntoIterator<Item = RangeInclusive<Seq>>>(ranges: I) -> Self {
        let mut all = Self::new();
        all.extend(ranges);
        all
    }
}

impl Extend<RangeInclusive<Seq>> for Ranges {
    fn extend<I: IntoIterator<Item = RangeInclusive<Seq>>>(&mut self, ranges: I) {
        ranges.into_iter().for_each(|range| self.insert_range(range));
    }
}

impl FromIterator<Seq> for Ranges {
    fn from_iter<I: IntoIterator<Item = Seq>>(seqs: I) -> Self {
        seqs.into_iter().map(|seq| seq..=seq).collect()
    }
}

impl fmt::Display for Ranges {
    /// As `1-9, 12`; of more than 20 ranges only how many follow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        for (index, (first, last)) in self.ranges.iter().take(SHOWN).enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }?;
        }
        match self.ranges.len() {
            0 => f.write_str("none"),
            many if many > SHOWN => write!(f, " and {} more", many - SHOWN),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ranges({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::frame::FrameError;

    type Model = BTreeSet<u64>;

    /// Ranges of the naive model: a set of all numbers.
    fn ranges_of(set: &Model) -> Vec<RangeInclusive<Seq>> {
        let mut ranges: Vec<RangeInclusive<Seq>> = Vec::new();
        for &seq in set {
            match ranges.last_mut() {
                Some(range) if range.end().0 + 1 == seq => *range = *range.start()..=Seq(seq),
                _ => ranges.push(Seq(seq)..=Seq(seq)),
            }
        }
        ranges
    }

    fn sets() -> impl Strategy<Value = (Ranges, Model)> {
        prop::collection::btree_set(1_u64..60, 0..40)
            .prop_map(|model| (model.iter().copied().map(Seq).collect(), model))
    }

    proptest! {
        #[test]
        fn it_holds_what_a_set_of_numbers_holds(actions in prop::collection::vec((1_u64..120, 0_u64..12, 0_u8..4), 0..200)) {
            let (mut ranges, mut model) = (Ranges::new(), Model::new());
            for (first, length, action) in actions {
                let range = Seq(first)..=Seq(first + length);
                match action {
                    0 => prop_assert_eq!(ranges.insert(Seq(first)), model.insert(first)),
                    1 => prop_assert_eq!(ranges.remove(Seq(first)), model.remove(&first)),
                    2 => {
                        let touching: Ranges = ranges.touching(&range).collect();
                        let count = ranges.range_count();
                        ranges.insert_range(range.clone());
                        model.extend(first..=first + length);
                        prop_assert_eq!(ranges.range_count(), count + 1 - touching.range_count());
                        prop_assert!(ranges.contains_range(&range));
                    }
                    _ => {
                        ranges.remove_range(range.clone());
                        model.retain(|seq| !(first..=first + length).contains(seq));
                        prop_assert_eq!(ranges.missing(range.clone()), Ranges::from_iter([range]));
                    }
                }
                prop_assert_eq!(ranges.iter().collect::<Vec<_>>(), ranges_of(&model));
                prop_assert_eq!(ranges.len(), model.len() as u64);
                prop_assert_eq!(ranges.first(), model.first().copied().map(Seq));
                prop_assert_eq!(ranges.last(), model.last().copied().map(Seq));
            }
            for seq in 0..140 {
                prop_assert_eq!(ranges.contains(Seq(seq)), model.contains(&seq));
            }
            prop_assert_eq!(ranges.iter().rev().collect::<Ranges>(), ranges.clone());
            prop_assert_eq!(ranges.seqs().map(|seq| seq.0).collect::<Model>(), model);
            prop_assert_eq!(Ranges::decode(&ranges.encode(), usize::MAX).unwrap(), ranges);
        }

        #[test]
        fn two_sets_are_compared_as_sets_of_numbers_are((a, in_a) in sets(), (b, in_b) in sets(), from in 1_u64..60, length in 0_u64..20) {
            prop_assert_eq!(a.intersect(&b), in_a.intersection(&in_b).copied().map(Seq).collect::<Ranges>());
            prop_assert_eq!(a.without(&b), in_a.difference(&in_b).copied().map(Seq).collect::<Ranges>());
            let missing = (from..=from + length).filter(|seq| !in_a.contains(seq)).map(Seq).collect::<Ranges>();
            prop_assert_eq!(a.missing(Seq(from)..=Seq(from + length)), missing);
        }

        #[test]
        fn foreign_bytes_give_ranges_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(ranges) = Ranges::decode(&bytes, 8) {
                prop_assert!(ranges.range_count() <= 8);
                prop_assert_eq!(Ranges::decode(&ranges.encode(), 8).unwrap(), ranges);
            }
        }
    }

    #[test]
    fn contiguous_history_is_one_range_in_some_bytes() {
        let ranges: Ranges = (1..=10_000).step_by(2).chain((2..=10_000).step_by(2)).map(Seq).collect();
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [Seq(1)..=Seq(10_000)]);
        assert!(ranges.encode().len() < 8);
    }

    #[test]
    fn the_ends_of_the_numbers_are_safe() {
        let mut ranges: Ranges = [Seq(u64::MAX), Seq(0), Seq(u64::MAX - 1)].into_iter().collect();
        assert_eq!(ranges.to_string(), format!("0, {}-{}", u64::MAX - 1, u64::MAX));
        assert_eq!(Ranges::decode(&ranges.encode(), 2).unwrap(), ranges);
        let nothing = Seq(5)..=Seq(4);
        ranges.insert_range(nothing.clone());
        ranges.remove_range(nothing.clone());
        assert!(!ranges.contains(Seq(4)) && !ranges.contains(Seq(5)) && ranges.contains_range(&nothing));
        assert!(ranges.missing(nothing).is_empty());
        ranges.insert_range(Seq(0)..=Seq(u64::MAX));
        assert_eq!((ranges.range_count(), ranges.len()), (1, u64::MAX));
        assert!(ranges.remove(Seq(u64::MAX)) && ranges.remove(Seq(0)));
        ranges.remove_range(Seq(0)..=Seq(u64::MAX));
        assert!(ranges.is_empty());
        assert_eq!(ranges.to_string(), "none");
    }

    #[test]
    fn more_ranges_than_allowed_are_refused_before_they_take_memory() {
        let ranges: Ranges = (1..100).step_by(2).map(Seq).collect();
        assert!(matches!(Ranges::decode(&ranges.encode(), 49), Err(FrameError::TooLarge { .. })));
        let mut bytes = ranges.encode();
        bytes.push(0);
        assert!(Ranges::decode(&bytes, 50).is_err(), "something follows");
        bytes.truncate(bytes.len() - 2);
        assert!(Ranges::decode(&bytes, 50).is_err(), "it is cut");
    }
}

//! By how much counters rose between two observations of a key.
//!
//! Counters travel as PostgreSQL reports them; this module says what they did
//! in between, by the rules of the events that were tried on live servers (see
//! [`epoch`](crate::epoch)). An increase is never negative and never more than
//! what happened; where it can't be known exactly, its [`Quality`] says so.
//!
//! Two steps: [`judge`] says once a row what became of its counters,
//! [`of_int`] and [`of_float`] give each counter's increase by that verdict.
//!
//! ```
//! use pganalytics_core::increase::{Before, Now, Quality, judge, of_int};
//! use pganalytics_core::{CounterFamily, Timestamp, epoch::Continuity};
//! let now = Now { row_stamp: None, previous_scrape: Timestamp::from_secs(60) };
//! let before = Before::Row { stamp: None, was_gone: false };
//! let verdict = judge(CounterFamily::Cumulative, Continuity::Continues, before, now, || false);
//! assert_eq!(verdict.quality, Quality::Exact);
//! assert_eq!(of_int(verdict.rule, Some(40), Some(42)), Some(2));
//! ```

use std::fmt;

use crate::{
    epoch::{Continuity, CounterFamily},
    time::Timestamp,
};

/// An entry that began up to this long before the scrape before may still have
/// been missing from it: the server's clock and the agent's need not agree.
pub const CLOCK_TOLERANCE_MICROS: i64 = 5_000_000;

/// How well an increase is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quality {
    /// It is all that happened.
    Exact,
    /// At least this happened; what was counted before a reset is not known.
    LowerBound,
    /// Nothing is known: it is the first time that anybody looked.
    Unknown,
}

impl Quality {
    /// The word in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::LowerBound => "lower_bound",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a row's increases come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Counters went on: the value less the one before.
    Subtract,
    /// Counters began anew since the scrape before: the value itself.
    Current,
    /// It can't be said.
    Unknown,
}

/// What a row's counters did, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// How increases come about.
    pub rule: Rule,
    /// How good they are.
    pub quality: Quality,
}

impl Verdict {
    const fn new(rule: Rule, quality: Quality) -> Self {
        Self { rule, quality }
    }
}

/// What was seen of a key before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Before {
    /// No earlier scrape of the source is known.
    NoScrape,
    /// There was a scrape, and the key was not in it, nor is it remembered.
    Absent,
    /// The key's last row.
    Row {
        /// Its row stamp.
        stamp: Option<Timestamp>,
        /// Whether the key was missing from scrapes between that row and now.
        was_gone: bool,
    },
}

/// What is seen of it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Now {
    /// The row stamp.
    pub row_stamp: Option<Timestamp>,
    /// When the scrape before was taken; of no matter where there is none.
    pub previous_scrape: Timestamp,
}

/// Says what a row's counters did since the scrape before.
///
/// `continuity` is [`Epoch::until`](crate::Epoch::until) from the scrape before
/// to this one. `fell` says whether any counter of the row is lower than in the
/// row before; it is asked only when it matters.
#[must_use]
pub fn judge(
    family: CounterFamily,
    continuity: Continuity,
    before: Before,
    now: Now,
    fell: impl FnOnce() -> bool,
) -> Verdict {
    let lower_bound = Verdict::new(Rule::Current, Quality::LowerBound);
    match before {
        Before::NoScrape => Verdict::new(Rule::Unknown, Quality::Unknown),
        Before::Absent => first_seen(family, continuity, now),
        Before::Row { .. } if continuity == Continuity::BeganAnew => lower_bound,
        Before::Row { stamp, was_gone } => {
            let stamps = stamp.zip(now.row_stamp);
            let moved = stamps.is_some_and(|(before, after)| before != after);
            match family {
                // An entry has one stamp for all its life.
                CounterFamily::Statements if moved && was_gone && began_since(now) => {
                    Verdict::new(Rule::Current, Quality::Exact)
                }
                CounterFamily::Statements if moved => lower_bound,
                CounterFamily::Statements if stamps.is_some() => Verdict::new(Rule::Subtract, Quality::Exact),
                // A database's stamp also moves when one of its tables is reset.
                CounterFamily::Cumulative | CounterFamily::None => subtract_unless(fell(), was_gone, stamps.is_some()),
                _ if moved => lower_bound,
                _ => subtract_unless(fell(), was_gone, stamps.is_some()),
            }
        }
    }
}

/// Whether only a row stamp decides, so that `fell` is never asked.
#[must_use]
pub fn stamp_decides(family: CounterFamily, before: Option<Timestamp>, now: Option<Timestamp>) -> bool {
    family == CounterFamily::Statements && before.is_some() && now.is_some()
}

fn subtract_unless(fell: bool, was_gone: bool, stamped: bool) -> Verdict {
    match (fell, was_gone && !stamped) {
        (true, _) => Verdict::new(Rule::Current, Quality::LowerBound),
        // It may be another one of the same name that has counted further.
        (false, true) => Verdict::new(Rule::Subtract, Quality::LowerBound),
        (false, false) => Verdict::new(Rule::Subtract, Quality::Exact),
    }
}

fn first_seen(family: CounterFamily, continuity: Continuity, now: Now) -> Verdict {
    match (family, continuity) {
        // Nobody knows when these began to count.
        (CounterFamily::None, _) => Verdict::new(Rule::Unknown, Quality::Unknown),
        // An entry that was there all along and was not shown.
        (CounterFamily::Statements, _) if now.row_stamp.is_some() && !began_since(now) => {
            Verdict::new(Rule::Unknown, Quality::Unknown)
        }
        (_, Continuity::BeganAnew) => Verdict::new(Rule::Current, Quality::LowerBound),
        (CounterFamily::Statements, Continuity::Evicting) if now.row_stamp.is_none() => {
            Verdict::new(Rule::Current, Quality::LowerBound)
        }
        _ => Verdict::new(Rule::Current, Quality::Exact),
    }
}

/// Whether the row began to count after the scrape before.
fn began_since(now: Now) -> bool {
    now.row_stamp.is_some_and(|stamp| stamp.micros_since(now.previous_scrape) >= -CLOCK_TOLERANCE_MICROS)
}

/// An integer counter's increase; `None` where it is not known.
#[must_use]
pub fn of_int(rule: Rule, before: Option<i64>, now: Option<i64>) -> Option<i64> {
    match rule {
        Rule::Subtract => now?.checked_sub(before?),
        Rule::Current => now,
        Rule::Unknown => None,
    }
    .filter(|&increase| increase >= 0)
}

/// A float counter's increase; `None` where it is not known.
#[must_use]
pub fn of_float(rule: Rule, before: Option<f64>, now: Option<f64>) -> Option<f64> {
    match rule {
        Rule::Subtract => Some(now? - before?),
        Rule::Current => now,
        Rule::Unknown => None,
    }
    .filter(|&increase| increase >= 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0: Timestamp = Timestamp::from_secs(1_000);
    const FAMILIES: [CounterFamily; 6] = [
        CounterFamily::None,
        CounterFamily::Cumulative,
        CounterFamily::Shared,
        CounterFamily::Statements,
        CounterFamily::Host,
        CounterFamily::Process,
    ];

    fn now(stamp: Option<i64>) -> Now {
        Now { row_stamp: stamp.map(Timestamp::from_secs), previous_scrape: T0 }
    }

    fn row(stamp: Option<i64>) -> Before {
        Before::Row { stamp: stamp.map(Timestamp::from_secs), was_gone: false }
    }

    fn back(stamp: Option<i64>) -> Before {
        Before::Row { stamp: stamp.map(Timestamp::from_secs), was_gone: true }
    }

    fn verdict(family: CounterFamily, continuity: Continuity, before: Before, at: Now, fell: bool) -> (Rule, Quality) {
        let verdict = judge(family, continuity, before, at, || fell);
        (verdict.rule, verdict.quality)
    }

    use Continuity::{BeganAnew, Continues, Evicting};
    use CounterFamily::{Cumulative, Host, None as NoFamily, Process, Shared, Statements};
    use Quality::{Exact, LowerBound};
    use Rule::{Current, Subtract};

    #[test]
    fn what_goes_on_is_subtracted() {
        for family in FAMILIES {
            assert_eq!(verdict(family, Continues, row(None), now(None), false), (Subtract, Exact));
            assert_eq!(verdict(family, Continues, row(Some(5)), now(Some(5)), false), (Subtract, Exact));
        }
        assert_eq!(verdict(Statements, Evicting, row(None), now(None), false), (Subtract, Exact));
    }

    #[test]
    fn after_a_wipe_the_value_is_a_lower_bound() {
        for family in FAMILIES {
            for fell in [false, true] {
                assert_eq!(verdict(family, BeganAnew, row(None), now(None), fell), (Current, LowerBound));
            }
        }
        assert_eq!(verdict(Cumulative, BeganAnew, Before::Absent, now(None), false), (Current, LowerBound));
    }

    #[test]
    fn a_fall_without_a_stamp_is_a_targeted_reset() {
        for family in FAMILIES {
            assert_eq!(verdict(family, Continues, row(None), now(None), true), (Current, LowerBound));
            assert_eq!(verdict(family, Continues, back(None), now(None), true), (Current, LowerBound));
        }
    }

    #[test]
    fn a_moved_database_stamp_alone_is_no_reset() {
        assert_eq!(verdict(Cumulative, Continues, row(Some(1)), now(Some(2)), false), (Subtract, Exact));
        assert_eq!(verdict(Cumulative, Continues, row(Some(1)), now(Some(2)), true), (Current, LowerBound));
        assert_eq!(verdict(Cumulative, Continues, row(Some(1)), now(None), false), (Subtract, Exact));
    }

    #[test]
    fn a_moved_stamp_of_an_entry_is_a_reset() {
        assert_eq!(verdict(Statements, Continues, row(Some(1)), now(Some(1_030)), false), (Current, LowerBound));
        assert_eq!(verdict(Shared, Continues, row(Some(1)), now(Some(1_030)), false), (Current, LowerBound));
        assert_eq!(verdict(Process, Continues, row(Some(1)), now(Some(1_030)), false), (Current, LowerBound));
        // Evicted, and entered again since the scrape before: nothing is lost.
        assert_eq!(verdict(Statements, Evicting, back(Some(1)), now(Some(1_030)), false), (Current, Exact));
        assert_eq!(verdict(Statements, Evicting, back(Some(1)), now(Some(900)), false), (Current, LowerBound));
    }

    #[test]
    fn an_unmoved_stamp_of_an_entry_is_proof() {
        assert_eq!(verdict(Statements, Evicting, row(Some(1)), now(Some(1)), true), (Subtract, Exact));
        assert_eq!(verdict(Statements, Evicting, back(Some(1)), now(Some(1)), false), (Subtract, Exact));
        assert!(stamp_decides(Statements, Some(T0), Some(T0)));
        assert!(!stamp_decides(Statements, None, Some(T0)));
        assert!(!stamp_decides(Cumulative, Some(T0), Some(T0)));
    }

    #[test]
    fn a_new_key_counts_from_nothing() {
        for family in [Cumulative, Shared, Host, Process, Statements] {
            assert_eq!(verdict(family, Continues, Before::Absent, now(None), false), (Current, Exact));
        }
        assert_eq!(verdict(NoFamily, Continues, Before::Absent, now(None), false), (Rule::Unknown, Quality::Unknown));
    }

    #[test]
    fn a_new_statement_is_exact_unless_entries_were_evicted() {
        assert_eq!(verdict(Statements, Evicting, Before::Absent, now(None), false), (Current, LowerBound));
        assert_eq!(verdict(Statements, Evicting, Before::Absent, now(Some(1_001)), false), (Current, Exact));
        // Clocks differ a little.
        assert_eq!(verdict(Statements, Continues, Before::Absent, now(Some(996)), false), (Current, Exact));
    }

    #[test]
    fn a_statement_that_was_there_but_not_shown_is_unknown() {
        let old = now(Some(500));
        for continuity in [Continues, Evicting, BeganAnew] {
            assert_eq!(verdict(Statements, continuity, Before::Absent, old, false), (Rule::Unknown, Quality::Unknown));
        }
    }

    #[test]
    fn a_key_that_was_gone_may_be_another_one() {
        assert_eq!(verdict(Cumulative, Continues, back(None), now(None), false), (Subtract, LowerBound));
        assert_eq!(verdict(Statements, Evicting, back(None), now(None), false), (Subtract, LowerBound));
    }

    #[test]
    fn the_first_scrape_says_nothing() {
        for family in FAMILIES {
            for continuity in [Continues, Evicting, BeganAnew] {
                assert_eq!(
                    verdict(family, continuity, Before::NoScrape, now(Some(2_000)), false),
                    (Rule::Unknown, Quality::Unknown)
                );
            }
        }
    }

    #[test]
    fn missing_values_have_no_increase() {
        assert_eq!(of_int(Subtract, None, Some(3)), None);
        assert_eq!(of_int(Subtract, Some(3), None), None);
        assert_eq!(of_int(Current, None, Some(3)), Some(3));
        assert_eq!(of_int(Rule::Unknown, Some(1), Some(3)), None);
        assert_eq!(of_int(Subtract, Some(i64::MIN), Some(i64::MAX)), None);
        assert_eq!(of_float(Subtract, Some(1.0), Some(f64::NAN)), None);
        assert_eq!(of_float(Subtract, Some(1.0), Some(1.5)), Some(0.5));
        assert_eq!(of_float(Current, None, Some(1.5)), Some(1.5));
    }

    fn any_before() -> impl Strategy<Value = Before> {
        let stamp = prop::option::of(900_i64..1_100).prop_map(|s| s.map(Timestamp::from_secs));
        prop_oneof![
            Just(Before::NoScrape),
            Just(Before::Absent),
            (stamp, any::<bool>()).prop_map(|(stamp, was_gone)| Before::Row { stamp, was_gone }),
        ]
    }

    proptest! {
        #[test]
        fn an_increase_is_never_negative_nor_more_than_the_value(
            family in prop::sample::select(FAMILIES.to_vec()),
            continuity in prop::sample::select(vec![Continues, Evicting, BeganAnew]),
            before in any_before(),
            stamp in prop::option::of(900_i64..1_100),
            values in (0_i64.., 0_i64..),
        ) {
            let (was, is) = values;
            let verdict = judge(family, continuity, before, now(stamp), || is < was);
            let increase = of_int(verdict.rule, Some(was), Some(is));
            if let Some(increase) = increase {
                prop_assert!((0..=is).contains(&increase));
            }
            prop_assert_eq!(increase.is_none() && is >= was, verdict.quality == Quality::Unknown);
            #[expect(clippy::cast_precision_loss, reason = "the same rule, roughly")]
            let float = of_float(verdict.rule, Some(was as f64), Some(is as f64));
            prop_assert!(float.is_none_or(|increase| increase >= 0.0));
        }

        /// A counter that only rises and is reset at known moments: what the
        /// verdicts call exact is what was done, the rest at most that.
        #[test]
        fn exact_means_exact(
            steps in prop::collection::vec((0_i64..1_000, 0_i64..1_000, 0_u8..4), 1..50)
        ) {
            let (mut value, mut seen, mut reset_at) = (0_i64, 0_i64, 10_i64);
            let mut at = 100_i64;
            for (lost, kept, event) in steps {
                at += 60;
                value += lost;
                let before = Before::Row { stamp: Some(Timestamp::from_secs(reset_at)), was_gone: false };
                let mut continuity = Continues;
                match event {
                    0 => { value = 0; reset_at = at - 1; }
                    1 => { value = 0; reset_at = at - 1; continuity = BeganAnew; }
                    _ => {}
                }
                value += kept;
                let now = Now {
                    row_stamp: Some(Timestamp::from_secs(reset_at)),
                    previous_scrape: Timestamp::from_secs(at - 60),
                };
                let verdict = judge(Statements, continuity, before, now, || value < seen);
                let increase = of_int(verdict.rule, Some(seen), Some(value));
                match verdict.quality {
                    Exact => prop_assert_eq!(increase, Some(lost + kept)),
                    LowerBound => prop_assert!(increase.is_some_and(|i| i <= lost + kept)),
                    Quality::Unknown => prop_assert_eq!(increase, None),
                }
                seen = value;
            }
        }
    }
}

//! What increases promise, event by event and on any course of events.

use proptest::prelude::*;

use super::*;
use crate::testing::FAMILIES;

const T0: Timestamp = Timestamp::from_secs(1_000);

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

use Continuity::{BeganAnew, Continues, Evicting, Unsure};
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
fn where_a_wipe_is_only_possible_nothing_is_called_exact_and_nothing_inflated() {
    assert_eq!(verdict(Cumulative, Unsure, row(None), now(None), false), (Subtract, LowerBound));
    assert_eq!(verdict(Cumulative, Unsure, row(Some(1)), now(Some(1)), false), (Subtract, LowerBound));
    assert_eq!(verdict(Cumulative, Unsure, row(None), now(None), true), (Current, LowerBound));
    assert_eq!(verdict(Cumulative, Unsure, Before::Absent, now(None), false), (Current, LowerBound));
}

#[test]
fn derived_counters_go_on_when_the_row_is_reset() {
    let rule = |continuity, before, fell| {
        let verdict = judge(Cumulative, continuity, before, now(None), || fell);
        rule_of_derived(continuity, before, verdict)
    };
    for continuity in [Continues, Unsure] {
        // The table was reset, its indexes were not.
        assert_eq!(rule(continuity, row(None), true), Subtract);
        assert_eq!(rule(continuity, row(None), false), Subtract);
        assert_eq!(rule(continuity, back(None), true), Subtract);
    }
    // An index was dropped: nobody knows what the others did.
    assert_eq!(of_int(rule(Continues, row(None), false), Some(100), Some(40)), None);
    assert_eq!(rule(BeganAnew, row(None), false), Current);
    assert_eq!(rule(Continues, Before::Absent, false), Current);
    assert_eq!(rule(Continues, Before::NoScrape, false), Rule::Unknown);
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
    for continuity in [Continues, Evicting, Unsure, BeganAnew] {
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
        for continuity in [Continues, Evicting, Unsure, BeganAnew] {
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
        continuity in prop::sample::select(vec![Continues, Evicting, Unsure, BeganAnew]),
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
        prop_assert_eq!(verdict.rule == Rule::Unknown, verdict.quality == Quality::Unknown);
        let negative = verdict.rule == Subtract && is < was;
        prop_assert_eq!(increase.is_none(), negative || verdict.rule == Rule::Unknown);
        let derived = of_int(rule_of_derived(continuity, before, verdict), Some(was), Some(is));
        prop_assert!(derived.is_none_or(|increase| (0..=is).contains(&increase)));
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

//! By how much counters rose between two observations of a key.
//!
//! Counters travel as PostgreSQL reports them; this module says what they did
//! in between, by the rules of the events that were tried on live servers (see
//! [`epoch`](crate::epoch)). An increase is never negative and never more than
//! what happened; where it can't be known exactly, its [`Quality`] says so.
//!
//! Two steps: [`judge`] says once a row what became of its counters,
//! [`of_int`] and [`of_float`] give each counter's increase by that verdict; for
//! counters that other objects keep, by what [`rule_of_derived`] makes of it.
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

pub mod mark;

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

    /// The same, a lower bound at best when something between the two
    /// observations is missing.
    #[must_use]
    pub fn bounded_if(self, missing: bool) -> Self {
        let quality = if missing { self.quality.max(Quality::LowerBound) } else { self.quality };
        Self { quality, ..self }
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
/// to this one. `fell` says whether any of the row's own counters
/// ([`Schema::own_counters`](crate::Schema::own_counters)) is lower than in the
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
                CounterFamily::Cumulative | CounterFamily::None => {
                    let unsure = continuity == Continuity::Unsure;
                    subtract_unless(fell(), was_gone && stamps.is_none() || unsure)
                }
                _ if moved => lower_bound,
                _ => subtract_unless(fell(), was_gone && stamps.is_none()),
            }
        }
    }
}

/// How increases of a row's derived counters come about
/// ([`Schema::derived`](crate::Schema::derived)), given what [`judge`] said of
/// the row by its own counters.
///
/// The objects that keep them are dropped and reset by themselves. So a reset of
/// the row leaves them as they are, and one that fell did not begin anew: its
/// increase is not known, which is what [`of_int`] and [`of_float`] make of a
/// negative difference.
#[must_use]
pub fn rule_of_derived(continuity: Continuity, before: Before, verdict: Verdict) -> Rule {
    match before {
        Before::Row { .. } if continuity != Continuity::BeganAnew => Rule::Subtract,
        _ => verdict.rule,
    }
}

/// Whether only a row stamp decides, so that `fell` is never asked.
#[must_use]
pub fn stamp_decides(family: CounterFamily, before: Option<Timestamp>, now: Option<Timestamp>) -> bool {
    family == CounterFamily::Statements && before.is_some() && now.is_some()
}

/// `doubtful`: it may be another one of the same name that has counted further,
/// or the same one after a wipe.
fn subtract_unless(fell: bool, doubtful: bool) -> Verdict {
    match (fell, doubtful) {
        (true, _) => Verdict::new(Rule::Current, Quality::LowerBound),
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
        (_, Continuity::BeganAnew | Continuity::Unsure) => Verdict::new(Rule::Current, Quality::LowerBound),
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
mod tests;

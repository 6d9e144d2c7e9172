//! Since when counters count.
//!
//! PostgreSQL's counters begin anew at some events and go on across others, and
//! no single stamp tells which. What a live server does (versions 14-18):
//!
//! | event | what moves | counters |
//! |---|---|---|
//! | clean restart | auxiliary processes start anew | all go on |
//! | crash of a backend | cluster-wide stamps *and* auxiliary processes; the postmaster's start does not | all begin anew |
//! | immediate stop and start | the same | all begin anew, statements go on |
//! | reset of one shared view | that view's stamp only | that view's begin anew |
//! | reset of a table | its database's stamp | that table's begin anew |
//! | reset of statements | the statements' stamp | all statements begin anew |
//!
//! So each batch carries an [`Epoch`] with what was seen, and [`Epoch::until`]
//! says what that means for counters of a family. Two events between two scrapes
//! can look alike; then it says that it is unsure.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Counters that begin anew together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CounterFamily {
    /// No counters, or counters without any known beginning.
    #[default]
    None,
    /// Cumulative statistics of databases, tables, indexes, functions. Their
    /// stamp is the oldest of the cluster-wide views' stamps.
    Cumulative,
    /// One shared view with a stamp of its own (`pg_stat_bgwriter`, `pg_stat_wal`…).
    Shared,
    /// `pg_stat_statements`; its stamp is that of `pg_stat_statements_info`.
    Statements,
    /// Counters of a host; they begin at its boot.
    Host,
    /// Counters of one process (a backend, a WAL sender); the key names it.
    Process,
}

/// What was seen of a family's beginnings when a batch was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Epoch {
    /// The family's own stamp: `stats_reset`, or the host's boot time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Timestamp>,
    /// Start of the oldest auxiliary process of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Evictions so far (`pg_stat_statements_info.dealloc`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evictions: Option<i64>,
}

/// What happened to a family between two batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// Counters went on. A counter that fell was reset by itself.
    Continues,
    /// Counters went on, but entries may have been evicted and begun anew.
    Evicting,
    /// Counters went on or began anew, and the epochs do not tell which: only a
    /// counter that fell is known to have begun anew.
    Unsure,
    /// All counters began anew. What they counted between the last batch and
    /// that moment is unknown.
    BeganAnew,
}

/// A crash stamps the views within milliseconds of the start of the auxiliary
/// processes, by the same clock.
const CRASH_STAMPS_WITHIN_MICROS: i64 = 1_000_000;

impl Epoch {
    /// What happened between this epoch and a later one of the same family.
    #[must_use]
    pub fn until(&self, later: &Self, family: CounterFamily) -> Continuity {
        let stamp_moved = match (self.stamp, later.stamp) {
            (Some(before), Some(after)) => before != after,
            // 16-18 forget some stamps in a crash; not knowing is no proof.
            _ => false,
        };
        match family {
            CounterFamily::Cumulative if stamp_moved => self.until_stamp_moved(later),
            CounterFamily::Shared | CounterFamily::Statements | CounterFamily::Host if stamp_moved => {
                Continuity::BeganAnew
            }
            // Before pg_stat_statements 1.9 nobody counts evictions: there may be some.
            CounterFamily::Statements if later.evictions.is_none() || self.evictions != later.evictions => {
                Continuity::Evicting
            }
            _ => Continuity::Continues,
        }
    }

    /// What a new cluster-wide stamp means for cumulative counters, which a
    /// crash wipes and a reset of all shared views by hand does not touch.
    fn until_stamp_moved(&self, later: &Self) -> Continuity {
        let (Some(stamp), Some(before), Some(started)) = (later.stamp, self.started, later.started) else {
            return Continuity::Unsure;
        };
        if before == started {
            // By hand: a crash starts the auxiliary processes anew.
            return Continuity::Continues;
        }
        // Both moved. Apart in time they tell of two events, a reset by hand and
        // a restart, and the restart may have been a clean one or a crash.
        if stamp.micros_since(started).saturating_abs() <= CRASH_STAMPS_WITHIN_MICROS {
            Continuity::BeganAnew
        } else {
            Continuity::Unsure
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server as of which the epoch is read: its clock, and what the events do.
    #[derive(Clone, Copy)]
    struct Server {
        now: i64,
        epoch: Epoch,
    }

    fn at(secs: i64) -> Option<Timestamp> {
        Some(Timestamp::from_secs(secs))
    }

    impl Server {
        fn new() -> Self {
            Self { now: 1_000, epoch: Epoch { stamp: at(100), started: at(500), evictions: None } }
        }

        fn after(mut self, secs: i64) -> Self {
            self.now += secs;
            self
        }

        fn clean_restart(mut self) -> Self {
            self.epoch.started = at(self.now);
            self
        }

        fn crash(mut self) -> Self {
            let millis = |millis: i64| Timestamp::from_micros(self.now * 1_000_000 + millis * 1_000);
            self.epoch = Epoch { stamp: Some(millis(9)), started: Some(millis(0)), ..self.epoch };
            self
        }

        fn reset_of_all_shared_views(mut self) -> Self {
            self.epoch.stamp = at(self.now);
            self
        }

        fn since(&self, before: &Self) -> Continuity {
            before.epoch.until(&self.epoch, CounterFamily::Cumulative)
        }
    }

    #[test]
    fn one_event_between_two_scrapes_is_told_apart() {
        let before = Server::new();
        assert_eq!(before.after(60).since(&before), Continuity::Continues);
        assert_eq!(before.after(10).clean_restart().since(&before), Continuity::Continues);
        assert_eq!(before.after(10).reset_of_all_shared_views().since(&before), Continuity::Continues);
        assert_eq!(before.after(10).crash().since(&before), Continuity::BeganAnew);
        assert_eq!(before.after(10).crash().after(5).crash().since(&before), Continuity::BeganAnew);
    }

    #[test]
    fn a_reset_by_hand_and_a_restart_are_not_taken_for_a_crash() {
        let before = Server::new();
        let after = before.after(10).reset_of_all_shared_views().after(5).clean_restart();
        assert_eq!(after.since(&before), Continuity::Unsure);
        let after = before.after(10).clean_restart().after(5).reset_of_all_shared_views();
        assert_eq!(after.since(&before), Continuity::Unsure);
        // Nor is a crash that hides behind another event taken for none.
        assert_eq!(before.after(10).crash().after(5).clean_restart().since(&before), Continuity::Unsure);
        assert_eq!(before.after(10).crash().after(5).reset_of_all_shared_views().since(&before), Continuity::Unsure);
    }

    #[test]
    fn what_is_not_seen_proves_nothing() {
        let before = Server::new();
        let mut blind = before.after(10).crash();
        blind.epoch.started = None;
        assert_eq!(blind.since(&before), Continuity::Unsure);
        blind.epoch.stamp = None;
        assert_eq!(blind.since(&before), Continuity::Continues);
    }

    #[test]
    fn other_families_go_by_their_own_stamp() {
        let before = Epoch { stamp: at(1), started: at(1), evictions: Some(3) };
        let reset = Epoch { stamp: at(2), ..before };
        let restarted = Epoch { started: at(2), ..before };
        for family in [CounterFamily::Shared, CounterFamily::Statements, CounterFamily::Host] {
            assert_eq!(before.until(&reset, family), Continuity::BeganAnew);
            assert_eq!(before.until(&restarted, family), Continuity::Continues);
        }
        let evicted = Epoch { evictions: Some(4), ..before };
        assert_eq!(before.until(&evicted, CounterFamily::Statements), Continuity::Evicting);
        let uncounted = Epoch { evictions: None, ..before };
        assert_eq!(uncounted.until(&uncounted, CounterFamily::Statements), Continuity::Evicting);
        for family in [CounterFamily::None, CounterFamily::Process] {
            assert_eq!(before.until(&reset, family), Continuity::Continues);
        }
    }

    #[test]
    fn stamps_at_the_ends_of_the_range_do_no_harm() {
        let end = |micros| Some(Timestamp::from_micros(micros));
        let before = Epoch { stamp: end(0), started: end(0), evictions: None };
        let after = Epoch { stamp: end(i64::MIN), started: end(i64::MAX), evictions: None };
        assert_eq!(before.until(&after, CounterFamily::Cumulative), Continuity::Unsure);
    }
}

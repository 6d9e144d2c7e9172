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
//! says what that means for counters of a family.

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
    /// All counters began anew. What they counted between the last batch and
    /// that moment is unknown.
    BeganAnew,
}

impl Epoch {
    /// What happened between this epoch and a later one of the same family.
    #[must_use]
    pub fn until(&self, later: &Self, family: CounterFamily) -> Continuity {
        let stamp_moved = match (self.stamp, later.stamp) {
            (Some(before), Some(after)) => before != after,
            // 16-18 forget some stamps in a crash; not knowing is no proof.
            _ => false,
        };
        let restarted = match (self.started, later.started) {
            (Some(before), Some(after)) => before != after,
            _ => true,
        };
        match family {
            CounterFamily::Cumulative if stamp_moved && restarted => Continuity::BeganAnew,
            CounterFamily::Shared | CounterFamily::Statements | CounterFamily::Host if stamp_moved => {
                Continuity::BeganAnew
            }
            CounterFamily::Statements if self.evictions != later.evictions => Continuity::Evicting,
            _ => Continuity::Continues,
        }
    }
}

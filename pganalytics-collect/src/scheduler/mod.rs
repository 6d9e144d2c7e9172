//! Visits collectors when their time has come.
//!
//! * Each collector has a task of its own: one that hangs or panics costs no
//!   other its rhythm. Never two visits of one collector at once.
//! * Ticks lie on a grid that is fixed when the agent starts, with a phase that
//!   depends on the agent's and the collector's name, so that agents do not all
//!   ask at once. The first visit comes at once (within a second).
//! * A visit that overruns is left to run out; the ticks it overran are skipped
//!   and counted, and each measurement it should have brought has a `skipped`
//!   line in `agent_scrape` meanwhile.
//! * A panic is reported like a failure; the collector is visited again after a
//!   pause that grows, and all it brings next are keyframes.
//! * Frames of one visit go to the outbox together.

mod accounts;
mod change_log;
mod handover;
mod plan;
mod rhythm;
mod runner;
mod slots;
mod split;
mod time;

pub(crate) use accounts::Accounts;
pub(crate) use handover::{Losses, RunnerContext};
pub use plan::Plan;
pub(crate) use runner::Runner;
pub(crate) use time::Time;

use std::sync::atomic::{AtomicU64, Ordering};

/// What the scheduler has done so far.
#[derive(Debug, Default)]
pub struct SchedulerStats {
    visits: AtomicU64,
    skipped: AtomicU64,
    failures: AtomicU64,
    panics: AtomicU64,
    duplicates: AtomicU64,
}

impl SchedulerStats {
    /// Visits that ended.
    #[must_use]
    pub fn visits(&self) -> u64 {
        self.visits.load(Ordering::Relaxed)
    }

    /// Ticks that were left out because a visit took too long.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Measurements that failed at a source.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Visits that panicked.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Rows left out because a later one had the same key.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// A task of the agent ended by a panic.
    pub(crate) fn note_panic(&self) {
        Self::add(&self.panics, 1);
    }

    fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

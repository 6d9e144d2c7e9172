//! Which queries run, and until when they should.
//!
//! A query gives way at its deadline wherever it waits. What computes without a
//! pause, as a planner that lost its way, can't be stopped inside of a process; it
//! can only be noticed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// After its deadline a query may take this long to notice.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Underway {
    all: Arc<Mutex<Queries>>,
}

#[derive(Debug, Default)]
struct Queries {
    next: u64,
    deadlines: HashMap<u64, Instant>,
}

/// A query that runs, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    all: Arc<Mutex<Queries>>,
}

impl Underway {
    /// Notes a query that should end by then.
    pub(super) fn until(&self, deadline: Instant) -> Place {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.next += 1;
        let number = all.next;
        all.deadlines.insert(number, deadline);
        Place { number, all: Arc::clone(&self.all) }
    }

    /// How many run though they should have ended long ago.
    pub(super) fn lost(&self) -> usize {
        let now = Instant::now();
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.deadlines.values().filter(|deadline| **deadline + PATIENCE < now).count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).deadlines.remove(&self.number);
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_query_is_lost_only_long_after_its_deadline() {
        let underway = Underway::default();
        let place = underway.until(Instant::now() + Duration::from_secs(30));
        let quick = underway.until(Instant::now() + Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(35)).await;
        assert_eq!(underway.lost(), 0);
        drop(quick);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(underway.lost(), 1);
        drop(place);
        assert_eq!(underway.lost(), 0);
    }
}

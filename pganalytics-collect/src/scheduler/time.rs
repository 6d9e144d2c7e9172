//! The time of samples: the host's clock, as long as it goes steadily.
//!
//! * It never goes back by itself: a clock that is set back a little is waited for.
//! * When the clock was set by more than [`STEP`], the time goes on from there, and
//!   says so: the time between two samples is not known then. The scheduler makes
//!   the next batches keyframes with a flag.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pganalytics_core::Timestamp;
use tokio::time::Instant;
use tracing::warn;

use crate::clock::Clock;

/// What is more than this is a step, and not the way in which a clock is kept right.
const STEP: Duration = Duration::from_secs(2);

/// See the [module](self). Clones share what they know.
#[derive(Debug, Clone)]
pub(crate) struct Time {
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug)]
struct Known {
    last: Timestamp,
    at: Instant,
    steps: u64,
}

impl Time {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let known = Known { last: clock.now(), at: Instant::now(), steps: 0 };
        Self { clock, known: Arc::new(Mutex::new(known)) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.look().0
    }

    /// The time, and how often the clock was set so far.
    pub(crate) fn look(&self) -> (Timestamp, u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall, at) = (self.clock.now(), Instant::now());
        let passed = i64::try_from((at - known.at).as_micros()).unwrap_or(i64::MAX);
        let off = wall.micros_since(known.last.plus_micros(passed));
        if off.unsigned_abs() > u64::try_from(STEP.as_micros()).unwrap_or(u64::MAX) {
            known.steps += 1;
            warn!(
                seconds = off / 1_000_000,
                "the clock of this host was set; samples of before and after can't be compared by their times"
            );
            known.last = wall;
        } else {
            known.last = wall.max(known.last);
        }
        known.at = at;
        (known.last, known.steps)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Wall(AtomicI64);

    impl Clock for Arc<Wall> {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.load(Ordering::SeqCst))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_small_steps_back_and_tells_of_large_ones() {
        let wall = Arc::new(Wall::default());
        let time = Time::new(Arc::new(Arc::clone(&wall)));
        let go = |millis: u64, set: i64| {
            let (wall, time) = (Arc::clone(&wall), time.clone());
            async move {
                tokio::time::advance(Duration::from_millis(millis)).await;
                wall.0.fetch_add((i64::try_from(millis).unwrap() + set) * 1000, Ordering::SeqCst);
                let (now, steps) = time.look();
                (now.as_micros() / 1000, steps)
            }
        };
        assert_eq!(go(1000, 0).await, (1000, 0));
        assert_eq!(go(1000, -1500).await, (1000, 0), "it does not go back");
        assert_eq!(go(1000, 0).await, (1500, 0));
        assert_eq!(go(1000, 1000).await, (3500, 0));
        assert_eq!(go(1000, 3_600_000).await, (3_604_500, 1));
        assert_eq!(go(1000, -3_600_000).await, (5500, 2));
        assert_eq!(go(60_000, 0).await, (65_500, 2));
    }
}

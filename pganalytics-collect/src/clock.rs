//! The wall clock, passed in so that tests and simulators can drive it.

use std::fmt;

use pganalytics_core::Timestamp;
use tokio::time::Instant;

/// Tells the time of day. Rhythms do not follow it: they are kept by tokio's
/// clock, which never jumps.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
    }
}

/// A clock that begins at a given time and goes with tokio's, also when that is
/// paused.
#[derive(Debug, Clone, Copy)]
pub struct SteadyClock {
    start: Timestamp,
    since: Instant,
}

impl SteadyClock {
    /// A clock that shows `start` now.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self { start, since: Instant::now() }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        self.start.plus_micros(i64::try_from(self.since.elapsed().as_micros()).unwrap_or(i64::MAX))
    }
}

//! What time it is at the receiver, as its replies tell.
//!
//! A reply's `Date` was written between the moment at which the request left and the
//! one at which the reply came; so each reply gives the receiver's clock within
//! bounds. Bounds of several replies are narrower than those of one: the clock is
//! where all of them agree. They are kept against the monotonic clock, so a host
//! whose own clock is set in between changes nothing.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pganalytics_core::Timestamp;
use tokio::time::Instant;

use crate::sink::ReceiverTime;

/// `Date` has whole seconds, and servers write it anew once a second.
const DATE: i64 = 2_000_000;
/// A reply that took longer says too little.
const SLOW: Duration = Duration::from_secs(10);
/// Clocks drift apart by up to this many millionths.
const DRIFT: i64 = 100;

/// Bounds of the receiver's clock, in microseconds since 1970 at `at`.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    low: i64,
    high: i64,
    at: Instant,
}

impl Bounds {
    /// The same at another moment, wider by what clocks may have drifted.
    fn later(self, at: Instant) -> Self {
        let passed = micros(at.saturating_duration_since(self.at));
        let drift = passed / 1_000_000 * DRIFT;
        let low = self.low.saturating_add(passed).saturating_sub(drift);
        let high = self.high.saturating_add(passed).saturating_add(drift);
        Self { low, high, at: at.max(self.at) }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Learns the receiver's clock from its replies.
#[derive(Debug, Default)]
pub(super) struct ReceiverClock(Mutex<Option<Bounds>>);

impl ReceiverClock {
    /// Notes the `Date` of a reply to a request that left at `sent` and was answered
    /// at `answered`.
    pub(super) fn note(&self, date: Timestamp, sent: Instant, answered: Instant) {
        let took = answered.saturating_duration_since(sent);
        if took > SLOW {
            return;
        }
        let low = date.as_micros();
        let new = Bounds { low, high: low.saturating_add(DATE).saturating_add(micros(took)), at: answered };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = known.map(|bounds| bounds.later(answered));
        let both = old.map(|old| Bounds { low: old.low.max(new.low), high: old.high.min(new.high), at: answered });
        // Where they don't agree one of the clocks was set, and the last word counts.
        *known = Some(both.filter(|both| both.low <= both.high).unwrap_or(new));
    }

    /// The receiver's time; `None` before its first reply.
    pub(super) fn now(&self) -> Option<ReceiverTime> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = known?.later(Instant::now());
        let half = now.high.saturating_sub(now.low) / 2;
        let within = Duration::from_micros(u64::try_from(half).unwrap_or_default());
        Some(ReceiverTime { now: Timestamp::from_micros(now.low.saturating_add(half)), within })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::time::advance;

    use super::*;

    /// What a server whose clock shows `clock` milliseconds now writes as `Date`, with a
    /// date that it wrote up to a second ago.
    fn date(clock: i64, age: i64) -> Timestamp {
        Timestamp::from_secs((clock - age) / 1000)
    }

    #[tokio::test(start_paused = true)]
    async fn many_replies_tell_more_than_one_and_all_hold_the_true_time() {
        let start = Instant::now();
        let receiver = ReceiverClock::default();
        assert_eq!(receiver.now(), None);
        let server = || 1_800_000_000_000 + i64::try_from(start.elapsed().as_millis()).unwrap();
        let mut first = None;
        for reply in 0..200_i64 {
            let sent = Instant::now();
            advance(Duration::from_millis(5 + u64::try_from(reply * 7 % 40).unwrap())).await;
            let written = date(server(), reply * 131 % 1000);
            advance(Duration::from_millis(3)).await;
            receiver.note(written, sent, Instant::now());
            let told = receiver.now().unwrap();
            let off =
                Duration::from_micros(told.now.micros_since(Timestamp::from_micros(server() * 1000)).unsigned_abs());
            assert!(off <= told.within, "{off:?} {told:?} after {reply}");
            first.get_or_insert(told.within);
            advance(Duration::from_millis(977)).await;
        }
        let last = receiver.now().unwrap().within;
        assert!(last < Duration::from_millis(600) && last < first.unwrap(), "{last:?} {first:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_is_believed_and_a_slow_reply_is_not() {
        let receiver = ReceiverClock::default();
        let tell = async |seconds: i64, took: u64| {
            let sent = Instant::now();
            advance(Duration::from_secs(took)).await;
            receiver.note(Timestamp::from_secs(seconds), sent, Instant::now());
            receiver.now().unwrap()
        };
        let off = |told: ReceiverTime, seconds: i64| told.now.micros_since(Timestamp::from_secs(seconds)).abs();
        assert!(off(tell(1000, 0).await, 1000) <= DATE);
        assert!(off(tell(5000, 0).await, 5000) <= DATE, "it was set ahead");
        assert!(off(tell(2000, 0).await, 2000) <= DATE, "and back");
        assert!(off(tell(9000, 11).await, 2011) <= DATE, "a reply that took 11 s says nothing");
    }

    #[test]
    fn times_that_no_clock_has_do_no_harm() {
        let (receiver, now) = (ReceiverClock::default(), Instant::now());
        for date in [i64::MIN, i64::MAX, 0, -1] {
            receiver.note(Timestamp::from_micros(date), now, now);
            assert!(receiver.now().is_some());
        }
    }
}

//! The time of samples: the host's clock, as long as it goes steadily and right.
//!
//! * It never goes back by itself: a clock that is set back a little is waited for.
//! * A host whose clock is more than [`STEP`] away from the receiver's goes by the
//!   receiver's, until the two agree again. How far apart they are is told with every
//!   sample.
//! * When the time had to be set by more than [`STEP`], it goes on from there, and
//!   says so: the time between two samples is not known then. The scheduler makes
//!   the next batches keyframes with a flag.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pganalytics_core::Timestamp;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    clock::Clock,
    sink::{ReceiverTime, Sink},
};

/// What is more than this is a step, and not the way in which a clock is kept right.
const STEP: Duration = Duration::from_secs(2);
/// The host's clock is right again when it is as near to the receiver's as this.
const AGREE: Duration = Duration::from_secs(1);
/// Offsets are told in steps of this many microseconds: more is not known, and what
/// stays the same takes no room.
const OFFSET: i64 = 100_000;

/// See the [module](self). Clones share what they know.
#[derive(Clone)]
pub(crate) struct Time {
    clock: Arc<dyn Clock>,
    /// Knows the receiver's time.
    receiver: Option<Arc<dyn Sink>>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug)]
struct Known {
    last: Timestamp,
    at: Instant,
    steps: u64,
    /// The host's clock is wrong: the receiver's counts.
    follows: bool,
}

impl Time {
    pub(crate) fn new(clock: Arc<dyn Clock>, receiver: Option<Arc<dyn Sink>>) -> Self {
        let known = Known { last: clock.now(), at: Instant::now(), steps: 0, follows: false };
        Self { clock, receiver, known: Arc::new(Mutex::new(known)) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.look().0
    }

    /// By how many microseconds the receiver's clock is ahead of the host's; `None`:
    /// not measured.
    pub(crate) fn offset(&self) -> Option<i64> {
        let receiver = self.receiver.as_ref()?.receiver_time()?;
        let ahead = receiver.now.micros_since(self.clock.now());
        Some((ahead.saturating_add(OFFSET / 2)).div_euclid(OFFSET) * OFFSET)
    }

    /// The time, and how often the clock was set so far.
    pub(crate) fn look(&self) -> (Timestamp, u64) {
        let receiver = self.receiver.as_deref().and_then(Sink::receiver_time);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        let wall = known.choose(self.clock.now(), receiver);
        let off = wall.micros_since(known.last.plus_micros(micros(at - known.at)));
        if off.unsigned_abs() > micros(STEP).unsigned_abs() {
            known.steps += 1;
            warn!(
                seconds = off / 1_000_000,
                "the clock was set; samples of before and after can't be compared by their times"
            );
            known.last = wall;
        } else {
            known.last = wall.max(known.last);
        }
        known.at = at;
        (known.last, known.steps)
    }
}

impl Known {
    /// The host's time, or the receiver's where the host's is wrong.
    fn choose(&mut self, host: Timestamp, receiver: Option<ReceiverTime>) -> Timestamp {
        let Some(ReceiverTime { now, within }) = receiver else { return host };
        let ahead = now.micros_since(host);
        let apart = Duration::from_micros(ahead.unsigned_abs());
        if !self.follows && apart.saturating_sub(within) > STEP {
            self.follows = true;
            warn!(
                seconds = ahead / 1_000_000,
                "this host's clock is wrong: the server's is ahead by so much, and samples have the server's time; \
                 see whether NTP runs here"
            );
        } else if self.follows && apart <= AGREE {
            self.follows = false;
            info!("this host's clock agrees with the server's again");
        }
        if self.follows { now } else { host }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
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
        let time = Time::new(Arc::new(Arc::clone(&wall)), None);
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

    /// A receiver whose clock goes right, and which knows its time to within 300 ms.
    struct Receiver(Timestamp, Instant);

    #[async_trait::async_trait]
    impl Sink for Receiver {
        async fn deliver(&self, group: crate::FrameGroup) -> Result<crate::sink::Delivery, crate::SinkError> {
            Ok(crate::sink::Delivery::all(&group))
        }

        fn receiver_time(&self) -> Option<ReceiverTime> {
            let now = self.0.plus_micros(micros(self.1.elapsed()));
            Some(ReceiverTime { now, within: Duration::from_millis(300) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_whose_clock_is_wrong_goes_by_the_receivers_until_it_is_set_right() {
        const HOUR: i64 = 3_600_000_000;
        let (wall, start) = (Arc::new(Wall::default()), Instant::now());
        let receiver: Arc<dyn Sink> = Arc::new(Receiver(Timestamp::from_secs(0), start));
        let time = Time::new(Arc::new(Arc::clone(&wall)), Some(receiver));
        let after = async |set: i64| {
            tokio::time::advance(Duration::from_secs(10)).await;
            wall.0.fetch_add(10_000_000 + set, Ordering::SeqCst);
            let ((now, steps), offset) = (time.look(), time.offset().unwrap());
            (now.micros_since(Timestamp::from_micros(micros(start.elapsed()))), steps, offset)
        };
        assert_eq!(after(0).await, (0, 0, 0));
        assert_eq!(after(1_900_000).await, (1_900_000, 0, -1_900_000), "less than two seconds off is left alone");
        assert_eq!(after(-1_900_000).await, (0, 0, 0));
        // An hour ahead, as seen at the first look: the samples go on with the right time.
        assert_eq!(after(HOUR).await, (0, 0, -HOUR));
        assert_eq!(after(0).await, (0, 0, -HOUR));
        // It is set right: nothing of it is seen.
        assert_eq!(after(-HOUR).await, (0, 0, 0));
        assert_eq!(after(-HOUR).await, (0, 0, HOUR));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_word_of_the_receiver_is_a_step_where_the_host_was_wrong() {
        let wall = Arc::new(Wall::default());
        let receiver: Arc<dyn Sink> = Arc::new(Receiver(Timestamp::from_secs(7200), Instant::now()));
        let time = Time::new(Arc::new(Arc::clone(&wall)), Some(receiver));
        assert_eq!(time.look(), (Timestamp::from_secs(7200), 1));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(time.look(), (Timestamp::from_secs(7210), 1));
    }
}

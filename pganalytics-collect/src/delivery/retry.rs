//! How long to wait before trying again.

use std::time::Duration;

use crate::rng::Rng;

/// Pauses that grow: full jitter between nothing and a bound that doubles.
///
/// Full jitter spreads agents that failed together, so a receiver that comes
/// back is not run over.
#[derive(Debug, Clone)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    jitter: bool,
    bound: Duration,
    rng: Rng,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(60), true)
    }
}

impl Backoff {
    /// Pauses whose bound goes from `initial` to `max`; without jitter a pause
    /// is its bound.
    #[must_use]
    pub fn new(initial: Duration, max: Duration, jitter: bool) -> Self {
        Self { initial, max, jitter, bound: initial, rng: Rng::new() }
    }

    /// The next pause, never shorter than what the receiver asked for.
    pub fn next_pause(&mut self, retry_after: Option<Duration>) -> Duration {
        let bound = self.bound.min(self.max);
        self.bound = bound.saturating_mul(2).min(self.max);
        let pause = if self.jitter { bound.mul_f64(self.rng.next_f64()) } else { bound };
        match retry_after {
            // Those who were told the same time should not all come at it.
            Some(asked) => asked.min(MAX_RETRY_AFTER) + pause,
            None => pause,
        }
    }

    /// It worked: the next pause is short again.
    pub fn reset(&mut self) {
        self.bound = self.initial;
    }
}

/// A receiver can't silence an agent for longer.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_shrink_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60), false);
        let pauses: Vec<_> = (0..9).map(|_| backoff.next_pause(None).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        backoff.reset();
        assert_eq!(backoff.next_pause(None).as_millis(), 500);
    }

    #[test]
    fn jitter_fills_the_whole_range_and_retry_after_is_obeyed() {
        let mut backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(10), true);
        let pauses: Vec<_> = (0..1000).map(|_| backoff.next_pause(None).as_secs_f64()).collect();
        let mean = pauses.iter().sum::<f64>() / 1000.0;
        assert!(pauses.iter().all(|pause| (0.0..=10.0).contains(pause)) && (4.5..5.5).contains(&mean), "{mean}");
        for _ in 0..100 {
            assert!(backoff.next_pause(Some(Duration::from_secs(30))) >= Duration::from_secs(30));
        }
    }
}

//! When a measurement is taken.

use std::time::Duration;

use pganalytics_core::Timestamp;
use tokio::time::Instant;

/// A grid of ticks. It is laid once, by the wall clock, so that an agent that
/// restarts keeps its rhythm; from then on it goes by the monotonic clock and does
/// not move when the wall clock does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    start: Instant,
    /// Microseconds from the wall clock's zero, less the phase, at `start`.
    offset: u128,
}

impl Grid {
    /// The grid of whoever has this phase.
    pub(super) fn new(start: Instant, wall: Timestamp, phase: u64) -> Self {
        let wall = u128::try_from(wall.as_micros()).unwrap_or_default();
        // A day more, so that no phase takes it below zero.
        Self { start, offset: wall + 86_400_000_000 - u128::from(phase % 86_400_000_000) }
    }

    /// The first tick after `time`.
    pub(super) fn next_after(&self, time: Instant, interval: Duration) -> Instant {
        let step = interval.as_micros().max(1);
        let at = self.offset + time.saturating_duration_since(self.start).as_micros();
        let next = (at / step + 1) * step - self.offset;
        self.start + Duration::from_micros(u64::try_from(next).unwrap_or(u64::MAX / 4))
    }
}

/// Whether a tick is taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tick {
    /// It is due.
    pub due: bool,
    /// Ticks that are left out.
    pub skipped: u64,
    /// The next tick that is not decided yet.
    pub next: Instant,
}

/// What becomes of the tick `next` at the time `now`. One that comes late by up
/// to half an interval is still taken; older ones are skipped.
pub(super) fn decide(next: Instant, now: Instant, interval: Duration) -> Tick {
    let Some(late) = now.checked_duration_since(next) else {
        return Tick { due: false, skipped: 0, next };
    };
    let step = interval.as_micros().max(1);
    let missed = u32::try_from(late.as_micros() / step).unwrap_or(u32::MAX);
    let last = next + interval.saturating_mul(missed);
    let due = now.saturating_duration_since(last) <= interval / 2;
    Tick { due, skipped: u64::from(missed) + u64::from(!due), next: last + interval }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn ticks_keep_their_rhythm_across_restarts_and_differ_by_phase() {
        let start = Instant::now();
        let interval = 60 * SECOND;
        let first_tick = |wall: i64, phase: u64| {
            let grid = Grid::new(start, Timestamp::from_secs(wall), phase);
            let first = grid.next_after(start, interval);
            assert!(first > start && first <= start + interval);
            assert_eq!(grid.next_after(first, interval), first + interval);
            (wall + i64::try_from((first - start).as_secs()).unwrap_or_default()) % 60
        };
        assert_eq!(first_tick(1_000_000, 7_000_000), 7);
        assert_eq!(first_tick(1_000_033, 7_000_000), 7);
        assert_eq!(first_tick(1_000_033, 40_000_000), 40);
    }

    #[test]
    fn late_ticks_are_taken_or_skipped() {
        let tick = Instant::now();
        let ten = 10 * SECOND;
        let at = |late| decide(tick, tick + late * SECOND, ten);
        assert_eq!(at(0), Tick { due: true, skipped: 0, next: tick + ten });
        assert_eq!(at(5), Tick { due: true, skipped: 0, next: tick + ten });
        assert_eq!(at(7), Tick { due: false, skipped: 1, next: tick + ten });
        assert_eq!(at(31), Tick { due: true, skipped: 3, next: tick + 4 * ten });
        assert!(!decide(tick + SECOND, tick, ten).due);
    }
}

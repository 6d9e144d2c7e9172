//! When the next sample is taken.
//!
//! Time is cut into slots of one period, and each slot has its sample at a
//! random moment: what happens every second on the second is found as often as
//! its share of time says, neither always nor never. A sample stands for its
//! slot; slots without a sample stand for nothing. The servers of an agent have
//! their slots and moments in common, so that it wakes once for all of them.
//!
//! The period is the one that was asked for, doubled until a sample costs less
//! than [`MOST_LOAD`] of it, on the server and on our side.

use std::time::Duration;

use tokio::time::Instant;

use crate::rng::Rng;

/// Part of a processor core that sampling one server may cost.
const MOST_LOAD: f64 = 0.01;

/// Samples are not made rarer than this by what they cost.
const LONGEST: Duration = Duration::from_secs(60);

/// Longest pause between two attempts where there is no answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What the samples of an agent's servers have in common.
#[derive(Debug)]
pub(crate) struct SlotGrid {
    /// A slot of each length begins here.
    began: Instant,
    rng: Rng,
}

impl Default for SlotGrid {
    fn default() -> Self {
        Self::new(Instant::now())
    }
}

impl SlotGrid {
    fn new(began: Instant) -> Self {
        Self { began, rng: Rng::new() }
    }

    /// Where the slot of this length began that `now` is in.
    fn slot(&self, now: Instant, period: Duration) -> Instant {
        let inside = now.saturating_duration_since(self.began).as_nanos() % period.as_nanos().max(1);
        now.checked_sub(Duration::from_nanos(u64::try_from(inside).unwrap_or_default())).unwrap_or(now)
    }

    /// The moment of a slot's sample.
    fn sample_time(&self, slot: Instant, period: Duration) -> Instant {
        // Slots of the same second may differ by less than the clock's ticks.
        let number = (slot.saturating_duration_since(self.began).as_micros() + 500) / 1000;
        slot + period.mul_f64(self.rng.derive(u64::try_from(number).unwrap_or_default()).next_f64())
    }
}

/// The rhythm of one server's samples.
pub(super) struct SampleSchedule<'b> {
    grid: &'b SlotGrid,
    asked: Duration,
    /// A power of two.
    times: u32,
    /// Seconds that a sample costs, lately.
    cost: Option<f64>,
    failures: u32,
    /// When the slot of the last sample began.
    slot: Instant,
}

/// The next slot.
#[derive(Debug, PartialEq)]
pub(super) struct Next {
    /// When its sample is taken.
    pub(super) at: Instant,
    /// Slots before it that are left out.
    pub(super) missed: u64,
}

impl<'b> SampleSchedule<'b> {
    pub(super) fn new(asked: Duration, now: Instant, grid: &'b SlotGrid) -> Self {
        let asked = asked.max(Duration::from_millis(1));
        Self { grid, asked, times: 1, cost: None, failures: 0, slot: grid.slot(now, asked) }
    }

    /// Length of a slot.
    pub(super) fn period(&self) -> Duration {
        self.asked * self.times
    }

    /// A sample was taken and cost so much, on the server and on our side.
    pub(super) fn note_cost(&mut self, server: Duration, agent: Duration) {
        self.failures = 0;
        let new = server.max(agent).as_secs_f64();
        // The first one prepares statements and learns names.
        let cost = self.cost.map_or(new / 8.0, |cost| cost + (new - cost) / 8.0);
        self.cost = Some(cost);
        let load = cost / self.period().as_secs_f64();
        if load > MOST_LOAD && self.period() * 2 <= LONGEST.max(self.asked) {
            self.times *= 2;
        } else if load < MOST_LOAD / 4.0 && self.times > 1 {
            self.times /= 2;
        }
    }

    /// There was no sample.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// The next slot that has not begun long ago.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let period = self.period();
        let pause = if self.failures == 0 {
            Duration::ZERO
        } else {
            // So that a server that is down is not asked every second.
            let doublings = (self.failures - 1).min(16);
            period.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
        };
        let earliest = (self.slot + period).max(now.checked_sub(period).unwrap_or(now)).max(now + pause);
        // Slots lie on a grid as long as the period is the same.
        let ahead = earliest.saturating_duration_since(self.slot).as_nanos().div_ceil(period.as_nanos().max(1));
        let slots = u32::try_from(ahead).unwrap_or(u32::MAX).max(1);
        self.slot += period.saturating_mul(slots);
        let at = self.grid.sample_time(self.slot, period);
        Next { at, missed: u64::from(slots - 1) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const CHEAP: Duration = Duration::from_micros(500);

    fn schedule() -> (SampleSchedule<'static>, Instant) {
        let now = Instant::now();
        (SampleSchedule::new(SECOND, now, Box::leak(Box::new(SlotGrid::new(now)))), now)
    }

    #[test]
    fn servers_are_sampled_at_the_same_moments() {
        let now = Instant::now();
        let grid = SlotGrid::new(now);
        let mut first = SampleSchedule::new(SECOND, now + SECOND / 3, &grid);
        let mut second = SampleSchedule::new(SECOND, now + SECOND * 7 / 2, &grid);
        let (mut one, mut other) = (now + SECOND / 3, now + SECOND * 7 / 2);
        while one < now + 3 * SECOND {
            one = first.next(one).at;
        }
        for _ in 0..100 {
            (one, other) = (first.next(one).at, second.next(other).at);
            assert!(one == other, "{:?} and {:?}", one - now, other - now);
        }
    }

    #[test]
    fn each_slot_has_one_sample_at_any_moment_of_it() {
        let (mut schedule, began) = schedule();
        let mut parts = [0; 4];
        let mut now = began;
        for slot in 1..=400_u32 {
            schedule.note_cost(CHEAP, CHEAP);
            let next = schedule.next(now);
            assert_eq!(next.missed, 0);
            let inside = next.at - (began + SECOND * slot);
            assert!(inside <= SECOND, "{inside:?}");
            parts[((inside.as_secs_f64() * 4.0) as usize).min(3)] += 1;
            now = next.at;
        }
        assert!(parts.iter().all(|&part| part > 50), "{parts:?}");
    }

    #[test]
    fn a_costly_sample_makes_them_rare_and_a_cheap_one_frequent_again() {
        let (mut schedule, _) = schedule();
        for _ in 0..100 {
            schedule.note_cost(Duration::from_millis(50), CHEAP);
        }
        assert_eq!(schedule.period(), 8 * SECOND, "50 ms are less than 1 % of 8 s, and more of 4 s");
        for _ in 0..100 {
            schedule.note_cost(CHEAP, Duration::from_millis(50));
        }
        assert_eq!(schedule.period(), 8 * SECOND, "whoever pays");
        for _ in 0..100 {
            schedule.note_cost(Duration::from_secs(3600), CHEAP);
        }
        assert_eq!(schedule.period(), 32 * SECOND, "never rarer than once a minute");
        for _ in 0..200 {
            schedule.note_cost(CHEAP, CHEAP);
        }
        assert_eq!(schedule.period(), SECOND);
    }

    #[test]
    fn one_costly_sample_among_cheap_ones_changes_nothing() {
        let (mut schedule, _) = schedule();
        schedule.note_cost(Duration::from_millis(40), CHEAP);
        for _ in 0..20 {
            schedule.note_cost(CHEAP, CHEAP);
            assert_eq!(schedule.period(), SECOND);
        }
        schedule.note_cost(Duration::from_millis(40), CHEAP);
        assert_eq!(schedule.period(), SECOND);
    }

    #[test]
    fn slots_that_passed_are_missed_and_the_grid_stays() {
        let (mut schedule, began) = schedule();
        let next = schedule.next(began + 5 * SECOND);
        assert_eq!(next.missed, 4);
        assert!(next.at >= began + 5 * SECOND && next.at <= began + 6 * SECOND);
        assert_eq!(schedule.next(next.at).missed, 0);
    }

    #[test]
    fn a_server_that_is_down_is_asked_ever_less() {
        let (mut schedule, began) = schedule();
        let mut now = began;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            schedule.failed();
            let next = schedule.next(now);
            pauses.push((next.at - now).as_secs());
            now = next.at;
        }
        assert!(pauses[0] <= 3 && pauses[7] >= 10 && pauses[7] <= 12, "{pauses:?}");
        schedule.note_cost(CHEAP, CHEAP);
        assert!(schedule.next(now).at - now <= 2 * SECOND);
    }
}

//! The measurements of one collector: when each is taken, and when it was read.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use pganalytics_core::{MeasurementName, catalog::Measurement};
use tokio::time::Instant;
use tracing::debug;

use super::{
    Plan, SchedulerStats,
    rhythm::{Grid, decide},
};
use crate::{
    collector::{Outcome, Report},
    latest::refresh::{Read, RefreshRequest},
    own_sql::CatalogChange,
};

/// First visits are spread over this time.
const FIRST_VISITS: u64 = 1_000_000;

struct Slot {
    measurement: Arc<Measurement>,
    interval: Duration,
    next: Instant,
    visited: bool,
    read: Option<Read>,
}

/// A slot for each measurement that is taken. What is due is told by places,
/// which hold until slots are filled or taken out.
pub(super) struct Slots {
    collector: Arc<str>,
    stats: Arc<SchedulerStats>,
    grid: Grid,
    phase: u64,
    slots: Vec<Slot>,
}

impl Slots {
    pub(super) fn new(collector: Arc<str>, stats: Arc<SchedulerStats>, grid: Grid, phase: u64) -> Self {
        Self { collector, stats, grid, phase, slots: Vec::new() }
    }

    /// A slot for each measurement that has none. It is due at once.
    pub(super) fn fill(&mut self, measurements: &[Arc<Measurement>], plan: &Plan, now: Instant) {
        let next = now + Duration::from_micros(self.phase % FIRST_VISITS);
        for measurement in measurements {
            let known = self.slots.iter().any(|slot| slot.measurement.name() == measurement.name());
            if let Some(interval) = plan.interval_of(measurement).filter(|_| !known) {
                let measurement = Arc::clone(measurement);
                self.slots.push(Slot { measurement, interval, next, visited: false, read: None });
            }
        }
    }

    /// Takes out those that a change concerns.
    pub(super) fn take_out(&mut self, change: &CatalogChange) -> Vec<Arc<Measurement>> {
        let is_out = |slot: &mut Slot| change.concerns(slot.measurement.name());
        self.slots.extract_if(.., is_out).map(|slot| slot.measurement).collect()
    }

    /// When the first is due.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.slots.iter().map(|slot| slot.next).min()
    }

    pub(super) fn names(&self) -> HashSet<MeasurementName> {
        self.slots.iter().map(|slot| slot.measurement.name().clone()).collect()
    }

    pub(super) fn names_of(&self, places: &[usize]) -> Vec<MeasurementName> {
        self.at(places).map(|slot| slot.measurement.name().clone()).collect()
    }

    pub(super) fn interval_of(&self, measurement: &MeasurementName) -> Option<Duration> {
        self.slots.iter().find(|slot| slot.measurement.name() == measurement).map(|slot| slot.interval)
    }

    /// The shortest interval of all.
    pub(super) fn shortest(&self) -> Option<Duration> {
        self.slots.iter().map(|slot| slot.interval).min()
    }

    /// The longest interval of these.
    pub(super) fn longest(&self, places: &[usize]) -> Option<Duration> {
        self.at(places).map(|slot| slot.interval).max()
    }

    fn at(&self, places: &[usize]) -> impl Iterator<Item = &Slot> {
        places.iter().filter_map(|&place| self.slots.get(place))
    }

    /// Those that a scraper wants fresh and that are not.
    pub(super) fn wanted(&self, ask: &RefreshRequest, now: Instant) -> Vec<usize> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| ask.wants(&slot.measurement, slot.interval, slot.read, now))
            .map(|(at, _)| at)
            .collect()
    }

    /// Those that are due; their ticks are taken.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<usize> {
        let mut due = Vec::new();
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let tick = decide(slot.next, now, slot.interval);
            if tick.due || tick.skipped > 0 {
                // The first visit is off the grid; the second is not hard upon it.
                let pause = if slot.visited { Duration::ZERO } else { slot.interval / 2 };
                slot.next = self.grid.next_after(now + pause, slot.interval);
                slot.visited = true;
            }
            if tick.due {
                due.push(at);
            }
            count_skipped(&self.stats, &self.collector, slot, tick.skipped);
        }
        due
    }

    /// Ticks that passed while the visit that should have taken them ran.
    pub(super) fn skip_overrun(&mut self, due: &[usize]) {
        let now = Instant::now();
        for &at in due {
            let Some(slot) = self.slots.get_mut(at) else { continue };
            let Some(late) = now.checked_duration_since(slot.next) else { continue };
            let skipped = late.as_micros() / slot.interval.as_micros().max(1) + 1;
            slot.next = self.grid.next_after(now, slot.interval);
            count_skipped(&self.stats, &self.collector, slot, u64::try_from(skipped).unwrap_or(u64::MAX));
        }
    }

    /// When what is due was read, and whether it has to be tried again soon.
    pub(super) fn note_read(&mut self, due: &[usize], at: Instant, reports: &[Report]) {
        let mut failed: HashMap<&MeasurementName, bool> = HashMap::new();
        for report in reports {
            let bad = matches!(report.outcome, Outcome::Failed { .. } | Outcome::Skipped { .. });
            *failed.entry(&report.measurement).or_default() |= bad;
        }
        for &slot in due {
            if let Some(slot) = self.slots.get_mut(slot) {
                let failed = failed.get(slot.measurement.name()).copied().unwrap_or(true);
                slot.read = Some(Read { at, failed });
            }
        }
    }
}

fn count_skipped(stats: &SchedulerStats, collector: &str, slot: &Slot, skipped: u64) {
    if skipped > 0 {
        SchedulerStats::add(&stats.skipped, skipped);
        let measurement = slot.measurement.name();
        debug!(collector, %measurement, skipped, "ticks skipped: a visit took longer than the interval");
    }
}

//! One collector's task.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use pganalytics_core::{Batch, MeasurementName, Presence, Source, catalog::Measurement};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    Plan, SchedulerStats,
    accounts::{lines, replaced, unknown_source},
    change_log::ChangeLog,
    handover::{Losses, RunnerContext, deliver, encode},
    rhythm::Grid,
    slots::Slots,
};
use crate::{
    change_filter::ChangeFilter,
    collector::{CollectContext, Collected, Collector, Outcome, Report},
    delivery::{Backoff, NewFrame, Remembered},
    error::CollectError,
    latest::refresh::{RefreshHandle, RefreshRequest},
    own_sql::CatalogFollower,
    panics::words_of,
    scrape::empty_scrape,
};

/// A visit may take as long as its slowest measurement's interval, within these.
const SHORTEST_VISIT: Duration = Duration::from_secs(10);
const LONGEST_VISIT: Duration = Duration::from_secs(60);

/// Why a visit is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Its time has come.
    Rhythm,
    /// A scraper wants fresh figures. What it brings is not sent, or the store
    /// would keep the rhythm of scrapers; but facts and what is gone are told
    /// by a collector only once.
    Scrape,
}

/// One collector with its rhythm and its change filter.
pub(crate) struct Runner {
    name: Arc<str>,
    collector: Box<dyn Collector>,
    shared: RunnerContext,
    plan: Plan,
    catalog: CatalogFollower,
    slots: Slots,
    filter: ChangeFilter,
    losses: Losses,
    /// How often the clock had been set when each measurement was last brought.
    steps: BTreeMap<MeasurementName, u64>,
    /// Where each measurement was found so far, for lines about visits that
    /// brought nothing.
    seen: BTreeMap<MeasurementName, BTreeSet<Source>>,
    /// Where it has rows, which end when it does.
    alive: BTreeMap<MeasurementName, BTreeSet<Source>>,
    fallback: Source,
    backoff: Backoff,
    not_before: Instant,
    asks: Option<(Arc<RefreshHandle>, mpsc::Receiver<RefreshRequest>)>,
    log: ChangeLog,
}

impl Runner {
    /// `agent` is the agent's name, which decides the phase.
    pub(crate) fn new(
        collector: Box<dyn Collector>,
        plan: &Plan,
        agent: &str,
        shared: RunnerContext,
        catalog: CatalogFollower,
    ) -> Self {
        let name: Arc<str> = collector.name().into();
        let phase = xxhash_rust::xxh3::xxh3_64(format!("{agent}\n{name}").as_bytes());
        let start = Instant::now();
        let grid = Grid::new(start, shared.clock.now(), phase);
        let slots = Slots::new(Arc::clone(&name), Arc::clone(&shared.stats), grid, phase);
        let asks = shared.latest.as_ref().map(|latest| latest.register(slots.names()));
        Self {
            losses: Losses::of(&*shared.outbox),
            steps: BTreeMap::new(),
            fallback: unknown_source(&name),
            name,
            collector,
            slots,
            shared,
            plan: plan.clone(),
            catalog,
            filter: ChangeFilter::new(),
            seen: BTreeMap::new(),
            alive: BTreeMap::new(),
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60), true),
            not_before: start,
            log: ChangeLog::default(),
            asks,
        }
    }

    /// Visits until `stop`. Whatever of the collector or the outbox panics, wherever
    /// it does, is caught, told, and begun again after a pause that grows.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let ended = AssertUnwindSafe(self.visits(&stop)).catch_unwind().await;
            let Err(panic) = ended else { return };
            let pause = self.note_panic(&words_of(panic.as_ref()));
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep_until(Instant::now() + pause) => {}
            }
        }
    }

    /// Takes in what the collector brings and where it goes on.
    async fn begin(&mut self) {
        self.slots.fill(&self.collector.measurements(), &self.plan, Instant::now());
        if let Some((handle, _)) = &self.asks {
            handle.has(self.slots.names());
        }
        self.resume().await;
    }

    async fn visits(&mut self, stop: &CancellationToken) {
        self.begin().await;
        loop {
            let wake = self.slots.wake();
            if wake.is_none() && !self.catalog.is_live() {
                break;
            }
            // Without a sink there are no ticks.
            let wake = wake.filter(|_| self.shared.delivers).map(|wake| wake.max(self.not_before));
            let ask = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.catalog.changed() => {
                    self.adopt().await;
                    continue;
                }
                () = wait_until(wake) => None,
                ask = asked(&mut self.asks) => Some(ask),
            };
            let now = Instant::now();
            let (due, cause) = match &ask {
                None => (self.slots.take_due(now), Cause::Rhythm),
                Some(_) if now < self.not_before => continue,
                Some(ask) => (self.slots.wanted(ask, now), Cause::Scrape),
            };
            if due.is_empty() {
                continue;
            }
            let visit = AssertUnwindSafe(self.visit(&due, cause)).catch_unwind();
            let ended = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                ended = visit => ended,
            };
            if let Err(panic) = ended {
                self.panicked(&due, &words_of(panic.as_ref())).await;
            }
            if cause == Cause::Rhythm {
                self.slots.skip_overrun(&due);
            }
        }
        info!(collector = %self.name, "nothing to collect: all its measurements are switched off");
    }

    /// Tells the collector where to go on.
    async fn resume(&mut self) {
        let state = self.shared.outbox.state(&self.name).await;
        self.collector.resume(state.as_deref());
    }

    /// Goes along with another catalog. Measurements that differ begin anew, those
    /// that are gone end; all others keep their ticks.
    async fn adopt(&mut self) {
        let change = self.catalog.take(&self.plan);
        if change.is_empty() {
            return;
        }
        self.collector.adopt(&change);
        let there = self.collector.measurements();
        let ended = self.slots.take_out(&change);
        self.slots.fill(&there, &self.plan, Instant::now());
        if let (Some(latest), Some((handle, _))) = (&self.shared.latest, &self.asks) {
            handle.has(self.slots.names());
            ended.iter().for_each(|measurement| latest.end(measurement.name()));
        }
        let mut frames = Vec::new();
        for measurement in ended {
            let name = measurement.name();
            self.log.forget(name);
            if there.iter().any(|measurement| measurement.name() == name) {
                info!(collector = %self.name, measurement = %name, "the measurement is taken as its file says now");
                continue;
            }
            info!(collector = %self.name, measurement = %name, "the measurement is not taken any more");
            frames.extend(self.all_gone(&measurement));
            let sources = self.seen.remove(name).unwrap_or_default();
            let mut guard = self.shared.accounts.lock().await;
            let (accounts, ..) = &mut *guard;
            sources.iter().chain([&self.fallback]).for_each(|source| accounts.forget(name, source));
        }
        deliver(&self.shared, &self.fallback, frames, Vec::new(), SHORTEST_VISIT, None).await;
    }

    /// Says that all rows of a measurement are gone.
    fn all_gone(&mut self, measurement: &Measurement) -> Vec<NewFrame> {
        let name = measurement.name();
        let mut frames = Vec::new();
        for source in self.alive.remove(name).unwrap_or_default() {
            let nothing = empty_scrape(measurement, source, self.shared.clock.now());
            match encode(&mut self.filter, nothing, Instant::now()) {
                Ok((new, _)) => frames.extend(new),
                Err(error) => error!(measurement = %name, %error, "its end can't be told"),
            }
        }
        self.filter.forget(name);
        frames
    }

    /// Says that all rows of a place are gone, and forgets it.
    async fn end(&mut self, source: &Source) -> Vec<NewFrame> {
        let mut frames = Vec::new();
        for measurement in self.collector.measurements() {
            let name = measurement.name();
            if !self.alive.get_mut(name).is_some_and(|alive| alive.remove(source)) || !self.shared.delivers {
                continue;
            }
            let nothing = empty_scrape(&measurement, source.clone(), self.shared.clock.now());
            match encode(&mut self.filter, nothing, Instant::now()) {
                Ok((new, _)) => frames.extend(new),
                Err(error) => error!(measurement = %name, %error, "its end can't be told"),
            }
        }
        let mut guard = self.shared.accounts.lock().await;
        for (name, sources) in &mut self.seen {
            if sources.remove(source) {
                self.filter.force_keyframe_of(name, source);
                guard.0.forget(name, source);
            }
        }
        drop(guard);
        self.seen.retain(|_, sources| !sources.is_empty());
        frames
    }

    async fn visit(&mut self, due: &[usize], cause: Cause) {
        let started = Instant::now();
        let longest = self.slots.longest(due).unwrap_or(SHORTEST_VISIT);
        let cx = CollectContext {
            due: self.slots.names_of(due),
            now: self.shared.clock.now(),
            deadline: started + longest.clamp(SHORTEST_VISIT, LONGEST_VISIT),
            only_visit: false,
        };
        let collected = {
            let mut warn_at = cx.deadline + Duration::from_secs(1);
            let mut visit = pin!(self.collector.collect(&cx));
            loop {
                tokio::select! {
                    collected = &mut visit => break collected,
                    () = sleep_until(warn_at) => {}
                }
                let running = started.elapsed();
                warn!(collector = %self.name, seconds = running.as_secs(), "a visit hangs; its ticks are skipped meanwhile");
                let reason = format!("the visit before still runs, for {} s now", running.as_secs());
                let lines = lines(&cx.due, &self.seen, running, &Outcome::Skipped { reason });
                deliver(&self.shared, &self.fallback, Vec::new(), lines, longest, None).await;
                warn_at = Instant::now() + LONGEST_VISIT;
            }
        };
        SchedulerStats::add(&self.shared.stats.visits, 1);
        let collected = collected.unwrap_or_else(|error| self.failed(&cx, &error, started.elapsed()));
        if self.asks.is_some() {
            self.slots.note_read(due, started, &collected.reports);
        }
        self.take(collected, cause).await;
        self.backoff.reset();
    }

    /// A visit that brought nothing: every due measurement failed, wherever it
    /// was found before.
    fn failed(&self, cx: &CollectContext, error: &CollectError, elapsed: Duration) -> Collected {
        let outcome = Outcome::failed(error);
        Collected { reports: lines(&cx.due, &self.seen, elapsed, &outcome), ..Collected::default() }
    }

    /// Counts and logs a panic; how long to wait now.
    fn note_panic(&mut self, panic: &str) -> Duration {
        let pause = self.backoff.next_pause(None);
        self.not_before = Instant::now() + pause;
        // What it had sent may not be what it had told the filter.
        self.filter.force_keyframe();
        self.shared.stats.note_panic();
        let pause_ms = pause.as_millis();
        error!(collector = %self.name, panic, pause_ms, "the collector or the outbox panicked; it will be visited again");
        pause
    }

    async fn panicked(&mut self, due: &[usize], panic: &str) {
        self.note_panic(panic);
        // It may have read on, and lost what it read.
        self.resume().await;
        let message = String::from("the collector panicked: a bug; its message is in the agent's log");
        let reports = lines(&self.slots.names_of(due), &self.seen, Duration::ZERO, &Outcome::Failed { message });
        self.log(&reports);
        self.show(&[], &reports);
        deliver(&self.shared, &self.fallback, Vec::new(), reports, SHORTEST_VISIT, None).await;
    }

    /// Gives the exporter what was collected, whole.
    fn show(&self, batches: &[Batch], reports: &[Report]) {
        let (Some(latest), Some((handle, _))) = (&self.shared.latest, &self.asks) else { return };
        let sources = batches.iter().map(|batch| &batch.source);
        let reported = reports.iter().filter_map(|report| report.source.as_ref());
        sources.chain(reported).for_each(|source| handle.saw(&source.server));
        latest.take(batches, reports);
    }

    /// Filters, encodes and hands over what a visit brought.
    async fn take(&mut self, collected: Collected, cause: Cause) {
        let Collected { mut batches, mut reports, gone, state } = collected;
        let state = state.map(|state| Remembered { collector: Arc::clone(&self.name), state });
        self.show(&batches, &reports);
        let replaced = replaced(&batches);
        if !self.shared.delivers {
            batches.clear();
        } else if cause == Cause::Scrape {
            batches.retain(|batch| batch.schema.presence() == Presence::Append || batch.rows.is_empty());
        }
        for loss in self.losses.apply(&mut self.filter) {
            self.collector.lost(&loss);
        }
        let now = Instant::now();
        let (stepped, offset) = (self.stepped(&batches), self.shared.clock.offset());
        let mut frames = Vec::with_capacity(batches.len());
        for mut batch in batches {
            if stepped.contains(batch.schema.measurement()) {
                // How long ago the one before was is not known: nothing may be told as its change.
                batch.scrape.clock.stepped = true;
                self.filter.force_keyframe_of(batch.schema.measurement(), &batch.source);
            }
            batch.scrape.clock.offset_micros = offset;
            if let Some(interval) = self.slots.interval_of(batch.schema.measurement()) {
                batch.scrape.interval_micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
            }
            let (name, source) = (batch.schema.measurement().clone(), batch.source.clone());
            let lives = batch.schema.presence() == Presence::State && !batch.rows.is_empty();
            match encode(&mut self.filter, batch, now) {
                Ok((new, duplicates)) => {
                    frames.extend(new);
                    let alive = self.alive.entry(name.clone()).or_default();
                    if lives {
                        alive.insert(source)
                    } else {
                        alive.remove(&source)
                    };
                    if duplicates == 0 {
                        continue;
                    }
                    SchedulerStats::add(&self.shared.stats.duplicates, duplicates as u64);
                    debug!(collector = %self.name, measurement = %name, duplicates, "rows of one key; the last of them is taken");
                }
                Err(error) => {
                    self.filter.force_keyframe();
                    let outcome = Outcome::failed(error);
                    reports.retain(|report| report.measurement != name || report.source.as_ref() != Some(&source));
                    let elapsed = Duration::ZERO;
                    reports.push(Report { measurement: name, source: Some(source), outcome, elapsed });
                }
            }
        }
        self.log(&reports);
        for report in &reports {
            if let Some(source) = &report.source {
                self.seen.entry(report.measurement.clone()).or_default().insert(source.clone());
            }
        }
        for source in &gone {
            frames.extend(self.end(source).await);
        }
        if cause == Cause::Scrape && self.shared.delivers {
            // The account is of the agent's own rhythm, too.
            reports.clear();
        }
        self.shared.accounts.lock().await.0.note(replaced, &reports);
        let interval = self.slots.shortest().unwrap_or(SHORTEST_VISIT);
        deliver(&self.shared, &self.fallback, frames, reports, interval, state).await;
    }

    /// The measurements among these for which the clock was set since they were last
    /// brought.
    fn stepped(&mut self, batches: &[Batch]) -> BTreeSet<MeasurementName> {
        let (_, steps) = self.shared.clock.look();
        let names: BTreeSet<_> = batches.iter().map(|batch| batch.schema.measurement().clone()).collect();
        names
            .into_iter()
            .filter(|name| self.steps.insert(name.clone(), steps).is_some_and(|before| before != steps))
            .collect()
    }

    fn log(&mut self, reports: &[Report]) {
        let failures = self.log.note(&self.name, self.collector.already_logged().as_deref(), reports);
        SchedulerStats::add(&self.shared.stats.failures, failures);
    }
}

/// The next wish of a scraper.
async fn asked(asks: &mut Option<(Arc<RefreshHandle>, mpsc::Receiver<RefreshRequest>)>) -> RefreshRequest {
    if let Some((_, asks)) = asks
        && let Some(ask) = asks.recv().await
    {
        return ask;
    }
    std::future::pending().await
}

/// Waits; for ever where there is nothing to wait for.
async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

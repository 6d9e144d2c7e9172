//! What sessions do and wait for, sampled (`pg_wait_sampling`).
//!
//! A task of its own looks at all sessions that are not idle, once a second, and
//! counts; the scheduler's visits fetch the counts. What stays true:
//!
//! - **Rhythm.** Samples have a session of their own, so no visit keeps them
//!   waiting. It counts against the budget; where the budget has none to spare
//!   there is no sampling, and the account says so.
//! - **Cost.** Samples become rarer when they cost more than one percent of a
//!   core, there or here ([`schedule`]); `agent_sampling` says what they cost.
//! - **Size.** What is told apart is bounded ([`profile`]).
//! - **End.** The task ends with its collector, and so with the agent.
//!
//! # Why counters
//!
//! Samples of an interval could be sent as they are, as gauges. But the change
//! filter leaves out a row that is as it was and readers carry its value forward:
//! an interval's figure would be right only for who knows at which scrapes to
//! look, and a lost frame would be a lost interval. As counters that go up since
//! the agent's start, samples follow the rules of all other counters: `m_delta`
//! has their increases, sums over any time are right, an idle row costs nothing,
//! what a lost frame held is in the next one, and `rate()` of the exported
//! counter is the average number of active sessions. The price is a key that must
//! be remembered until it has been unused for an hour; its row stamp `since`
//! tells readers that a key which comes back began anew.
//!
//! `sampled_time` is there because samples may become rarer: each counts for the
//! slot of time that it stands for, so sums need no look at the period.
//!
//! The extension `pg_wait_sampling` has a profile of its own, by process and
//! from within the server. It is not read: its counts know no database, user,
//! state or blocker.

mod profile;
mod sampler;
mod schedule;
mod snapshot;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use pganalytics_core::{Batch, ModelError, Source, Timestamp, Value, catalog::Measurement};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use self::sampler::{SampleStats, Sampler};
pub(crate) use self::schedule::SlotGrid;
use crate::{
    check::MeasurementCheck,
    collector::{CollectContext, Collected, Collector, Outcome},
    error::CollectError,
    postgres::{
        query::{
            context::{LastPlace, ServerContext, report_all},
            measure::{Clock, lock},
        },
        session::{
            connect::Connector,
            pool::{LEAST_FOR_SAMPLING, SessionPool},
        },
    },
    scrape::full_scrape,
};

/// What is sampled.
pub(crate) const PROFILE: &str = "pg_wait_sampling";
/// What that costs.
pub(crate) const COST: &str = "agent_sampling";

/// The collector of what the sampler found.
pub(crate) struct SamplingCollector {
    name: String,
    context: Arc<ServerContext>,
    slots: Arc<SlotGrid>,
    measurements: Vec<Arc<Measurement>>,
    running: Option<Running>,
    place: LastPlace,
}

/// A sampler at work.
struct Running {
    /// Ends its task when dropped.
    task: JoinSet<()>,
    stats: Arc<Mutex<SampleStats>>,
    connector: Arc<Connector>,
    attempts: watch::Receiver<u64>,
}

impl SamplingCollector {
    /// `slots` are those of all servers that are sampled together.
    pub(crate) fn new(context: Arc<ServerContext>, measurements: Vec<Arc<Measurement>>, slots: Arc<SlotGrid>) -> Self {
        Self {
            name: format!("postgres {} sampling", context.config.name),
            context,
            slots,
            measurements,
            running: None,
            place: LastPlace::default(),
        }
    }

    /// The sampler; it is begun at the first visit, and again should it have
    /// ended. `None`: the budget has no session for it.
    fn running(&mut self, clock: Clock) -> Option<&mut Running> {
        if self.running.as_mut().is_some_and(|running| running.task.try_join_next().is_some()) {
            self.running = None;
        }
        if self.running.is_none() {
            let context = &self.context;
            let connector = Arc::new(context.connector.counting_apart());
            let pool = SessionPool::for_sampling(&context.config, &connector, &context.budget)?;
            let stats = Arc::new(Mutex::new(SampleStats::new(clock, context.config.sampling_interval)));
            let (attempts, seen) = watch::channel(0);
            let sampler = Sampler {
                config: Arc::clone(&context.config),
                slots: Arc::clone(&self.slots),
                connector: Arc::clone(&connector),
                pool,
                stats: Arc::clone(&stats),
                attempts,
            };
            let mut task = JoinSet::new();
            task.spawn(Arc::clone(connector.cpu()).measure(sampler.run()));
            self.running = Some(Running { task, stats, connector, attempts: seen });
        }
        self.running.as_mut()
    }
}

impl Running {
    /// What there is to say of these measurements, all of one moment.
    fn read<'m>(
        &self,
        measurements: impl Iterator<Item = &'m Arc<Measurement>>,
        fallback: &Source,
        collected: &mut Collected,
        began: Instant,
    ) {
        let mut stats = lock(&self.stats);
        let source = stats.source.clone().unwrap_or_else(|| fallback.clone());
        for measurement in measurements {
            let (batch, trouble) = if measurement.name().as_str() == COST {
                (Some(self.cost(measurement, &source, &stats)), None)
            } else {
                profile(measurement, &source, &mut stats)
            };
            let mut outcome = Outcome::Collected { rows: 0 };
            match batch {
                Some(Ok(batch)) => {
                    outcome = Outcome::Collected { rows: batch.rows.len() };
                    collected.batches.push(batch);
                }
                Some(Err(error)) => outcome = Outcome::failed(error),
                None => {}
            }
            if let Some(message) = trouble {
                outcome = Outcome::Failed { message };
            }
            collected.report(measurement, &source, began.elapsed(), outcome);
        }
    }

    fn cost(&self, measurement: &Measurement, source: &Source, stats: &SampleStats) -> Result<Batch, ModelError> {
        let cpu = self.connector.cpu().total().as_secs_f64();
        let count = |count: u64| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
        let row = [()];
        full_scrape(measurement, source.clone(), stats.clock.now(), &row, |(), column| {
            Some(match column {
                "started_at" => Value::Timestamp(stats.started.as_micros()),
                "period" => Value::Float(stats.period.as_secs_f64()),
                "samples" => Value::Int(stats.samples),
                "observed_time" => Value::Float(stats.observed.as_secs_f64()),
                "missed" => count(stats.missed),
                "failures" => Value::Int(stats.failures),
                "sessions" => count(stats.sessions as u64),
                "overflow" => Value::Int(stats.profile.overflow),
                "profile_rows" => count(stats.profile.len() as u64),
                "server_time" => Value::Float(stats.server_time.as_secs_f64()),
                "cpu" => Value::Float(cpu),
                _ => {
                    debug_assert!(false, "{COST} has a column that nobody fills: {column}");
                    return None;
                }
            })
        })
    }
}

/// What was found, and what is wrong: samples that were taken before the trouble
/// began are told nevertheless.
fn profile(
    measurement: &Measurement,
    source: &Source,
    stats: &mut SampleStats,
) -> (Option<Result<Batch, ModelError>>, Option<String>) {
    let trouble = stats.trouble();
    if std::mem::take(&mut stats.fresh) == 0 && trouble.is_some() {
        return (None, trouble);
    }
    stats.profile.tidy(Instant::now());
    let rows = stats.profile.rows();
    (Some(full_scrape(measurement, source.clone(), stats.clock.now(), &rows, profile::value)), trouble)
}

/// Time for a check.
const LIMIT: Duration = Duration::from_secs(60);

/// Tries it once.
pub(crate) async fn check(context: &Arc<ServerContext>, measurements: &[Arc<Measurement>]) -> Vec<MeasurementCheck> {
    let mut collector = SamplingCollector::new(Arc::clone(context), measurements.to_vec(), Arc::default());
    let due = measurements.iter().map(|measurement| measurement.name().clone()).collect();
    let cx = CollectContext { due, now: Timestamp::from_secs(0), deadline: Instant::now() + LIMIT, only_visit: false };
    let collected = collector.collect(&cx).await.unwrap_or_default();
    collected.reports.into_iter().map(MeasurementCheck::from).collect()
}

#[async_trait]
impl Collector for SamplingCollector {
    fn name(&self) -> &str {
        &self.name
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        self.measurements.clone()
    }

    /// A server that does not answer is said by those who watch whether it is up;
    /// what else is wrong stands in the account.
    fn already_logged(&self) -> Option<String> {
        self.running.as_ref().and_then(|running| lock(&running.stats).trouble())
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let (began, clock) = (Instant::now(), Clock::new(cx));
        let mut collected = Collected::default();
        let fallback = self.context.last_source();
        let measurements = self.measurements.clone();
        let due = measurements.iter().filter(|measurement| cx.due.contains(measurement.name()));
        let Some(running) = self.running(clock) else {
            let reason = format!(
                "sampling needs a session of its own, and max_connections leaves none: set it to {LEAST_FOR_SAMPLING} or more"
            );
            report_all(&mut collected, due, &fallback, &Outcome::Unsupported { reason }, began);
            return Ok(collected);
        };
        lock(&running.stats).clock = clock;
        // Whoever visits only once gets one sample; a sampler that panicked is no one to wait for.
        let _ = timeout_at(cx.deadline, running.attempts.wait_for(|&attempts| attempts > 0)).await;
        running.read(due, &fallback, &mut collected, began);
        self.place.note(&mut collected);
        Ok(collected)
    }
}

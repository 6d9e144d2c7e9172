//! The task that takes the samples, and what it keeps for visits.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use pganalytics_core::{Source, Timestamp};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    profile::Profile,
    schedule::{SampleSchedule, SlotGrid},
    snapshot::{self, Names, Snapshot},
};
use crate::postgres::{
    query::measure::{Clock, lock},
    session::{connect::Connector, pool::SessionPool},
    settings::PostgresConfig,
};

/// What has been found and done so far.
pub(super) struct SampleStats {
    /// The server that the counts are of; `None` before it was reached.
    pub(super) source: Option<Source>,
    pub(super) started: Timestamp,
    /// The wall clock, as the scheduler gave it last.
    pub(super) clock: Clock,
    pub(super) profile: Profile,
    pub(super) samples: i64,
    pub(super) observed: Duration,
    pub(super) missed: u64,
    pub(super) failures: i64,
    pub(super) sessions: usize,
    pub(super) server_time: Duration,
    pub(super) period: Duration,
    /// Samples since the last visit.
    pub(super) fresh: usize,
    /// The last one.
    last: Option<Instant>,
    /// Why the last attempt failed.
    failure: Option<String>,
}

/// A server that has not answered for so long, beyond two periods, has trouble.
const PATIENCE: Duration = Duration::from_secs(5);

impl SampleStats {
    pub(super) fn new(clock: Clock, period: Duration) -> Self {
        Self {
            source: None,
            started: clock.now(),
            clock,
            profile: Profile::default(),
            samples: 0,
            observed: Duration::ZERO,
            missed: 0,
            failures: 0,
            sessions: 0,
            server_time: Duration::ZERO,
            period,
            fresh: 0,
            last: None,
            failure: None,
        }
    }

    /// Why there are no samples now.
    pub(super) fn trouble(&self) -> Option<String> {
        let silent = match self.last {
            None => Some(String::from("no sample was taken yet: the server has not answered")),
            Some(last) if last.elapsed() > self.period * 2 + PATIENCE => {
                Some(format!("no sample was taken for {} s: the server does not answer", last.elapsed().as_secs()))
            }
            Some(_) => None,
        };
        self.failure.clone().or(silent)
    }

    fn take(&mut self, source: Source, snapshot: Snapshot, slot: Duration) {
        // Another server at the same address: what was counted is not of it.
        if self.source.as_ref().is_some_and(|known| known.server_id != source.server_id) {
            *self = Self::new(self.clock, self.period);
        }
        self.source = Some(source);
        let (at, now) = (self.clock.now(), Instant::now());
        self.samples += 1;
        self.fresh += 1;
        self.observed += slot;
        self.server_time += snapshot.server_time;
        self.sessions += snapshot.sessions.len();
        self.last = Some(now);
        self.failure = None;
        for key in snapshot.sessions {
            self.profile.count(key, slot, at, now);
        }
    }
}

/// Takes samples for as long as it is polled.
pub(super) struct Sampler {
    pub(super) config: Arc<PostgresConfig>,
    pub(super) slots: Arc<SlotGrid>,
    /// Counts what the samples cost.
    pub(super) connector: Arc<Connector>,
    pub(super) pool: SessionPool,
    pub(super) stats: Arc<Mutex<SampleStats>>,
    /// Attempts so far.
    pub(super) attempts: watch::Sender<u64>,
}

impl Sampler {
    pub(super) async fn run(mut self) {
        let database: Arc<str> = self.config.database.as_str().into();
        let slots = Arc::clone(&self.slots);
        let mut schedule = SampleSchedule::new(self.config.sampling_interval, Instant::now(), &slots);
        let mut names = Names::new(Instant::now());
        loop {
            let (slot, before) = (schedule.period(), self.connector.cpu().total());
            let result = Box::pin(self.sample(&database, &mut names)).await;
            {
                let mut stats = lock(&self.stats);
                match result {
                    Ok((source, snapshot)) => {
                        schedule.note_cost(snapshot.server_time, self.connector.cpu().total().saturating_sub(before));
                        stats.take(source, snapshot, slot);
                    }
                    Err(message) => {
                        schedule.failed();
                        // OIDs may mean something else on the server that comes back.
                        names = Names::new(Instant::now());
                        stats.failures += 1;
                        stats.failure = Some(message);
                    }
                }
            }
            self.attempts.send_modify(|count| *count += 1);
            let next = schedule.next(Instant::now());
            {
                let mut stats = lock(&self.stats);
                stats.missed += next.missed;
                stats.period = schedule.period();
            }
            sleep_until(next.at).await;
        }
    }

    async fn sample(&mut self, database: &Arc<str>, names: &mut Names) -> Result<(Source, Snapshot), String> {
        // A host that swallows packets must not hold the only attempt for long.
        let deadline = Instant::now() + self.config.connect_timeout * 2;
        let (mut session, _) = self.pool.open(database, deadline).await.map_err(|problem| problem.message)?;
        // A session that failed is not kept: the next one may do better.
        let snapshot = snapshot::take(&mut session, names).await.map_err(|fault| fault.to_string())?;
        let source = session.source(&self.config, None);
        self.pool.put_back(session);
        Ok((source, snapshot))
    }
}

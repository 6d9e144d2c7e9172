//! Puts the parts together: collectors, scheduler, outbox, sender, sink.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use futures::future::join_all;
use pganalytics_core::{Timestamp, catalog::Measurement};
use tokio::{
    sync::Mutex,
    task::{JoinError, JoinSet},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

#[cfg(feature = "exporter")]
use crate::panics::supervise;
use crate::{
    agent_handle::{AgentHandle, Gauges},
    agent_stats::AgentStats,
    change_filter::ChangeFilter,
    collector::{CollectContext, Collected, Collector},
    delivery::{MemoryOutbox, OutboxStats, Sender},
    error::CollectError,
    host::HostIdentity,
    memory_sink::MemorySink,
    scheduler::{Accounts, Losses, Plan, Runner, RunnerContext, SchedulerStats, Time},
    sink::Sink,
};

pub use crate::agent_builder::{AgentBuilder, DEFAULT_BUFFER_SIZE};

/// Time that [`Agent::once`] gives to each collector.
const ONCE: Duration = Duration::from_secs(60);

/// Collects on a rhythm and delivers what it collected.
///
/// An agent is a value like any other: it starts nothing before [`Agent::run`],
/// handles no signals, sets no global state, and stops when its future is
/// dropped. Any number of them may run in one process.
pub struct Agent {
    collectors: Vec<Box<dyn Collector>>,
    sink: Option<Arc<dyn Sink>>,
    settings: AgentBuilder,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.collectors.iter().map(|collector| collector.name()).collect();
        f.debug_struct("Agent").field("collectors", &names).finish_non_exhaustive()
    }
}

/// How an agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Its outbox at the end; `queued_frames` were not delivered.
    pub outbox: OutboxStats,
}

/// What one collector brought in [`Agent::once`].
#[derive(Debug)]
pub struct Visit {
    /// Name of the collector.
    pub collector: String,
    /// Full scrapes and the account, or why there is nothing.
    pub collected: Result<Collected, CollectError>,
}

impl Agent {
    pub(crate) fn new(
        collectors: Vec<Box<dyn Collector>>,
        sink: Option<Arc<dyn Sink>>,
        settings: AgentBuilder,
    ) -> Self {
        Self { collectors, sink, settings }
    }

    /// Settings for a new agent.
    #[must_use]
    pub fn builder() -> AgentBuilder {
        AgentBuilder::new()
    }

    /// What it collects and how often, by collector.
    #[must_use]
    pub fn measurements(&self) -> Vec<(String, Arc<Measurement>, Option<Duration>)> {
        let mut all = Vec::new();
        for collector in &self.collectors {
            for measurement in collector.measurements() {
                let interval = self.settings.plan.interval_of(&measurement);
                all.push((collector.name().to_owned(), measurement, interval));
            }
        }
        all
    }

    /// Collects and delivers in a task of its own, which the handle watches and
    /// stops. Needs a tokio runtime.
    ///
    /// # Errors
    /// When it has neither a sink nor an exporter. That the exporter can't listen is
    /// found later, and told by [`AgentHandle::stop`].
    pub fn start(self) -> Result<AgentHandle, CollectError> {
        let prepared = self.prepare()?;
        let (gauges, stop) = (prepared.gauges(), CancellationToken::new());
        let running = tokio::spawn(prepared.run(stop.clone()));
        Ok(AgentHandle::new(gauges, stop, running))
    }

    /// Collects and delivers until `stop`, then delivers what is queued for at
    /// most the flush timeout.
    ///
    /// # Errors
    /// When it has neither a sink nor an exporter, or the exporter can't listen.
    pub async fn run(self, stop: CancellationToken) -> Result<Summary, CollectError> {
        self.prepare()?.run(stop).await
    }

    /// Puts the parts together; nothing runs yet.
    fn prepare(self) -> Result<Prepared, CollectError> {
        let Self { mut collectors, sink, mut settings } = self;
        let latest = settings.latest();
        if sink.is_none() && latest.is_none() {
            return Err(CollectError::NowhereToSend);
        }
        let identity = HostIdentity::read(Path::new("/"));
        let name = settings.name.take().unwrap_or_else(|| identity.hostname.as_str().into());
        let outbox = settings.outbox.take().unwrap_or_else(|| Arc::new(MemoryOutbox::new(settings.buffer_size)));
        let delivers = sink.is_some();
        let clock = Time::new(Arc::clone(&settings.clock), sink.clone());
        let sender = Sender::new(Arc::clone(&outbox), sink.unwrap_or_else(|| Arc::new(MemorySink::new())))
            .with_backoff(settings.backoff.clone())
            .with_limits(settings.limits)
            .with_linger(settings.linger);
        let shared = RunnerContext {
            outbox: Arc::clone(&outbox),
            clock,
            stats: Arc::new(SchedulerStats::default()),
            accounts: Arc::new(Mutex::new((Accounts::new(), ChangeFilter::new(), Losses::of(&*outbox)))),
            latest,
            delivers,
        };
        if settings.own_figures {
            collectors.push(Box::new(AgentStats {
                agent: Arc::clone(&name),
                source: identity.source(),
                started: shared.clock.now(),
                clock: shared.clock.clone(),
                outbox: Arc::clone(&outbox),
                sender: sender.stats(),
                scheduler: Arc::clone(&shared.stats),
            }));
        }

        if let Some(folder) = &settings.folder {
            collectors.push(Box::new(folder.reports(identity.source())));
        }

        Ok(Prepared { name, collectors, sender, shared, settings })
    }

    /// Visits every collector once, all at the same time, and sends nothing.
    pub async fn once(&mut self) -> Vec<Visit> {
        let now = self.settings.clock.now();
        let plan = &self.settings.plan;
        join_all(self.collectors.iter_mut().map(|collector| once(collector.as_mut(), plan, now))).await
    }
}

/// An agent whose parts are together.
struct Prepared {
    name: Arc<str>,
    collectors: Vec<Box<dyn Collector>>,
    sender: Sender,
    shared: RunnerContext,
    settings: AgentBuilder,
}

impl Prepared {
    fn gauges(&self) -> Gauges {
        Gauges {
            outbox: Arc::clone(&self.shared.outbox),
            sender: self.sender.stats(),
            scheduler: Arc::clone(&self.shared.stats),
            hurry: self.sender.hurry(),
        }
    }

    async fn run(self, stop: CancellationToken) -> Result<Summary, CollectError> {
        let Self { name, collectors, sender, shared, settings } = self;
        let (outbox, stats) = (Arc::clone(&shared.outbox), Arc::clone(&shared.stats));
        info!(agent = %name, collectors = collectors.len(), stream = %outbox.stream(), "the agent starts");
        // Tasks of a set end with it, so nothing is left when this future is dropped.
        let mut tasks = JoinSet::new();
        let mut looking = JoinSet::new();
        #[cfg(feature = "exporter")]
        if let Some(exporter) = &settings.exporter {
            let (exporter, catalog) = (exporter.clone(), settings.catalog.clone());
            let listeners = exporter.listen().await?;
            looking.spawn(supervise("what goes along with the catalog", Arc::clone(&stats), move || {
                follow_catalog(exporter.clone(), catalog.clone())
            }));
            for listener in listeners {
                let (listener, stop) = (Arc::new(listener), stop.clone());
                tasks.spawn(supervise("the exporter's listener", Arc::clone(&stats), move || {
                    let (listener, stop) = (Arc::clone(&listener), stop.clone());
                    async move { listener.serve(stop).await }
                }));
            }
        }
        for collector in collectors {
            let runner = Runner::new(collector, &settings.plan, &name, shared.clone(), settings.catalog.clone());
            tasks.spawn(runner.run(stop.clone()));
        }
        looking.spawn(async move {
            if let Some(folder) = settings.folder {
                folder.watch().await;
            }
        });
        let collected_all = CancellationToken::new();
        let mut sending = JoinSet::new();
        sending.spawn(sender.run(collected_all.clone(), settings.flush));

        // Told when it happens, not when the agent stops.
        let tell = |ended: Result<(), JoinError>| {
            if let Err(fault) = ended {
                stats.note_panic();
                error!(%fault, "a task of the agent ended by itself: a bug");
            }
        };
        while !stop.is_cancelled() {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Some(ended) = tasks.join_next() => tell(ended),
                Some(ended) = sending.join_next() => tell(ended),
                Some(ended) = looking.join_next() => tell(ended),
            }
        }
        while let Some(ended) = tasks.join_next().await {
            tell(ended);
        }
        looking.abort_all();
        collected_all.cancel();
        while sending.join_next().await.is_some() {}
        let summary = Summary { outbox: outbox.stats() };
        let left = summary.outbox.queued_frames;
        info!(agent = %name, delivered = summary.outbox.delivered, undelivered = left, "the agent stops");
        Ok(summary)
    }
}

/// Goes along with the catalog, for ever.
#[cfg(feature = "exporter")]
async fn follow_catalog(exporter: crate::Exporter, mut catalog: crate::own_sql::CatalogFollower) {
    loop {
        catalog.changed().await;
        if let Some(now) = catalog.now() {
            exporter.adopt(&now);
        }
    }
}

async fn once(collector: &mut dyn Collector, plan: &Plan, now: Timestamp) -> Visit {
    let name = collector.name().to_owned();
    let wanted = collector.measurements().into_iter().filter(|measurement| plan.interval_of(measurement).is_some());
    let cx = CollectContext {
        due: wanted.map(|measurement| measurement.name().clone()).collect(),
        now,
        deadline: Instant::now() + ONCE,
        only_visit: true,
    };
    let collected = match timeout(ONCE + Duration::from_secs(1), collector.collect(&cx)).await {
        Ok(collected) => collected,
        Err(_) => Err(CollectError::Connect {
            server: name.clone(),
            message: format!("no answer within {} s; is the host reachable and its port open?", ONCE.as_secs()),
        }),
    };
    Visit { collector: name, collected }
}

//! Puts the parts together: collectors, scheduler, outbox, sender, sink.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use futures::future::join_all;
use pganalytics_core::{Source, Timestamp, catalog::Measurement};
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
    clock::{Clock, SystemClock},
    collector::{CollectContext, Collected, Collector},
    delivery::{Backoff, GroupLimits, MemoryOutbox, Outbox, OutboxStats, Sender},
    error::CollectError,
    figures::{CollectedRows, FunctionCollector},
    host::HostIdentity,
    latest::Latest,
    memory_sink::MemorySink,
    own_sql::{CatalogFolder, CatalogFollower, LiveCatalog, WatchedFolder},
    scheduler::{Accounts, Losses, Plan, Runner, RunnerContext, SchedulerStats, Time},
    sink::Sink,
};

/// Bytes of frames that wait for delivery, where nothing else is set.
pub const DEFAULT_BUFFER_SIZE: usize = 104_857_600;
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

/// Settings of an [`Agent`].
pub struct AgentBuilder {
    name: Option<Arc<str>>,
    collectors: Vec<Box<dyn Collector>>,
    sink: Option<Arc<dyn Sink>>,
    outbox: Option<Arc<dyn Outbox>>,
    buffer_size: usize,
    plan: Plan,
    clock: Arc<dyn Clock>,
    linger: Duration,
    backoff: Backoff,
    limits: GroupLimits,
    flush: Duration,
    own_figures: bool,
    #[cfg(feature = "exporter")]
    exporter: Option<crate::Exporter>,
    catalog: CatalogFollower,
    folder: Option<WatchedFolder>,
    /// Its servers are sampled at the same moments, so that it wakes once for all of them.
    #[cfg(feature = "postgres")]
    slots: Arc<crate::postgres::SlotGrid>,
    /// What was wrong first.
    fault: Option<CollectError>,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.collectors.iter().map(|collector| collector.name()).collect();
        f.debug_struct("Agent").field("collectors", &names).finish_non_exhaustive()
    }
}

impl fmt::Debug for AgentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentBuilder").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl AgentBuilder {
    /// The agent's name; default: the host's. It decides the agent's phase and
    /// is the key of `agent_stats`.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a collector. A measurement at a source must come from one collector
    /// only: what another brings would count as its change.
    #[must_use]
    pub fn collector(mut self, collector: impl Collector + 'static) -> Self {
        self.collectors.push(Box::new(collector));
        self
    }

    /// Adds figures of your own, brought by a function: all rows as they are each time
    /// it is called. `measurement` is the text of a catalog file; see
    /// [`figures`](crate::figures) for an example. A measurement that is wrong is an
    /// error of [`AgentBuilder::build`].
    #[must_use]
    pub fn collect<F, R>(mut self, measurement: &str, source: Source, rows: F) -> Self
    where
        F: FnMut(CollectContext) -> R + Send + 'static,
        R: Future<Output = CollectedRows> + Send + 'static,
    {
        match FunctionCollector::new(measurement, source, rows) {
            Ok(collector) => self.collectors.push(Box::new(collector)),
            Err(error) => self.fault = self.fault.or(Some(error)),
        }
        self
    }

    /// Adds the collectors of a PostgreSQL server.
    #[cfg(feature = "postgres")]
    #[must_use]
    pub fn server(self, server: crate::postgres::PostgresServer) -> Self {
        let collectors = server.sampled_in(&self.slots).collectors();
        self.collectors(collectors)
    }

    /// Adds several collectors.
    #[must_use]
    pub fn collectors(mut self, collectors: impl IntoIterator<Item = Box<dyn Collector>>) -> Self {
        self.collectors.extend(collectors);
        self
    }

    /// Where frames go to.
    #[must_use]
    pub fn sink(mut self, sink: impl Sink + 'static) -> Self {
        self.sink = Some(Arc::new(sink));
        self
    }

    /// Where frames wait; default: a [`MemoryOutbox`]. A
    /// [`Spool`](crate::delivery::Spool) outlives the process.
    #[must_use]
    pub fn outbox(mut self, outbox: impl Outbox + 'static) -> Self {
        self.outbox = Some(Arc::new(outbox));
        self
    }

    /// Most bytes that wait in memory; default 100 MiB.
    #[must_use]
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes;
        self
    }

    /// What is collected and how often; default: what the catalog says.
    #[must_use]
    pub fn plan(mut self, plan: Plan) -> Self {
        self.plan = plan;
        self
    }

    /// The wall clock; default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How long a frame may wait for others to travel with it; default 1 s.
    #[must_use]
    pub fn push_interval(mut self, interval: Duration) -> Self {
        self.linger = interval;
        self
    }

    /// Pauses after a failed delivery; default 0.5 s to 60 s with full jitter.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Limits of one delivery; default 1000 frames and 4 MiB.
    #[must_use]
    pub fn group_limits(mut self, limits: GroupLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Longest time to deliver what is queued when the agent stops; default 5 s.
    #[must_use]
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.flush = timeout;
        self
    }

    /// Whether the agent reports its own figures (`agent_stats`); default yes.
    #[must_use]
    pub fn own_figures(mut self, yes: bool) -> Self {
        self.own_figures = yes;
        self
    }

    /// Answers Prometheus. An agent with an exporter needs no sink: then it
    /// collects what scrapers ask for, when they ask for it.
    #[cfg(feature = "exporter")]
    #[must_use]
    pub fn exporter(mut self, exporter: crate::Exporter) -> Self {
        self.exporter = Some(exporter);
        self
    }

    /// Goes along with a catalog that may be exchanged while the agent runs. Its
    /// servers begin with what they were given; from then on what differs between
    /// the catalog as it is now and its next one is started, changed and ended on
    /// all of them, as far as the plan wants it.
    #[must_use]
    pub fn catalog(mut self, catalog: &LiveCatalog) -> Self {
        self.catalog = catalog.follow();
        self.folder = None;
        self
    }

    /// Goes along with a folder of catalog files: files that are added, changed
    /// and removed while the agent runs start, change and end measurements. The
    /// servers begin with what they were given, so give them
    /// [`CatalogFolder::catalog`]. How the files go is collected too
    /// (`agent_catalog`).
    #[must_use]
    pub fn catalog_folder(mut self, folder: CatalogFolder) -> Self {
        let folder = WatchedFolder::new(folder);
        self.catalog = folder.live().follow();
        self.folder = Some(folder);
        self
    }

    /// What is kept for those who ask this agent, where there is somebody.
    fn latest(&self) -> Option<Latest> {
        #[cfg(feature = "exporter")]
        return self.exporter.as_ref().map(|exporter| exporter.latest().clone());
        #[cfg(not(feature = "exporter"))]
        None
    }

    /// The agent.
    ///
    /// # Errors
    /// When it has nothing to collect, or a measurement that was given to
    /// [`AgentBuilder::collect`] is wrong.
    pub fn build(mut self) -> Result<Agent, CollectError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if self.collectors.is_empty() {
            return Err(CollectError::NothingToCollect);
        }
        let collectors = std::mem::take(&mut self.collectors);
        Ok(Agent { collectors, sink: self.sink.take(), settings: self })
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
    /// Settings for a new agent.
    #[must_use]
    pub fn builder() -> AgentBuilder {
        AgentBuilder {
            name: None,
            collectors: Vec::new(),
            sink: None,
            outbox: None,
            buffer_size: DEFAULT_BUFFER_SIZE,
            plan: Plan::default(),
            clock: Arc::new(SystemClock),
            linger: Duration::from_secs(1),
            backoff: Backoff::default(),
            limits: GroupLimits::default(),
            flush: Duration::from_secs(5),
            own_figures: true,
            #[cfg(feature = "exporter")]
            exporter: None,
            catalog: CatalogFollower::default(),
            folder: None,
            #[cfg(feature = "postgres")]
            slots: Arc::default(),
            fault: None,
        }
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
async fn follow_catalog(exporter: crate::Exporter, mut catalog: CatalogFollower) {
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

//! Settings of an agent: what it collects, where frames wait, where they go.

use std::{fmt, sync::Arc, time::Duration};

use pganalytics_core::Source;

use crate::{
    agent::Agent,
    clock::{Clock, SystemClock},
    collector::{CollectContext, Collector},
    delivery::{Backoff, GroupLimits, Outbox},
    error::CollectError,
    figures::{CollectedRows, FunctionCollector},
    latest::Latest,
    own_sql::{CatalogFolder, CatalogFollower, LiveCatalog, WatchedFolder},
    scheduler::Plan,
    sink::Sink,
};

/// Bytes of frames that wait for delivery, where nothing else is set.
pub const DEFAULT_BUFFER_SIZE: usize = 104_857_600;

/// Settings of an [`Agent`].
pub struct AgentBuilder {
    pub(crate) name: Option<Arc<str>>,
    collectors: Vec<Box<dyn Collector>>,
    pub(crate) sink: Option<Arc<dyn Sink>>,
    pub(crate) outbox: Option<Arc<dyn Outbox>>,
    pub(crate) buffer_size: usize,
    pub(crate) plan: Plan,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) linger: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) limits: GroupLimits,
    pub(crate) flush: Duration,
    pub(crate) own_figures: bool,
    #[cfg(feature = "exporter")]
    pub(crate) exporter: Option<crate::Exporter>,
    pub(crate) catalog: CatalogFollower,
    pub(crate) folder: Option<WatchedFolder>,
    /// Its servers are sampled at the same moments, so that it wakes once for all of them.
    #[cfg(feature = "postgres")]
    slots: Arc<crate::postgres::SlotGrid>,
    /// What was wrong first.
    fault: Option<CollectError>,
}

impl fmt::Debug for AgentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentBuilder").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl AgentBuilder {
    pub(crate) fn new() -> Self {
        Self {
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

    /// Where frames wait; default: a [`MemoryOutbox`](crate::delivery::MemoryOutbox). A
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
    pub(crate) fn latest(&self) -> Option<Latest> {
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
        Ok(Agent::new(collectors, self.sink.take(), self))
    }
}

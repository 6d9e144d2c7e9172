//! A watched server.

use std::{fmt, sync::Arc};

use pganalytics_core::catalog::{Measurement, Scope};

use super::{
    check::{self, ServerCheck},
    collectors::{
        cluster::ClusterCollector,
        databases::DatabasesCollector,
        events::Events,
        folder_reporter::FolderReporter,
        sampling::{self, SamplingCollector, SlotGrid},
        server_log::{self, LogCollector},
    },
    query::context::ServerContext,
    settings::PostgresConfig,
};
use crate::{collector::Collector, host::Folders, logs};

/// The measurement that the agent makes of whether a server answers.
pub(super) const UP: &str = "pg_up";
/// What it finds by comparing scrapes.
const EVENTS: &str = "pg_event";

/// A watched server: its settings and what is collected from it.
pub struct PostgresServer {
    context: Arc<ServerContext>,
    cluster: Vec<Arc<Measurement>>,
    databases: Vec<Arc<Measurement>>,
    up: Option<Arc<Measurement>>,
    events: Option<Arc<Measurement>>,
    log: Vec<Arc<Measurement>>,
    folders: Option<Folders>,
    /// The profile and its cost.
    sampling: Vec<Arc<Measurement>>,
    slots: Arc<SlotGrid>,
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresServer").field("config", &self.context.config).finish_non_exhaustive()
    }
}

impl PostgresServer {
    /// A server and the measurements to take: those of the scopes cluster and
    /// database, `pg_up`, `pg_event`, what is sampled and the log; others are left
    /// to other collectors.
    pub fn new(config: PostgresConfig, measurements: impl IntoIterator<Item = Arc<Measurement>>) -> Self {
        let (mut cluster, mut databases, mut sampling) = (Vec::new(), Vec::new(), Vec::new());
        let (mut up, mut events, mut log) = (None, None, Vec::new());
        for measurement in measurements {
            match (measurement.scope(), measurement.name().as_str()) {
                (Scope::Cluster, _) => cluster.push(measurement),
                (Scope::Database, _) => databases.push(measurement),
                (_, UP) => up = Some(measurement),
                (_, EVENTS) => events = Some(measurement),
                (_, sampling::PROFILE | sampling::COST) => sampling.push(measurement),
                (_, name) if logs::MEASUREMENTS.contains(&name) => log.push(measurement),
                _ => {}
            }
        }
        // Its cost alone is nothing to sample for.
        if !sampling.iter().any(|measurement| measurement.name().as_str() == sampling::PROFILE) {
            sampling.clear();
        }
        let context = Arc::new(ServerContext::new(config, !sampling.is_empty()));
        Self { context, cluster, databases, up, events, folders: None, sampling, log, slots: Arc::default() }
    }

    /// Tells where it keeps what, if it runs on this host; give the same to
    /// [`HostCollector::folders_from`](crate::HostCollector::folders_from).
    #[must_use]
    pub fn reporting_folders_to(mut self, folders: &Folders) -> Self {
        self.folders = Some(folders.clone());
        self
    }

    /// Samples it when the other servers of these slots are sampled.
    #[must_use]
    pub(crate) fn sampled_in(mut self, slots: &Arc<SlotGrid>) -> Self {
        self.slots = Arc::clone(slots);
        self
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &PostgresConfig {
        &self.context.config
    }

    /// The collectors, each with a rhythm of its own: one for the cluster, one
    /// for its databases, which may have nothing to do yet, one for samples and
    /// one for its log. They share the budget of sessions.
    #[must_use]
    pub fn collectors(self) -> Vec<Box<dyn Collector>> {
        let events = self.events.clone();
        let mut collectors: Vec<Box<dyn Collector>> = vec![Box::new(ClusterCollector::new(
            Arc::clone(&self.context),
            self.cluster,
            self.up,
            Events::of_cluster(self.events),
            self.folders.map(FolderReporter::new),
        ))];
        if !self.log.is_empty() {
            collectors.push(Box::new(LogCollector::new(Arc::clone(&self.context), self.log)));
        }
        collectors.push(Box::new(DatabasesCollector::new(Arc::clone(&self.context), self.databases, events)));
        if !self.sampling.is_empty() {
            collectors.push(Box::new(SamplingCollector::new(self.context, self.sampling, self.slots)));
        }
        collectors
    }

    /// Tries everything once and says what works, what does not, and what to do.
    pub async fn check(&self) -> ServerCheck {
        let mut check = Box::pin(check::check(&self.context, &self.cluster, &self.databases)).await;
        if check.reached() {
            if !self.log.is_empty() {
                check.findings.extend(Box::pin(server_log::check(&self.context)).await);
            }
            check.measurements.extend(sampling::check(&self.context, &self.sampling).await);
        }
        check
    }
}

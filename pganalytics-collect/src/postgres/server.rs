//! A watched server.

use std::{fmt, sync::Arc};

use pganalytics_core::catalog::{Measurement, Scope};

use super::{
    check::{self, ServerCheck},
    cluster::ClusterCollector,
    config::PostgresConfig,
    databases::DatabasesCollector,
    events::Events,
    visit::Shared,
};
use crate::collector::Collector;

/// The measurement that the agent makes of whether a server answers.
pub(super) const UP: &str = "pg_up";
/// What it finds by comparing scrapes.
const EVENTS: &str = "pg_event";

/// A watched server: its settings and what is collected from it.
pub struct PostgresServer {
    shared: Arc<Shared>,
    cluster: Vec<Arc<Measurement>>,
    databases: Vec<Arc<Measurement>>,
    up: Option<Arc<Measurement>>,
    events: Option<Arc<Measurement>>,
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresServer").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl PostgresServer {
    /// A server and the measurements to take: those of the scopes cluster and
    /// database, `pg_up` and `pg_event`; others are left to other collectors.
    pub fn new(config: PostgresConfig, measurements: impl IntoIterator<Item = Arc<Measurement>>) -> Self {
        let mut server = Self {
            shared: Arc::new(Shared::new(config)),
            cluster: Vec::new(),
            databases: Vec::new(),
            up: None,
            events: None,
        };
        for measurement in measurements {
            match measurement.scope() {
                Scope::Cluster => server.cluster.push(measurement),
                Scope::Database => server.databases.push(measurement),
                _ if measurement.name().as_str() == UP => server.up = Some(measurement),
                _ if measurement.name().as_str() == EVENTS => server.events = Some(measurement),
                _ => {}
            }
        }
        server
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &PostgresConfig {
        &self.shared.config
    }

    /// The collectors, each with a rhythm of its own: one for the cluster and
    /// one for its databases, which may have nothing to do yet. They share the
    /// budget of sessions.
    #[must_use]
    pub fn collectors(self) -> Vec<Box<dyn Collector>> {
        let mut collectors: Vec<Box<dyn Collector>> = vec![Box::new(ClusterCollector::new(
            Arc::clone(&self.shared),
            self.cluster,
            self.up,
            Events::of_cluster(self.events),
        ))];
        collectors.push(Box::new(DatabasesCollector::new(self.shared, self.databases)));
        collectors
    }

    /// Tries everything once and says what works, what does not, and what to do.
    pub async fn check(&self) -> ServerCheck {
        Box::pin(check::check(&self.shared, &self.cluster, &self.databases)).await
    }
}

//! An agent in the same process: one machine, one program.

use std::path::Path;

use pganalytics_collect::{
    Agent, HostCollector, Plan,
    host::HostIdentity,
    postgres::{PostgresConfig, PostgresServer},
};
use pganalytics_core::CollectorId;
use uuid::Uuid;

use crate::{Server, error::ServerError, ingest::local_sink::LocalSink};

/// Prefix of the name under which the store keeps the id of a host's own agent.
const ID_SETTING: &str = "local_collector:";

impl Server {
    /// A sink for an agent in this process. What it takes belongs to a collector
    /// with this host's name, the same one after each restart.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn local_sink(&self) -> Result<LocalSink, ServerError> {
        let host = HostIdentity::read(Path::new("/")).hostname;
        let name = format!("{ID_SETTING}{host}");
        let id = self.app.meta.setting_or_insert(&name, Uuid::new_v4().as_bytes()).await?;
        let id = Uuid::from_slice(&id)
            .map_err(|_| ServerError::Agent(format!("the store's value of {name} is no id; remove it")))?;
        Ok(LocalSink::new(self.app.clone(), CollectorId::from_uuid(id), &host))
    }

    /// An agent that watches these servers and this host, and appends to this
    /// server's store; run it beside [`Server::serve`]. A server that can't be
    /// reached is no error: it is reported as down, with the reason, and tried
    /// again.
    ///
    /// ```no_run
    /// # async fn run(server: pganalytics_server::Server) -> Result<(), Box<dyn std::error::Error>> {
    /// use pganalytics_collect::postgres::PostgresConfig;
    /// use tokio_util::sync::CancellationToken;
    ///
    /// let stop = CancellationToken::new();
    /// let main = PostgresConfig::from_url("postgres://monitor@db1/postgres")?;
    /// tokio::spawn(server.monitor([main]).await?.run(stop.clone()));
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// server.serve(listener, stop.cancelled()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn monitor(&self, servers: impl IntoIterator<Item = PostgresConfig>) -> Result<Agent, ServerError> {
        let mut plan = Plan::default();
        plan.set_standard_interval(self.app.settings.collection_interval);
        let wanted = || {
            let taken = |measurement: &&std::sync::Arc<_>| plan.interval_of(measurement).is_some();
            self.app.catalog.iter().filter(taken).cloned()
        };
        let servers: Vec<PostgresServer> =
            servers.into_iter().map(|config| PostgresServer::new(config, wanted())).collect();
        let agent =
            Agent::builder().plan(plan.clone()).collector(HostCollector::default()).sink(self.local_sink().await?);
        let agent = servers.into_iter().fold(agent, pganalytics_collect::AgentBuilder::server);
        agent.build().map_err(|error| ServerError::Agent(error.to_string()))
    }
}

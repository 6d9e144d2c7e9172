//! An agent with an exporter, in this process.

use std::{net::TcpListener, time::Duration};

use pganalytics_collect::{
    Agent, Exporter, HostCollector, Plan,
    exporter::{ExporterSettings, Listen},
    postgres::{PostgresConfig, PostgresServer},
};
use pganalytics_core::catalog::Catalog;
use pganalytics_testkit::{Cluster, versions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::exposition::{Page, parse};

/// An agent that only answers scrapers; it stops when it is dropped.
pub(crate) struct Running {
    pub(crate) port: u16,
    pub(crate) client: reqwest::Client,
    stop: CancellationToken,
    _task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A port that nobody has.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Settings that wait long enough for a slow machine.
pub(crate) fn settings(port: u16) -> ExporterSettings {
    let mut settings = ExporterSettings::default();
    settings.listen = Some(Listen { address: ([127, 0, 0, 1], port).into(), required: true });
    settings.timeout = Duration::from_secs(60);
    settings
}

pub(crate) fn config(name: &str, url: &str) -> PostgresConfig {
    let mut config = PostgresConfig::from_url(url).unwrap().named(name);
    config.connect_timeout = Duration::from_secs(30);
    config.statement_timeout = Duration::from_secs(60);
    config
}

/// Starts an agent for these servers.
pub(crate) async fn start(servers: &[(&str, &str)], tune: impl FnOnce(&mut ExporterSettings)) -> Running {
    let port = free_port();
    let mut settings = settings(port);
    tune(&mut settings);
    let mut exporter = Exporter::new(settings, Catalog::builtin());
    // Off unless somebody asks for it, and among the names that are promised.
    let mut plan = Plan::default();
    plan.set_enabled("pg_buffercache_summary", true);
    let mut agent = Agent::builder().plan(plan).collector(HostCollector::default());
    for (name, url) in servers {
        let config = config(name, url);
        exporter = exporter.server(name, &config.address());
        agent = agent.server(PostgresServer::new(config, Catalog::builtin().iter().cloned()));
    }
    let agent = agent.exporter(exporter).build().unwrap();
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let task = tokio::spawn(async move {
        agent.run(stopping).await.unwrap();
    });
    let running = Running { port, client: reqwest::Client::new(), stop, _task: task };
    for _ in 0..600 {
        if running.client.get(running.url("/-/healthy")).send().await.is_ok() {
            return running;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the exporter does not listen");
}

impl Running {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self.client.get(self.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.text().await.unwrap()
    }

    pub(crate) async fn page(&self, path: &str) -> Page {
        parse(&self.text(path).await)
    }
}

/// The newest cluster there is.
pub(crate) async fn newest() -> Option<Cluster> {
    let version = versions().last().copied()?;
    Some(Cluster::builder(version).with_statements().start().await.unwrap())
}

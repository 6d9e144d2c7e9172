//! Collects statistics of PostgreSQL servers and their hosts: the parts of an
//! agent, for services of your own.
//!
//! ```text
//! Collector -> ChangeFilter -> frame -> Outbox -> Sink
//! PostgresServer  only changed   packed   bounded,   HttpSink,
//! HostCollector   rows travel             numbered   MemorySink, yours
//! yours
//! ```
//!
//! # Watch a server from your own service
//!
//! An [`Agent`] is a value: no globals, no signal handlers, and it stops when its
//! future is dropped.
//!
//! ```no_run
//! use pganalytics_collect::{
//!     Agent, HostCollector, HttpSink,
//!     delivery::Token,
//!     postgres::{PostgresConfig, PostgresServer},
//! };
//! use pganalytics_core::{Secret, catalog::Catalog};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn run() -> Result<(), pganalytics_collect::CollectError> {
//! let main = PostgresConfig::from_url("postgres://monitor@db1/postgres")?.named("main");
//! let sink = HttpSink::builder("https://metrics.example.com")
//!     .token(Token::File("/etc/pganalytics/token".into()))
//!     .build()?;
//! let agent = Agent::builder()
//!     .server(PostgresServer::new(main, Catalog::builtin().iter().cloned()))
//!     .collector(HostCollector::default())
//!     .sink(sink)
//!     .build()?;
//!
//! let stop = CancellationToken::new(); // cancel it to stop in order
//! agent.run(stop).await?;
//! # Ok(()) }
//! ```
//!
//! With [`Config`] the same comes from a settings file, environment and flags, as
//! in the binary: `Config::load(…)?.agent().sink(…).build()?`.
//!
//! # Collect your own figures
//!
//! What SQL can tell needs no code: put a catalog file (see
//! [`pganalytics_core::catalog`]) into the folder that `catalog_dir` names (see
//! [`own_sql`]); no restart is needed. For
//! everything else implement [`Collector`]. It says what it collects and brings
//! *full* scrapes; rhythm, filtering, retries and accounts are the agent's
//! business. Here is one for the queues of an application, with a sink that keeps
//! what comes:
//!
//! ```
//! use std::{sync::Arc, time::Instant};
//!
//! use async_trait::async_trait;
//! use pganalytics_collect::{
//!     Agent, CollectContext, CollectError, Collected, Collector, MemorySink, scrape::full_scrape,
//! };
//! use pganalytics_core::{InstanceId, ServerId, Source, Value, catalog::Measurement};
//! use tokio_util::sync::CancellationToken;
//!
//! /// What is measured: the same file as for measurements by SQL.
//! const APP_QUEUE: &str = r#"
//! name = "app_queue"
//! title = "Queues"
//! scope = "agent"
//! interval = "10s"
//!
//! [[column]]
//! name = "queue"
//! kind = "key"
//! type = "text"
//!
//! [[column]]
//! name = "waiting"
//! kind = "gauge"
//! type = "int"
//! unit = "jobs"
//! "#;
//!
//! struct Queues {
//!     measurement: Arc<Measurement>,
//!     source: Source,
//! }
//!
//! #[async_trait]
//! impl Collector for Queues {
//!     fn name(&self) -> &str {
//!         "queues"
//!     }
//!
//!     fn measurements(&self) -> Vec<Arc<Measurement>> {
//!         vec![Arc::clone(&self.measurement)]
//!     }
//!
//!     async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
//!         let started = Instant::now();
//!         let rows = [("mail", 3), ("invoices", 0)];
//!         let batch = full_scrape(&self.measurement, self.source.clone(), cx.now, &rows, |row, column| match column {
//!             "queue" => Some(Value::Text(row.0)),
//!             "waiting" => Some(Value::Int(row.1)),
//!             _ => None,
//!         })?;
//!         let mut collected = Collected::default();
//!         collected.add(&self.measurement, &self.source, started.elapsed(), Ok(batch));
//!         Ok(collected)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server_id = ServerId::of_host("shop");
//! let queues = Queues {
//!     measurement: Arc::new(Measurement::parse(APP_QUEUE, "app_queue.toml")?),
//!     source: Source {
//!         server_id,
//!         instance_id: InstanceId::of_address(server_id, "shop-1"),
//!         server: "shop".into(),
//!         database: None,
//!     },
//! };
//! let sink = MemorySink::new();
//! let agent = Agent::builder().collector(queues).sink(sink.clone()).build()?;
//!
//! let stop = CancellationToken::new();
//! let running = tokio::spawn(agent.run(stop.clone()));
//! while sink.batches_of("app_queue").is_empty() {
//!     sink.wait_for(sink.batches().len() + 1).await;
//! }
//! stop.cancel();
//! running.await??;
//!
//! let queues = &sink.batches_of("app_queue")[0];
//! assert_eq!(queues.rows.get(0, 1), Value::Int(3));
//! // How it went is data, too.
//! assert_eq!(sink.batches_of("agent_scrape")[0].rows.get(0, 0), Value::Text("app_queue"));
//! # Ok(()) }
//! ```
//!
//! # Where things are
//!
//! | module | what it does |
//! |---|---|
//! | [`collector`] | the trait of everything that collects |
//! | [`postgres`], [`host`], [`pgbouncer`], [`pgbackrest`] | the collectors that come with it |
//! | [`logs`] | reads server logs: entries, their classes, redaction |
//! | [`privacy`] | statements without literals |
//! | [`scrape`] | from values of your own to a batch |
//! | [`own_sql`] | catalog files of your own, exchanged while the agent runs |
//! | [`scheduler`] | visits collectors on their rhythm, apart from each other |
//! | [`change_filter`] | leaves out rows that did not change |
//! | [`delivery`] | holds frames until they are delivered, in memory or on a disk; retries; declares losses |
//! | [`exporter`] | answers Prometheus |
//! | [`sink`] | the trait of everything that takes frames |
//! | [`check`] | how well each part works, and what mends it |
//! | [`reference`](mod@reference) | the catalog as a page to read |
//! | [`config`] | settings from flags, environment, file |
//! | [`agent`] | puts it all together |
//!
//! # Features
//!
//! `cli` (default) is what only the binary `pganalytics-agent` needs; switch it
//! off when you embed: `default-features = false`.

pub mod agent;
mod agent_handle;
mod agent_stats;
pub mod change_filter;
pub mod check;
pub mod clock;
pub mod collector;
pub mod config;
mod cpu_time;
pub mod delivery;
pub mod enrol;
pub mod error;
pub mod exporter;
pub mod host;
pub mod logs;
pub mod memory_sink;
pub mod own_sql;
mod panics;
pub mod pgbackrest;
pub mod pgbouncer;
pub mod postgres;
pub mod privacy;
mod qualified;
pub mod reference;
pub mod resources;
mod rng;
pub mod scheduler;
pub mod scrape;
pub mod sink;

pub use agent::{Agent, AgentBuilder};
pub use agent_handle::{AgentHandle, AgentStatus};
pub use change_filter::ChangeFilter;
pub use collector::{CollectContext, Collected, Collector, Outcome, Report};
pub use config::Config;
pub use delivery::{HttpSink, MemoryOutbox, Outbox, Spool};
pub use error::CollectError;
pub use exporter::Exporter;
pub use host::HostCollector;
pub use memory_sink::MemorySink;
pub use scheduler::Plan;
pub use sink::{Delivery, FrameGroup, Sink, SinkError};

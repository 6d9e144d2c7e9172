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
//!     Agent, HostCollector, HttpSink, PostgresConfig, PostgresServer, Token,
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
//! [`own_sql`]); no restart is needed. For everything else a function will do, which
//! brings all rows each time it is asked. Rhythm, filtering, retries and accounts are
//! the agent's business. Here are the queues of an application, with a sink that
//! keeps how things are now:
//!
//! ```
//! use pganalytics_collect::{Agent, Snapshots, rows};
//! use pganalytics_core::{Source, Value};
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
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Snapshots::new();
//! let agent = Agent::builder()
//!     .collect(APP_QUEUE, Source::host("shop"), async |_| Ok(rows![["mail", 3], ["invoices", 0]]))
//!     .sink(now.clone())
//!     .build()?
//!     .start()?;
//!
//! let queues = now.wait_for("app_queue").await.batch;
//! assert_eq!((queues.rows.get(1, 0), queues.rows.get(1, 1)), (Value::Text("mail"), Value::Int(3)));
//! // How it went is data, too.
//! assert!(!now.wait_for("agent_scrape").await.batch.rows.is_empty());
//! assert!(agent.status().is_healthy());
//! agent.stop().await?;
//! # Ok(()) }
//! ```
//!
//! What has several measurements, or reads on where it stopped, implements
//! [`Collector`]; [`scrape`] makes its batches.
//!
//! # Cancel-safety
//!
//! Dropping the future of [`Agent::run`] or an [`AgentHandle`] ends the agent. What a
//! [`Spool`] holds is sent at the next start; what waits in memory is lost.
//! [`AgentHandle::flush`], [`Snapshots::wait_for`] and [`MemorySink::wait_for`] may be
//! dropped at any time. [`Sink::deliver`] and [`Collector::collect`] are dropped only
//! when the agent ends.
//!
//! # Where things are
//!
//! | module | what it does |
//! |---|---|
//! | [`collector`] | the trait of everything that collects |
//! | [`postgres`], [`host`], [`pgbouncer`], [`pgbackrest`] | the collectors that come with it |
//! | [`logs`] | reads server logs: entries, their classes, redaction |
//! | [`figures`] | figures of your own, from a function |
//! | [`scrape`] | from values of your own to a batch |
//! | [`own_sql`] | catalog files of your own, exchanged while the agent runs |
//! | [`scheduler`] | visits collectors on their rhythm, apart from each other |
//! | [`change_filter`] | leaves out rows that did not change |
//! | [`delivery`] | holds frames until they are delivered, in memory or on a disk; retries; declares losses |
//! | [`exporter`] | answers Prometheus |
//! | [`sink`] | the trait of everything that takes frames |
//! | [`snapshots`] | how things are now, whole |
//! | [`check`] | how well each part works, and what mends it |
//! | [`reference`](mod@reference) | the catalog as a page to read |
//! | [`config`] | settings from flags, environment, file |
//! | [`agent`] | puts it all together |
//!
//! # Features
//!
//! Without features there are agent, host, scheduler, change filter, spool and sinks:
//! enough for figures of your own. Each feature adds what its dependencies are for.
//!
//! | feature | adds |
//! |---|---|
//! | `logs` | [`logs`]; no further dependency |
//! | `postgres` | [`postgres`], [`pgbouncer`], [`pgbackrest`], and `logs` |
//! | `http` | [`HttpSink`] |
//! | `exporter` | [`Exporter`] |
//! | `config` | all of these, and settings as the agent has them: [`Config`], [`enrol`], [`reference`](mod@reference) |
//! | `cli` (default) | `config`, and what only the binary `pganalytics-agent` needs |
//!
//! Embedders say `default-features = false` and name what they use.

pub mod agent;
mod agent_builder;
mod agent_handle;
mod agent_stats;
pub mod change_filter;
pub mod check;
pub mod clock;
pub mod collector;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "postgres")]
mod cpu_time;
pub mod delivery;
#[cfg(feature = "config")]
pub mod enrol;
pub mod error;
#[cfg(feature = "exporter")]
pub mod exporter;
pub mod figures;
pub mod host;
mod latest;
#[cfg(feature = "logs")]
pub mod logs;
pub mod memory_sink;
pub mod own_sql;
mod panics;
#[cfg(feature = "postgres")]
pub mod pgbackrest;
#[cfg(feature = "postgres")]
pub mod pgbouncer;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "postgres", feature = "exporter"))]
mod qualified;
#[cfg(feature = "config")]
pub mod reference;
pub mod resources;
mod rng;
pub mod scheduler;
pub mod scrape;
pub mod sink;
pub mod snapshots;

pub use agent::{Agent, AgentBuilder};
pub use agent_handle::{AgentHandle, AgentStatus};
pub use change_filter::ChangeFilter;
pub use collector::{CollectContext, Collected, Collector, Outcome, Report};
#[cfg(feature = "config")]
pub use config::Config;
#[cfg(feature = "http")]
pub use delivery::{HttpSink, Token};
pub use delivery::{MemoryOutbox, Outbox, Spool};
pub use error::CollectError;
#[cfg(feature = "exporter")]
pub use exporter::Exporter;
pub use host::HostCollector;
pub use memory_sink::MemorySink;
#[cfg(feature = "postgres")]
pub use pgbouncer::PgBouncerCollector;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresConfig, PostgresServer};
pub use scheduler::Plan;
pub use sink::{Delivery, FrameGroup, Sink, SinkError};
pub use snapshots::{Snapshot, Snapshots};

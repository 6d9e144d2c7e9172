//! Collects from PostgreSQL.
//!
//! ```no_run
//! use pganalytics_collect::postgres::{PostgresConfig, PostgresServer};
//! use pganalytics_core::catalog::Catalog;
//!
//! let config = PostgresConfig::from_url("postgres://monitor@db1/postgres")?.named("main");
//! let server = PostgresServer::new(config, Catalog::builtin().iter().cloned());
//! let collectors = server.collectors(); // give them to the scheduler
//! # Ok::<(), pganalytics_collect::CollectError>(())
//! ```
//!
//! What stays true:
//!
//! - **Budget.** The server never sees more than `max_connections` of our
//!   sessions, at any moment. One of them is for what concerns the cluster, so
//!   that activity keeps its rhythm while a slow sweep goes over the databases;
//!   one is for samples of what sessions do (`pg_wait_sampling`).
//! - **Kindness.** Sessions are read-only, have timeouts for statements and
//!   locks, no parallel workers, and prepare each statement once. A statement
//!   that the server refused is not tried again for a minute, then two… ten.
//! - **Isolation.** A measurement that fails is a report; the others go on. A
//!   lost connection is made anew at the next visit.
//! - **Exactness.** The epoch of a batch is read on the same session before its
//!   values, so a crash in between can't give old stamps to new counters.
//! - **Privacy.** Statements leave without literals ([`redact_sql`](pganalytics_core::privacy::redact_sql)); messages
//!   of errors leave without what may be data.
//! - **Identity.** A server is its `system_identifier`, at whatever address.
//!   Until it has been reached once, an id made of its name and address in the
//!   settings stands in, for `pg_up` and failures.
//! - **Up** means: connected, and a trivial query answered within the deadline.
//!   A server that is down has a row that says so, with the reason.
//!
//! Behind a pooler (PgBouncer), settings and prepared statements do not last;
//! this is noticed, and every measurement then brings its settings along in a
//! short transaction: it costs two round trips more. In PgBouncer's session mode
//! the pool must have room for `max_connections` sessions.
//!
//! A kept session makes `DROP DATABASE` wait: use `DROP DATABASE … WITH
//! (FORCE)`, or name the database in `exclude_databases` before.

mod check;
mod collectors;
mod query;
mod server;
mod session;
mod settings;

pub use check::ServerCheck;
pub(crate) use collectors::sampling::SlotGrid;
pub use server::PostgresServer;
pub(crate) use session::connect::{Connector, Link};
pub use session::fault::{ConnectFault, ConnectProblem};
pub(crate) use session::fault::{NOT_AS_POSTGRES, one_line};
pub use settings::{
    Environment, Host, Length, LogConfig, PasswordSource, Port, PostgresConfig, PostgresSettings, SslMode,
};

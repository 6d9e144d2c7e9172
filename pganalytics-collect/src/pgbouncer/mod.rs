//! Collects from PgBouncer, through its admin console.
//!
//! ```no_run
//! use pganalytics_collect::{Agent, pgbouncer::{PgBouncerCollector, PgBouncerSettings}, postgres::Environment};
//!
//! let mut settings = PgBouncerSettings::from_url("postgres://monitor@pooler1:6432")?;
//! settings.0.password_file = Some("/etc/pganalytics/pgbouncer.password".into());
//! let config = settings.resolve(&Environment::process())?;
//! let agent = Agent::builder().collector(PgBouncerCollector::new(config));
//! # Ok::<(), pganalytics_collect::CollectError>(())
//! ```
//!
//! The user needs to be in `stats_users` and no more; it sees no statements.
//!
//! - **Versions.** Columns are taken by name, so PgBouncer 1.12 to 1.25 give the
//!   same tables; what a version does not have is NULL.
//! - **Cost.** One session, kept between visits for five minutes, and one
//!   command for each measurement that is due. `SHOW CLIENTS` and `SHOW SERVERS`
//!   are summed up here while they come; no list of clients is held.
//! - **Restarts.** PgBouncer does not say when it started. Where it runs on the
//!   agent's host and has a `pidfile`, the time of that file stamps its
//!   counters; elsewhere a restart shows in counters that fell.

mod collector;
mod console;
mod local;
mod settings;
mod shape;
mod summary;

pub use collector::PgBouncerCollector;
pub use settings::PgBouncerSettings;

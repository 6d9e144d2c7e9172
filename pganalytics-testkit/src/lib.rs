//! Real PostgreSQL clusters for tests and the demo.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use pganalytics_testkit::{Cluster, versions};
//!
//! for version in versions() {
//!     let cluster = Cluster::start(version).await?;
//!     let client = cluster.client("postgres").await?;
//!     client.batch_execute("CREATE TABLE t (a int)").await?;
//!     cluster.restart().await?;
//!     println!("watch {}", cluster.monitor_url("postgres"));
//! } // each cluster stops here and its folder goes away, also when a test panics
//! # Ok(()) }
//! ```
//!
//! The servers come from `fetch-postgres.sh` beside this crate; see [`Binaries`] for where they are
//! looked for. What stays true:
//!
//! - `initdb` runs once for each version in a process; clusters are copies of what it made. Each gets
//!   a system identifier of its own, because tests tell servers apart by it.
//! - Servers never run as root: root hands them to `postgres`, or to `nobody`.
//! - Clusters know nothing of each other: own folder, socket, port and password. Any number of test
//!   processes may run at once.
//! - Nothing outlives the process that started it. [`Drop`] cleans up, and where that can't run
//!   (`SIGKILL`, abort) a watchdog process does.

mod binaries;
mod builder;
mod cluster;
pub mod demo;
mod pgbouncer;
mod port;
mod process;
mod replica;
mod template;
mod user;
mod watchdog;

pub use binaries::{Binaries, VERSIONS, tool, versions};
pub use builder::ClusterBuilder;
pub use cluster::{Cluster, Frozen};
pub use pgbouncer::{PgBouncer, PgBouncerBuilder};

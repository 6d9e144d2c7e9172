//! A throw-away cluster that looks like one in production: three databases, hundreds of tables, a
//! small hot set, slow queries, lock waits, temporary files, rollbacks, and a replica that is read.
//!
//! - `shop`: orders come in all the time; a handful of tables take nearly all of the traffic, and
//!   every now and then a reservation holds a row that others want.
//! - `billing`: fewer, longer transactions; some are rolled back, one idles while it holds a
//!   snapshot.
//! - `analytics`: partitions that grow, and reports that scan, sort on disk and take long.
//!
//! The load is steady but small, about a tenth of one core, so that it can run beside the thing
//! that is shown.

mod load;
mod schema;

use anyhow::Context;
use tokio::task::JoinSet;

use crate::{Binaries, Cluster, VERSIONS};

/// A cluster under load, and its replica. Dropping it stops everything.
#[derive(Debug)]
pub struct Demo {
    // In this order: no load on a replica that is gone, no replica without its primary.
    _load: JoinSet<()>,
    replica: Cluster,
    cluster: Cluster,
}

impl Demo {
    /// Makes the databases, starts the replica and the load.
    ///
    /// # Errors
    /// When the version is not installed or the cluster can't be made.
    pub async fn start(version: u16) -> anyhow::Result<Self> {
        let cluster = Cluster::builder(version)
            .with_statements()
            .preload("auto_explain")
            .setting("auto_explain.log_min_duration", "500ms")
            .setting("auto_explain.log_format", "json")
            .setting("auto_explain.log_analyze", "on")
            .setting("auto_explain.log_buffers", "on")
            // Reading the clock for each row would be dear on the laptops that show this.
            .setting("auto_explain.log_timing", "off")
            .setting("track_activity_query_size", "16kB")
            .setting("track_functions", "all")
            .setting("track_wal_io_timing", "on")
            // A log that agents find by themselves. One file an hour, each overwritten a day later,
            // so that a demo that runs for weeks does not fill the disk.
            .setting("logging_collector", "on")
            .setting("log_filename", "postgresql-%H.log")
            .setting("log_rotation_age", "1h")
            .setting("log_rotation_size", "0")
            .setting("log_truncate_on_rotation", "on")
            .setting("log_line_prefix", "%m [%p] %e %q%u@%d/%a ")
            .setting("log_connections", "on")
            .setting("log_disconnections", "on")
            .setting("log_min_duration_statement", "250ms")
            .setting("log_lock_waits", "on")
            .setting("log_temp_files", "0")
            .setting("log_autovacuum_min_duration", "0")
            .setting("autovacuum_naptime", "15s")
            .setting("checkpoint_timeout", "2min")
            .setting("max_wal_size", "256MB")
            .setting("work_mem", "1MB")
            .setting("synchronous_commit", "local")
            .start()
            .await?;
        schema::create(&cluster).await.context("make the demo's tables")?;
        let replica = cluster.replica().await?;
        let load = load::start(&cluster, &replica);
        Ok(Self { _load: load, replica, cluster })
    }

    /// The version to show when nobody asked for one: 17, else the newest that is installed.
    ///
    /// # Errors
    /// When none is installed.
    pub fn default_version() -> anyhow::Result<u16> {
        [17].into_iter()
            .chain(VERSIONS.into_iter().rev())
            .find(|version| Binaries::find(*version).is_ok())
            .context("no PostgreSQL here; run pganalytics-testkit/fetch-postgres.sh")
    }

    /// The primary.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The standby.
    pub fn replica(&self) -> &Cluster {
        &self.replica
    }

    /// Where to watch the primary, as the role `monitor`.
    pub fn monitor_url(&self) -> String {
        self.cluster.monitor_url("postgres")
    }
}

//! What the exporter is told.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::auth::Auth;

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// Whether it is a fault when the address is taken; otherwise it is said,
    /// and the agent goes on without.
    pub required: bool,
}

/// Settings of an [`super::Exporter`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExporterSettings {
    /// Where PostgreSQL, the host and the agent are told of.
    pub listen: Option<Listen>,
    /// Where PgBouncer is told of.
    pub pgbouncer_listen: Option<Listen>,
    /// Names of our own.
    pub native: bool,
    /// Names of `postgres_exporter` and `pgbouncer_exporter`.
    pub drop_in: bool,
    /// Parts of the drop-in names to add to those that are on, or, with a `-`
    /// before it, to leave out.
    pub collectors: Vec<String>,
    /// Measurements that the native names leave out.
    pub exclude: Vec<String>,
    /// Older figures are collected anew for a scrape, but for those that the
    /// catalog takes more rarely than every 60 s.
    pub max_age: Duration,
    /// Longest time that a scrape waits for fresh figures.
    pub timeout: Duration,
    /// Most series of a family; the rest is one series.
    pub max_series: usize,
    /// Who is let in; `None` for everybody.
    pub auth: Option<Auth>,
    /// Certificate and key to answer with TLS.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Measurements that the native names leave out where nothing else is set: too
/// many series, what the exporter tells in its own way, or who may log in.
pub const DEFAULT_EXCLUDE: &[&str] = &["pg_stat_statements", "agent_scrape", "pg_hba_file_rules"];

impl Default for ExporterSettings {
    fn default() -> Self {
        Self {
            listen: None,
            pgbouncer_listen: None,
            native: true,
            drop_in: true,
            collectors: Vec::new(),
            exclude: DEFAULT_EXCLUDE.iter().map(|&name| name.to_owned()).collect(),
            max_age: Duration::from_secs(5),
            timeout: Duration::from_secs(9),
            max_series: 10_000,
            auth: None,
            identity: None,
        }
    }
}

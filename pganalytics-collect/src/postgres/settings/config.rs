//! Which server to watch, and how.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use pganalytics_core::Secret;

use super::{Environment, PostgresSettings};
use crate::{error::CollectError, logs::Redaction};

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// A name, an address, or (when it begins with `/`) the folder of a Unix
    /// socket.
    pub name: String,
    /// TCP port; also part of a socket's name.
    pub port: u16,
}

impl Host {
    /// Whether it is the folder of a Unix socket.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.name.starts_with('/')
    }

    /// Whether it is this very host, as far as the name tells.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let address = self.name.parse::<std::net::IpAddr>();
        self.is_socket() || self.name == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_socket() {
            write!(f, "{}/.s.PGSQL.{}", self.name, self.port)
        } else if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// Whether and how the connection is encrypted, as libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never.
    Disable,
    /// When the server can; whoever it is. libpq's `allow` counts as this.
    #[default]
    Prefer,
    /// Always; whoever it is. With a root certificate as [`SslMode::VerifyCa`].
    Require,
    /// Always, and the certificate must come from a known authority.
    VerifyCa,
    /// Always, and the certificate must be for this host.
    VerifyFull,
}

impl SslMode {
    /// The mode for libpq's word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    /// Whether the server has to prove who it is.
    #[must_use]
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

/// Where the password comes from. Files are read at each connect, so a rotated
/// password needs no restart.
#[derive(Debug, Clone)]
pub enum PasswordSource {
    /// There is none.
    None,
    /// It was given.
    Given(Secret<String>),
    /// A file holds it and nothing else.
    File(PathBuf),
    /// libpq's password file.
    Passfile(PathBuf),
}

/// A server to watch. Made by [`PostgresConfig::from_url`] or
/// [`PostgresSettings::resolve`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PostgresConfig {
    /// The name that people know the server by.
    pub name: Arc<str>,
    /// Where it listens; tried in order, never empty.
    pub hosts: Vec<Host>,
    /// The role to log in as.
    pub user: String,
    /// Its password.
    pub password: PasswordSource,
    /// The database for what concerns the whole cluster.
    pub database: String,
    /// The databases to watch; empty for all that the role may connect to.
    pub databases: Vec<String>,
    /// Databases to leave out.
    pub exclude_databases: Vec<String>,
    /// Encryption.
    pub sslmode: SslMode,
    /// File with the certificates of trusted authorities; `None` or `system`
    /// for those of the system.
    pub sslrootcert: Option<PathBuf>,
    /// File with the certificate to show to the server.
    pub sslcert: Option<PathBuf>,
    /// File with its private key.
    pub sslkey: Option<PathBuf>,
    /// What `pg_stat_activity` calls our sessions.
    pub application_name: String,
    /// Time for looking up a host, connecting and logging in, all together.
    pub connect_timeout: Duration,
    /// Time for one statement.
    pub statement_timeout: Duration,
    /// Time that a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// Most sessions at any time, over all databases.
    pub max_connections: usize,
    /// Time between two looks at what sessions do (`pg_wait_sampling`).
    pub sampling_interval: Duration,
    /// Most databases that are watched; those first in the alphabet win.
    pub max_databases: usize,
    /// Sessions older than this are replaced.
    pub session_lifetime: Duration,
    /// How its log is read.
    pub log: LogConfig,
}

/// How a server's log is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogConfig {
    /// Its files, absolute, the last part with `*` and `?` where there are
    /// several. Empty: where the server's settings say.
    pub paths: Vec<String>,
    /// Whether it is read through the server, though the server is on this host.
    /// That of a server on another host always is, where no paths are given.
    pub over_sql: bool,
    /// What of the entries leaves this host.
    pub redaction: Redaction,
    /// Whether the first start of all takes what is in the files already.
    pub from_start: bool,
}

impl PostgresConfig {
    /// A server from a URL (`postgres://user:password@host:5432/db?sslmode=require`)
    /// or libpq's `key=value` form. What it leaves open comes from the service
    /// file, the `PG*` variables and the defaults, as in libpq.
    ///
    /// The database named is where cluster-wide views are read; the databases
    /// to watch are discovered.
    ///
    /// ```
    /// use pganalytics_collect::postgres::PostgresConfig;
    /// let config = PostgresConfig::from_url("postgres://monitor:p%40ss@db1:5433/app").unwrap();
    /// assert_eq!((&*config.name, config.hosts[0].port), ("db1:5433", 5433));
    /// ```
    ///
    /// # Errors
    /// When it can't be read; what is wrong and what to do, never the password.
    pub fn from_url(url: &str) -> Result<Self, CollectError> {
        PostgresSettings::from_url(url)?.resolve(&Environment::process())
    }

    /// The same server under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Where it listens, for messages and as the instance's address.
    #[must_use]
    pub fn address(&self) -> String {
        self.hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(",")
    }
}

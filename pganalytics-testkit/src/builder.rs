//! Makes clusters.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use rustix::process::Signal;

use crate::binaries::Binaries;
use crate::cluster::{Cluster, connect};
use crate::port;
use crate::process::Process;
use crate::template;

/// What a cluster shall be like; from [`Cluster::builder`].
#[derive(Debug, Clone)]
pub struct ClusterBuilder {
    version: u16,
    settings: Vec<(String, String)>,
    preload: Vec<String>,
    password: bool,
    place: Option<(u16, String)>,
}

impl ClusterBuilder {
    pub(crate) fn new(version: u16) -> Self {
        Self { version, settings: Vec::new(), preload: Vec::new(), password: true, place: None }
    }

    /// A cluster with the port and the password of another one, which must have been stopped: what
    /// an upgrade looks like from outside.
    #[must_use]
    pub fn in_place_of(mut self, other: &Cluster) -> Self {
        self.place = Some((other.port(), other.password().to_owned()));
        self
    }

    /// A line of `postgresql.conf`. Later ones win, also over the defaults of this kit: durability
    /// is off (`fsync = off`), because most tests don't pull the plug.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One more library in `shared_preload_libraries`, such as `auto_explain`.
    #[must_use]
    pub fn preload(mut self, library: &str) -> Self {
        if !self.preload.iter().any(|known| known == library) {
            self.preload.push(library.to_owned());
        }
        self
    }

    /// `pg_stat_statements`, preloaded and created in the database `postgres`; times of reads and
    /// writes are measured.
    #[must_use]
    pub fn with_statements(self) -> Self {
        let mut this = self.preload("pg_stat_statements");
        // First, so that the caller's own settings win.
        let own = [("track_io_timing", "on"), ("pg_stat_statements.max", "5000")];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        this.settings.splice(0..0, own);
        this
    }

    /// Whether connections need a password (SCRAM); they do unless this is called with `false`.
    #[must_use]
    pub fn password(mut self, needed: bool) -> Self {
        self.password = needed;
        self
    }

    /// Makes the cluster, starts it, and waits until it answers.
    ///
    /// # Errors
    /// When the version is not installed, or the server does not start; the message has the end of
    /// the server's log.
    pub async fn start(self) -> anyhow::Result<Cluster> {
        let binaries = Binaries::find(self.version)?;
        let process = Process::prepare(Signal::QUIT, "QUIT")?;
        let password = match &self.place {
            Some((_, password)) => password.clone(),
            None => format!("{:016x}", port::random()),
        };
        let first_password = template::make_data(&binaries, &process, self.password).await?;
        self.configure(&process, &process.folder().join("data"))?;

        let statements = self.preload.iter().any(|name| name == "pg_stat_statements");
        let cluster = match self.place {
            Some((port, _)) => Cluster::run_on(binaries, process, password, port).await?,
            None => Cluster::run(binaries, process, password).await?,
        };
        let password = cluster.password();
        let mut sql = format!(
            "ALTER ROLE postgres PASSWORD '{password}'; \
             CREATE ROLE monitor LOGIN PASSWORD '{password}'; GRANT pg_monitor TO monitor;"
        );
        if statements {
            sql.push_str("CREATE EXTENSION pg_stat_statements;");
        }
        let url = format!("postgres://postgres:{first_password}@127.0.0.1:{}/postgres", cluster.port());
        connect(&url).await?.batch_execute(&sql).await.context("make the roles of a test cluster")?;
        Ok(cluster)
    }

    fn configure(&self, process: &Process, data: &Path) -> anyhow::Result<()> {
        let folder = process.folder().to_str().context("temporary folder is not UTF-8")?;
        let mut text = String::from("\n# From the test kit\n");
        let defaults = [
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", folder),
            ("fsync", "off"),
            ("lc_messages", "C"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("log_line_prefix", "%m [%p] %q%u@%d "),
            // Many clusters run at once.
            ("shared_buffers", "64MB"),
            ("dynamic_shared_memory_type", "posix"),
        ];
        for (name, value) in defaults {
            writeln!(text, "{name} = {}", quoted(value))?;
        }
        if !self.preload.is_empty() {
            let libraries = quoted(&self.preload.join(","));
            writeln!(text, "shared_preload_libraries = {libraries}")?;
        }
        for (name, value) in &self.settings {
            writeln!(text, "{name} = {}", quoted(value))?;
        }
        append(&data.join("postgresql.conf"), &text)
    }
}

pub(crate) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

pub(crate) fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().append(true).open(path).with_context(|| format!("open {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

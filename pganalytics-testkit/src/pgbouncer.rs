//! PgBouncer before a cluster.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::port;
use crate::process::Process;

/// A PgBouncer that leads to every database of a cluster. Dropping it stops it.
#[derive(Debug)]
pub struct PgBouncer {
    process: Process,
    config: PathBuf,
    port: u16,
    password: String,
}

/// What a PgBouncer shall be like; from [`PgBouncer::in_front_of`].
#[derive(Debug)]
pub struct PgBouncerBuilder<'a> {
    cluster: &'a Cluster,
    settings: Vec<(String, String)>,
}

impl PgBouncer {
    /// A PgBouncer for this cluster; the roles `postgres` and `monitor` may use it.
    pub fn in_front_of(cluster: &Cluster) -> PgBouncerBuilder<'_> {
        PgBouncerBuilder { cluster, settings: Vec::new() }
    }

    /// Whether the program is installed; Debian's package is `pgbouncer`.
    pub fn is_installed() -> bool {
        program().is_some()
    }

    /// A database of the cluster through PgBouncer.
    pub fn url(&self, user: &str, db: &str) -> String {
        format!("postgres://{user}:{}@127.0.0.1:{}/{db}", self.password, self.port)
    }

    /// PgBouncer's own console, as the role `monitor`, which may read statistics and no more. It
    /// speaks the simple protocol only.
    pub fn console_url(&self) -> String {
        self.url("monitor", "pgbouncer")
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// The folder of its files.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// Stops it at once; clients lose their connections.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::TERM)?;
        self.process.ended(Duration::from_secs(20)).await
    }

    /// Starts it again at the same port.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        let mut command = self.process.command(&program().context("pgbouncer is not installed")?)?;
        command.arg(&self.config);
        self.process.spawn(command)?;
        let listens = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        self.process.until("listening", Duration::from_secs(20), listens).await
    }

    /// The whole log.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn log(&self) -> anyhow::Result<String> {
        self.process.log()
    }
}

impl PgBouncerBuilder<'_> {
    /// A line of the section `[pgbouncer]`, such as `pool_mode`; later ones win.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When the program is missing or does not start; the message has the end of its log.
    pub async fn start(self) -> anyhow::Result<PgBouncer> {
        let program = program().context("pgbouncer is not installed (Debian: apt-get install pgbouncer)")?;
        for _ in 0..20 {
            let process = Process::prepare(Signal::TERM, "TERM")?;
            let port = port::free()?;
            let config = self.write_config(&process, port)?;
            let mut command = process.command(&program)?;
            command.arg(&config);
            process.spawn(command)?;
            let listening = format!("listening on 127.0.0.1:{port}");
            let ready = process
                .until("listening", Duration::from_secs(20), || process.log().is_ok_and(|log| log.contains(&listening)))
                .await;
            match ready {
                Ok(()) => {
                    let password = self.cluster.password().to_owned();
                    return Ok(PgBouncer { process, config, port, password });
                }
                // Another process was faster; try the next port.
                Err(_) if process.log()?.contains("already in use") => {}
                Err(error) => return Err(error),
            }
        }
        bail!("found no port for PgBouncer")
    }

    fn write_config(&self, process: &Process, port: u16) -> anyhow::Result<PathBuf> {
        let users = process.folder().join("users.txt");
        let password = self.cluster.password();
        std::fs::write(&users, format!("\"postgres\" \"{password}\"\n\"monitor\" \"{password}\"\n"))?;
        process.account().give(&users)?;
        let mut text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n\
             admin_users = postgres\nstats_users = monitor\nignore_startup_parameters = extra_float_digits\n",
            self.cluster.port(),
            users.display()
        );
        for (name, value) in &self.settings {
            text.push_str(&format!("{name} = {value}\n"));
        }
        let config = process.folder().join("pgbouncer.ini");
        std::fs::write(&config, text)?;
        process.account().give(&config)?;
        Ok(config)
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        // Debian puts it where ordinary users have no PATH.
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join("pgbouncer"))
        .find(|file| file.is_file())
}

//! A running cluster, and what tests do to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio_postgres::{Client, NoTls};

use crate::binaries::Binaries;
use crate::builder::ClusterBuilder;
use crate::port;
use crate::process::{Process, send};

/// Generous: a test machine may be busy with other things.
const LIMIT: Duration = Duration::from_secs(60);

/// A PostgreSQL server with a folder, a port and a password of its own. Dropping it stops the
/// server at once and removes everything.
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    process: Process,
    data: PathBuf,
    port: u16,
    password: String,
}

impl Cluster {
    /// A cluster with `pg_stat_statements`.
    ///
    /// # Errors
    /// As [`ClusterBuilder::start`].
    pub async fn start(version: u16) -> anyhow::Result<Self> {
        Self::builder(version).with_statements().start().await
    }

    /// A cluster with settings of your own; without `pg_stat_statements` unless you ask for it.
    pub fn builder(version: u16) -> ClusterBuilder {
        ClusterBuilder::new(version)
    }

    /// Starts the server in a folder that is ready for it, on the first port that works.
    pub(crate) async fn run(binaries: Binaries, process: Process, password: String) -> anyhow::Result<Self> {
        let mut cluster = Self::ready(binaries, process, password, 0);
        for _ in 0..20 {
            cluster.port = port::free()?;
            match cluster.start_again().await {
                Err(error) if cluster.lost_its_port() => {
                    eprintln!("port {} was taken meanwhile: {error}", cluster.port);
                    std::fs::remove_file(cluster.log_file())?;
                }
                other => return other.map(|()| cluster),
            }
        }
        bail!("found no port for PostgreSQL {}", cluster.version())
    }

    /// As [`Cluster::run`], on this port and no other.
    pub(crate) async fn run_on(
        binaries: Binaries,
        process: Process,
        password: String,
        port: u16,
    ) -> anyhow::Result<Self> {
        let cluster = Self::ready(binaries, process, password, port);
        cluster.start_again().await.map(|()| cluster)
    }

    fn ready(binaries: Binaries, process: Process, password: String, port: u16) -> Self {
        let data = process.folder().join("data");
        Self { binaries, process, data, port, password }
    }

    fn lost_its_port(&self) -> bool {
        self.log().is_ok_and(|log| log.contains("could not create any TCP/IP sockets"))
    }

    /// `postgres://…` for a role that has the cluster's password.
    pub fn url(&self, user: &str, db: &str) -> String {
        format!("postgres://{user}:{}@127.0.0.1:{}/{db}", self.password, self.port)
    }

    /// As [`Cluster::url`], for the superuser `postgres`.
    pub fn superuser_url(&self, db: &str) -> String {
        self.url("postgres", db)
    }

    /// As [`Cluster::url`], for the role `monitor`, which is a member of `pg_monitor` and no more.
    pub fn monitor_url(&self, db: &str) -> String {
        self.url("monitor", db)
    }

    /// The password of `postgres` and `monitor`; give it to roles that [`Cluster::url`] shall serve.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// TCP port on 127.0.0.1; stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Major version.
    pub fn version(&self) -> u16 {
        self.binaries.version()
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// The folder with the Unix socket.
    pub fn socket_dir(&self) -> &Path {
        self.process.folder()
    }

    /// Where the server logs to, unless `logging_collector` was turned on.
    pub fn log_file(&self) -> PathBuf {
        self.process.log_file()
    }

    /// The whole log, that of the logging collector included.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn log(&self) -> anyhow::Result<String> {
        let mut log = self.process.log()?;
        let Ok(folder) = std::fs::read_dir(self.data_dir().join("log")) else {
            return Ok(log);
        };
        let mut files = folder.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        files.sort();
        for file in files {
            log.push_str(&String::from_utf8_lossy(&std::fs::read(file)?));
        }
        Ok(log)
    }

    /// The lines of the log that report an `ERROR`, `FATAL` or `PANIC`. A restart while somebody is
    /// connected is such a line too (`terminating connection due to administrator command`).
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn errors_in_log(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.log()?.lines().filter(|line| is_error(line)).map(str::to_owned).collect())
    }

    /// Process id of the postmaster while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    pub(crate) fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// A connection as superuser; a task drives it until the client is dropped.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn client(&self, db: &str) -> anyhow::Result<Client> {
        connect(&self.superuser_url(db)).await
    }

    /// Runs statements as superuser.
    ///
    /// # Errors
    /// When the server refuses them; the message says why.
    pub async fn sql(&self, db: &str, sql: &str) -> anyhow::Result<()> {
        let client = self.client(db).await?;
        client.batch_execute(sql).await.with_context(|| {
            let start: String = sql.chars().take(200).collect();
            format!("in database {db}: {start}")
        })
    }

    /// Stops the server cleanly without waiting for its sessions (`fast`).
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::INT)?;
        self.process.ended(LIMIT).await
    }

    /// Starts a stopped server and waits until it answers.
    ///
    /// # Errors
    /// When it runs already or does not start; the message has the end of its log.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        let mut command = self.process.command(&self.binaries.program("postgres"))?;
        command.arg("-D").arg(&self.data).arg("-p").arg(self.port.to_string());
        let pid = self.process.spawn(command)?;
        // The server says in this file when it takes connections. Trying to connect instead would
        // leave FATAL lines in a log that tests want to find clean.
        let file = self.data.join("postmaster.pid");
        self.process.until("ready", LIMIT, || is_ready(&file, pid)).await
    }

    /// A clean restart (`fast`).
    ///
    /// # Errors
    /// When the server does not stop or start.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// Stops the server as a crash would (`immediate`) and starts it: it recovers.
    ///
    /// # Errors
    /// When the server does not stop or start.
    pub async fn stop_immediate_and_start(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::QUIT)?;
        self.process.ended(LIMIT).await?;
        self.start_again().await
    }

    /// Opens a session and kills its backend with `SIGKILL`, so that the server throws out all
    /// sessions and recovers; returns when it answers again. The postmaster stays the same.
    ///
    /// # Errors
    /// When the server does not come back.
    pub async fn kill9_backend(&self) -> anyhow::Result<()> {
        self.kill9_backend_and_recover_for(Duration::ZERO).await
    }

    /// As [`kill9_backend`](Self::kill9_backend), with a recovery that takes longer by this, as
    /// that of a large server does. Where the process that recovers is not caught it takes no
    /// longer.
    ///
    /// # Errors
    /// When the server does not come back.
    pub async fn kill9_backend_and_recover_for(&self, longer: Duration) -> anyhow::Result<()> {
        let before = self.times_ready();
        let postmaster = self.pid().context("the server does not run")?;
        let victim = self.client("postgres").await?;
        let pid: i32 = victim.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        send(u32::try_from(pid)?, Signal::KILL)?;
        while !longer.is_zero() && self.times_ready() == before {
            let is_startup = |pid: &u32| {
                std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|name| name.contains("startup"))
            };
            if let Some(startup) = children_of(postmaster)?.into_iter().find(is_startup)
                && send(startup, Signal::STOP).is_ok()
            {
                tokio::time::sleep(longer).await;
                send(startup, Signal::CONT)?;
                break;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        self.process.until("ready after recovery", LIMIT, || self.times_ready() > before).await?;
        self.sql("postgres", "SELECT 1").await
    }

    /// Stops all processes of the server where they are (`SIGSTOP`): connections are taken by the
    /// kernel and nobody answers. They go on when the guard is dropped.
    ///
    /// # Errors
    /// When the server does not run.
    pub fn freeze(&self) -> anyhow::Result<Frozen<'_>> {
        let postmaster = self.pid().context("the server does not run")?;
        let mut frozen = Frozen { cluster: self, pids: vec![postmaster] };
        // First, so that there are no further children.
        send(postmaster, Signal::STOP)?;
        for child in children_of(postmaster)? {
            // Some may have ended meanwhile.
            if send(child, Signal::STOP).is_ok() {
                frozen.pids.push(child);
            }
        }
        Ok(frozen)
    }

    fn times_ready(&self) -> usize {
        let log = self.log().unwrap_or_default();
        log.matches("database system is ready to accept").count()
    }
}

/// A cluster that does not move; see [`Cluster::freeze`].
#[derive(Debug)]
pub struct Frozen<'a> {
    cluster: &'a Cluster,
    pids: Vec<u32>,
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        for pid in self.pids.iter().rev() {
            if let Err(error) = send(*pid, Signal::CONT) {
                eprintln!("port {}: process {pid} does not go on: {error:#}", self.cluster.port());
            }
        }
    }
}

/// The processes whose parent is this one.
fn children_of(parent: u32) -> anyhow::Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc").context("list /proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The program's name stands in brackets; then come the state and the parent.
        let of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if of == Some(parent) {
            children.push(pid);
        }
    }
    Ok(children)
}

pub(crate) async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connect to the test cluster")?;
    // How a connection ends is seen by whoever uses the client.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// Line 1 is the process id, line 8 the state.
fn is_ready(file: &Path, pid: u32) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines();
    let same = lines.next().is_some_and(|line| line.trim() == pid.to_string());
    same && lines.nth(6).is_some_and(|line| line.trim() == "ready")
}

/// What follows the prefix is the severity, a colon and two spaces; nothing before has these.
fn is_error(line: &str) -> bool {
    let Some((before, _)) = line.split_once(":  ") else { return false };
    !line.starts_with('\t') && ["ERROR", "FATAL", "PANIC"].iter().any(|word| before.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_text_that_mentions_them() {
        assert!(is_error("2026-01-01 00:00:00 UTC [1] a@b ERROR:  no such table"));
        assert!(is_error("2026-01-01 00:00:00 UTC [1] FATAL:  gone"));
        assert!(!is_error("2026-01-01 00:00:00 UTC [1] LOG:  said ERROR:  before"));
        assert!(!is_error("\tselect 'ERROR:  x'"));
    }
}

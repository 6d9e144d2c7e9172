//! One server process with a folder of its own, both gone when this is dropped.

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::user::Account;
use crate::watchdog::Watchdog;

const POLL: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Process {
    running: Mutex<Option<Child>>,
    watchdog: Mutex<Watchdog>,
    /// What makes the server leave at once.
    immediate: Signal,
    account: Account,
    folder: TempDir,
}

impl Process {
    /// An empty folder for a server; `immediate` is the signal that stops it at once, with its name.
    pub(crate) fn prepare(immediate: Signal, name: &str) -> anyhow::Result<Self> {
        let account = Account::for_servers()?;
        // Short, because the path of a Unix socket may have 107 bytes only.
        let folder = tempfile::Builder::new().prefix("pga-").tempdir().context("make a folder for a server")?;
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        account.give(folder.path())?;
        let watchdog = Watchdog::start(folder.path(), name, account)?;
        Ok(Self { running: Mutex::new(None), watchdog: Mutex::new(watchdog), immediate, account, folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn account(&self) -> Account {
        self.account
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder().join("server.log")
    }

    pub(crate) fn log(&self) -> anyhow::Result<String> {
        let path = self.log_file();
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        // Whatever is sent to a server can end up in its log, in any encoding.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A command that runs as the servers' account, writes to the log, and is in no way shaped by
    /// the surroundings of the tests.
    pub(crate) fn command(&self, program: &Path) -> anyhow::Result<Command> {
        let log = self.open_log()?;
        let mut command = Command::new(program);
        command
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in the terminal must not reach the server before its cleanup.
            .process_group(0);
        self.account.run(&mut command);
        Ok(command)
    }

    fn open_log(&self) -> anyhow::Result<File> {
        let path = self.log_file();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        self.account.give(&path)?;
        Ok(log)
    }

    pub(crate) fn spawn(&self, mut command: Command) -> anyhow::Result<u32> {
        let mut running = lock(&self.running);
        if running.is_some() {
            bail!("the server is running already");
        }
        let child = command.spawn().with_context(|| format!("start {}", command.get_program().display()))?;
        let pid = child.id();
        lock(&self.watchdog).follow(pid);
        *running = Some(child);
        Ok(pid)
    }

    /// Process id while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        let mut running = lock(&self.running);
        let child = running.as_mut()?;
        match child.try_wait() {
            Ok(None) => Some(child.id()),
            Ok(Some(_)) | Err(_) => {
                *running = None;
                lock(&self.watchdog).follow(0);
                None
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        match self.pid() {
            Some(pid) => send(pid, signal),
            None => Ok(()),
        }
    }

    /// Waits until the process has ended.
    pub(crate) async fn ended(&self, limit: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        while self.pid().is_some() {
            if start.elapsed() > limit {
                bail!("the server did not stop within {limit:?}; its log:\n{}", self.tail());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until `ready` says so; an error when the process ends before.
    pub(crate) async fn until(&self, what: &str, limit: Duration, ready: impl Fn() -> bool) -> anyhow::Result<()> {
        let start = Instant::now();
        while !ready() {
            if self.pid().is_none() {
                bail!("the server ended before it was {what}; its log:\n{}", self.tail());
            }
            if start.elapsed() > limit {
                bail!("the server was not {what} within {limit:?}; its log:\n{}", self.tail());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// The end of the log, for messages.
    pub(crate) fn tail(&self) -> String {
        let log = self.log().unwrap_or_else(|error| format!("{error:#}"));
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.signal(self.immediate);
        let start = Instant::now();
        while let Some(pid) = self.pid() {
            if start.elapsed() > Duration::from_secs(10) {
                let _ = send(pid, Signal::KILL);
            }
            std::thread::sleep(POLL);
        }
        // Before the watchdog goes: if this is cut short, the watchdog finishes it.
        if let Err(error) = std::fs::remove_dir_all(self.folder()) {
            eprintln!("can't remove {}: {error}", self.folder().display());
        }
        lock(&self.watchdog).dismiss();
    }
}

pub(crate) fn send(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let raw = i32::try_from(pid)?;
    let target = Pid::from_raw(raw).context("0 is no process id")?;
    kill_process(target, signal).with_context(|| format!("send signal to process {pid}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere must not keep a server from being stopped.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A PgBouncer on the agent's own host: its process, by its `pidfile`.

use std::{path::Path, time::UNIX_EPOCH};

use pganalytics_core::{Timestamp, Value};

use crate::host::process::Status;

/// The process of a PgBouncer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// When the file was written. Unlike the kernel's start of the process it
    /// does not move when the clock is set, so it can stamp counters.
    pub(super) started: Timestamp,
}

/// What it costs.
pub(super) struct Figures {
    process: Process,
    status: Status,
}

impl Process {
    /// The process that a pidfile names, if it is a PgBouncer of this host and
    /// the file can be read.
    pub(super) async fn find(pidfile: &str) -> Option<Self> {
        let path = Path::new(pidfile);
        if !path.is_absolute() {
            return None;
        }
        let text = tokio::fs::read_to_string(path).await.ok()?;
        let pid: u32 = text.trim().parse().ok()?;
        let name = tokio::fs::read(format!("/proc/{pid}/comm")).await.ok()?;
        let written = tokio::fs::metadata(path).await.ok()?.modified().ok()?;
        let micros = i64::try_from(written.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()?;
        (name.trim_ascii() == b"pgbouncer").then_some(Self { pid, started: Timestamp::from_micros(micros) })
    }

    /// What it costs now; `None` when it has ended.
    pub(super) async fn figures(self) -> Option<Figures> {
        let read = tokio::task::spawn_blocking(move || Status::read(Path::new("/"), self.pid));
        let status = read.await.ok()??;
        Some(Figures { process: self, status })
    }
}

impl Figures {
    pub(super) fn value(&self, column: &str) -> Option<Value<'_>> {
        let int = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok()).map(Value::Int);
        match column {
            "pid" => Some(Value::Int(i64::from(self.process.pid))),
            "started_at" => Some(Value::Timestamp(self.process.started.as_micros())),
            "cpu" => Some(Value::Float(self.status.cpu_user + self.status.cpu_system)),
            "rss" => int(Some(self.status.rss)),
            "virtual_memory" => int(Some(self.status.virtual_memory)),
            "open_fds" => int(self.status.open_files()),
            "max_fds" => int(self.status.most_files()),
            "start_time" => self.status.start_time().map(Value::Float),
            _ => None,
        }
    }
}

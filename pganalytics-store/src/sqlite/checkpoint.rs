//! Moving what was written from the log to the file, beside the writer.
//!
//! SQLite would do it at a commit, in the writer, with a sync of the whole file
//! while pushes wait. Here a thread of its own copies what is committed, which
//! keeps nobody from writing, and asks the writer for no more than to begin the
//! log anew once little is left to copy.
//!
//! Invariant: the log's length is bounded by what is written while a reader holds
//! on to an old moment, and by [`RESTART_PAGES`].

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;

use super::{error::Doing, open};
use crate::error::StoreError;

/// How often it looks whether something was written.
const EVERY: Duration = Duration::from_millis(500);
/// Pages in the log from which on it is begun anew: 16 MiB.
const RESTART_PAGES: i64 = 1000;
/// Most of them that the writer may have to copy for that.
const REST_PAGES: i64 = 128;

/// How a checkpoint ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Copies what it can without keeping anybody from anything.
    Passive,
    /// The next write begins the log anew.
    Restart,
    /// The log is empty then, and its room given back.
    Truncate,
}

/// What a checkpoint found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checkpointed {
    /// Pages in the log.
    pub(super) pages: i64,
    /// Pages that are in the file now.
    pub(super) copied: i64,
}

/// Makes a checkpoint; readers that are in its way end it early, not the call.
pub(super) fn checkpoint(connection: &Connection, mode: Mode) -> Result<Checkpointed, StoreError> {
    let sql = match mode {
        Mode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Mode::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Mode::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement.query_row([], |row| Ok(Checkpointed { pages: row.get(1)?, copied: row.get(2)? }))
        })
        .doing("copying the log to the file")
}

/// The thread that makes checkpoints.
#[derive(Debug)]
pub(super) struct Checkpointer {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts it. `commits` counts the writer's commits; `restart` asks the writer
    /// to begin the log anew, and waits until it has.
    pub(super) fn start(
        file: &Path,
        commits: Arc<AtomicU64>,
        restart: impl Fn() + Send + 'static,
    ) -> Result<Self, StoreError> {
        let connection = open::checkpointer(file)?;
        let (stop, stopped) = mpsc::channel::<()>();
        let run = move || {
            // What the log holds from before is to be copied, too.
            let mut seen = u64::MAX;
            while stopped.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                let now = commits.load(Ordering::Relaxed);
                if now == seen {
                    continue;
                }
                match checkpoint(&connection, Mode::Passive) {
                    Ok(found) => {
                        seen = if found.copied == found.pages { now } else { seen };
                        if found.pages >= RESTART_PAGES && found.pages - found.copied <= REST_PAGES {
                            restart();
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the log could not be copied to the file; it grows until it can");
                    }
                }
            }
        };
        let thread = thread::Builder::new()
            .name("pganalytics-log".to_owned())
            .spawn(run)
            .map_err(|error| StoreError::backend("starting checkpoints", error))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

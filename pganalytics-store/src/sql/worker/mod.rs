//! Queries in processes of their own, which can be limited and killed.
//!
//! ```text
//!  SqlQuery ── WorkerPool ──(JSON, standard input)──▶ serve() ── Engine ── ChunkSource
//!                  ▲                                     │
//!                  └───────(Arrow IPC, standard output)──┘
//! ```
//!
//! Inside of a process an engine can promise much, but not that it always looks at
//! the clock, and that all its memory is counted. The system can: each worker is a
//! process with limits on memory and processor time, and is killed at the deadline
//! of its query, or when nobody waits for the answer any more.
//!
//! A program that wants workers starts itself with a command of its own, opens its
//! store to read, and calls [`serve`]; [`WorkerPool::start`] is told that command.
//! `pganalytics-server sql-worker` is one.
//!
//! # What stays true
//! * A worker has one query at a time. Its place is free again when the answer has
//!   ended or was dropped; if the process had to be killed, when it is gone and
//!   another has taken its place.
//! * It inherits no file but the three standard ones, which are pipes, and no
//!   environment. It writes no file.
//! * It ends when its parent does, however that ended.
//!
//! # Failure modes
//! * A query takes more memory than the worker may have: the allocation fails, the
//!   process aborts, the answer is [`SqlError::OutOfMemory`](super::SqlError).
//! * It computes and does not look at the clock: killed at the deadline,
//!   [`SqlError::Timeout`](super::SqlError).
//! * The parent is stopped and can't kill it: the limit on processor time does.
//! * The system ends it, for lack of memory: [`SqlError::Killed`](super::SqlError).
//! * Workers can't be started: queries fail with
//!   [`StoreError::Unavailable`](crate::StoreError::Unavailable), which says why;
//!   each query tries again.

mod child;
mod lease;
mod limits;
mod pool;
mod process;
mod protocol;

use std::{ffi::OsString, num::NonZero, path::PathBuf, time::Duration};

pub use self::{child::serve, pool::WorkerPool};

/// How a [`WorkerPool`] works.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerOptions {
    /// The program that calls [`serve`]; `/proc/self/exe` is the one that runs,
    /// also after its file was replaced.
    pub program: PathBuf,
    /// Its arguments. Everybody on the machine can read them.
    pub args: Vec<OsString>,
    /// Processes, each with one query at a time.
    pub workers: usize,
    /// Memory that a worker may take on top of what it has when it is idle.
    pub memory_bytes: usize,
    /// Threads that compute in a worker.
    pub threads: usize,
    /// Processor time of a query; `None`: as much as its threads can use until its
    /// deadline.
    pub cpu: Option<Duration>,
    /// How far back `m_latest` looks for the last state of a source.
    pub latest_lookback: Duration,
}

impl WorkerOptions {
    /// Workers that are this program with these arguments.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            workers: 4,
            memory_bytes: 160 << 20,
            threads: std::thread::available_parallelism().map_or(2, NonZero::get),
            cpu: None,
            latest_lookback: super::EngineOptions::default().latest_lookback,
        }
    }
}

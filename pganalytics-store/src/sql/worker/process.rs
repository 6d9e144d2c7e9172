//! A worker's process, as its parent has it.

use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pganalytics_core::Schema;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::{
    WorkerOptions, limits,
    protocol::{self, Kind, MAX_MESSAGE, Question, Request, Terms},
};
use crate::{error::StoreError, sql::SqlError};

/// Longest time from the start of a process until it can take queries.
const START: Duration = Duration::from_secs(30);
/// Lines of complaints that are kept.
const LINES: usize = 8;
/// A process that has closed its output is gone soon.
const GONE: Duration = Duration::from_secs(5);

/// A process that waits for a query, or has one.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    complaints: Arc<Mutex<Vec<String>>>,
    /// The schemas that it knows.
    known: Arc<[Arc<Schema>]>,
    /// Memory that it may take more than it has when it is idle.
    memory_bytes: usize,
    cpu: Duration,
    /// What it held when it was new.
    held: u64,
}

impl Worker {
    /// Starts a process and waits until it can take queries.
    pub(super) async fn start(options: &WorkerOptions) -> Result<Self, StoreError> {
        let mut command = Command::new(&options.program);
        command
            .args(&options.args)
            // It needs no secret, and no setting but the allocator's: few arenas,
            // of which each takes address space, and memory given back.
            .env_clear()
            .envs(MALLOC)
            .current_dir("/")
            // An interrupt from the keyboard is for the server, which ends in order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let failed = |error: io::Error| {
            StoreError::Unavailable(format!("a SQL worker ({}) did not start: {error}", options.program.display()))
        };
        let mut child = command.spawn().map_err(failed)?;
        let piped = || io::Error::other("no pipe");
        let (requests, answers, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(requests), Some(answers), Some(errors)) = (requests, answers, errors) else {
            return Err(failed(piped()));
        };
        let complaints = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(hear(errors, Arc::clone(&complaints)));
        let mut worker = Self {
            child,
            requests,
            answers: BufReader::with_capacity(256 << 10, answers),
            complaints,
            known: Arc::default(),
            memory_bytes: options.memory_bytes,
            cpu: Duration::ZERO,
            held: 0,
        };
        let terms = Terms {
            memory_bytes: options.memory_bytes,
            threads: options.threads,
            cpu: options.cpu,
            latest_lookback: options.latest_lookback,
        };
        let hello = async {
            worker.tell(&Request::Start(terms)).await?;
            worker.hear().await
        };
        match timeout(START, hello).await {
            Ok(Ok((Kind::Ready, _))) => {}
            Ok(Ok((kind, _))) => return Err(failed(io::Error::other(format!("it began with {kind:?}")))),
            Ok(Err(_)) => return Err(failed(io::Error::other(worker.last_words().await))),
            Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
        }
        worker.held = worker.holds();
        Ok(worker)
    }

    /// Hands a query over.
    pub(super) async fn ask(
        &mut self,
        known: &Arc<[Arc<Schema>]>,
        question: Question,
        cpu: Duration,
    ) -> io::Result<()> {
        self.cpu = cpu;
        if !Arc::ptr_eq(&self.known, known) && (!self.known.is_empty() || !known.is_empty()) {
            self.tell(&protocol::known(known)?).await?;
            self.known = Arc::clone(known);
        }
        self.tell(&Request::Run(question)).await
    }

    async fn tell(&mut self, request: &Request) -> io::Result<()> {
        self.requests.write_all(&protocol::request(request)?).await?;
        self.requests.flush().await
    }

    /// What it says next. Dropped in the middle, the worker is of no use any more.
    pub(super) async fn hear(&mut self) -> io::Result<(Kind, Vec<u8>)> {
        let kind = self.answers.read_u8().await?;
        let length = usize::try_from(self.answers.read_u32_le().await?).unwrap_or(usize::MAX);
        let kind = Kind::of(kind).filter(|_| length <= MAX_MESSAGE);
        let kind = kind.ok_or_else(|| io::Error::other("it does not speak our language"))?;
        let mut bytes = vec![0; length];
        self.answers.read_exact(&mut bytes).await?;
        Ok((kind, bytes))
    }

    /// Whether it still runs.
    pub(super) fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn holds(&self) -> u64 {
        self.child.id().map_or(0, limits::held_by)
    }

    /// Whether it kept so much of what past queries used that a new one is better.
    pub(super) fn is_swollen(&self) -> bool {
        self.holds() > self.held + self.memory_bytes as u64 / 3
    }

    /// Kills it; returns when it is gone.
    pub(super) async fn end(mut self) {
        let _ = self.child.start_kill();
        let _ = self.child.wait().await;
    }

    /// What it means that it went away in the middle of a query.
    pub(super) async fn death(mut self) -> SqlError {
        let Ok(Ok(status)) = timeout(GONE, self.child.wait()).await else {
            return SqlError::Internal("a worker broke off".to_owned());
        };
        let words = self.last_words().await;
        tracing::warn!(%status, words, "a SQL worker ended in the middle of a query");
        meaning(status, &words, self.memory_bytes, self.cpu)
    }

    /// Its last complaints, or how it ended.
    async fn last_words(&mut self) -> String {
        let status = timeout(GONE, self.child.wait()).await;
        // The lines come through a pipe of their own.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let words = self.complaints.lock().unwrap_or_else(PoisonError::into_inner).join("; ");
        match status {
            Ok(Ok(status)) if words.is_empty() => status.to_string(),
            _ => words,
        }
    }
}

/// Keeps the last lines of what it complains about.
async fn hear(errors: impl tokio::io::AsyncRead + Unpin, complaints: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(errors.take(1 << 20)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(line, "a SQL worker says");
        let mut kept = complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if !line.trim().is_empty() {
            kept.push(line.chars().take(500).collect());
        }
        if kept.len() > LINES {
            kept.remove(0);
        }
    }
}

/// Few arenas, and what is large goes back to the system when it is freed. Left to itself glibc's
/// allocator keeps it: a worker would be exchanged after each larger query for memory that it does
/// not use, and its caches with it.
const MALLOC: [(&str, &str); 3] =
    [("MALLOC_MMAP_THRESHOLD_", "262144"), ("MALLOC_TRIM_THRESHOLD_", "4194304"), ("MALLOC_ARENA_MAX", "2")];

/// Signals, as Linux numbers them on every machine that we know.
const ABORT: i32 = 6;
const KILL: i32 = 9;
const CPU: i32 = 24;

fn meaning(status: ExitStatus, words: &str, memory_bytes: usize, cpu: Duration) -> SqlError {
    let megabytes = memory_bytes >> 20;
    let no_memory = ["memory allocation of", "Cannot allocate memory", "out of memory", "can't spawn worker thread"];
    match status.signal() {
        Some(CPU) => SqlError::OutOfCpu { seconds: cpu.as_secs() },
        Some(KILL) => SqlError::Killed,
        _ if no_memory.iter().any(|sign| words.contains(sign)) => SqlError::OutOfMemory { megabytes },
        Some(ABORT) if words.contains("overflowed its stack") => {
            SqlError::Failed("the query nests too deeply; split it into smaller queries".to_owned())
        }
        _ => SqlError::Internal(format!("a worker ended with {status}")),
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn each_end_has_a_meaning() {
        let of = |signal: i32, words: &str| {
            meaning(ExitStatus::from_raw(signal), words, 64 << 20, Duration::from_secs(30)).code()
        };
        assert_eq!(of(CPU, ""), "out_of_cpu");
        assert_eq!(of(KILL, ""), "query_killed");
        assert_eq!(of(ABORT, "memory allocation of 8192081920 bytes failed"), "out_of_memory");
        assert_eq!(of(ABORT, "thread 'pganalytics-sql' has overflowed its stack"), "query_failed");
        assert_eq!(of(ABORT, ""), "internal");
        assert_eq!(of(0, ""), "internal");
    }
}

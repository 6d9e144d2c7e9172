//! The one thread that writes.
//!
//! Calls wait in a queue that is bounded by bytes. The thread takes all that
//! wait, up to a bound, runs each under a savepoint of its own in one
//! transaction, commits, and only then answers: one sync serves them all, and
//! what waits while it syncs is the next group.
//!
//! Background work comes in slices ([`Writer::sliced`]): each has the writer for
//! no longer than [`SLICE`] and writes little more than [`SLICE_BYTES`], so what a
//! push waits for at most is one slice, its sync, and those of its own group.
//!
//! Invariants:
//! * an `Ok` is sent after the commit, so it is durable and readers see it;
//! * a call that fails leaves its neighbours alone; when the transaction fails
//!   (disk full, I/O error), all calls of the group fail and none is written;
//! * [`Memory`] holds nothing that the file does not hold: whenever something
//!   is undone, it is emptied.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::{
    checkpoint::{Checkpointer, Mode, checkpoint},
    error::{Doing, again, meaning},
    lock::FileLock,
    names::Memory,
    open::BUSY_MILLIS,
    options::SqliteOptions,
};
use crate::error::StoreError;

/// How long background work has the writer at a stretch, but for its last step.
const SLICE: Duration = Duration::from_millis(8);
/// Bytes that it writes at a stretch, but for its last step.
const SLICE_BYTES: usize = 2 << 20;

/// What a step of background work did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It wrote about so many bytes, and there is more to do.
    More(usize),
    Done,
}

/// What a call does to the file. It may be undone and its answer thrown away.
pub(super) trait Work<T>: FnOnce(&Connection, &mut Memory) -> Result<T, StoreError> + Send + 'static {}
impl<T, F: FnOnce(&Connection, &mut Memory) -> Result<T, StoreError> + Send + 'static> Work<T> for F {}

/// A call, whatever its answer's type.
trait Call: Send {
    fn run(&mut self, connection: &Connection, memory: &mut Memory) -> Result<(), StoreError>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Asked<T, F> {
    work: Option<F>,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: Work<T>> Call for Asked<T, F> {
    fn run(&mut self, connection: &Connection, memory: &mut Memory) -> Result<(), StoreError> {
        if let Some(work) = self.work.take() {
            self.value = Some(work(connection, memory)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let lost = || StoreError::Unavailable("the call got no answer".to_owned());
        // Nobody may be waiting any more; what was done stays done.
        let Self { value, reply, .. } = *self;
        let _ = reply.send(outcome.and_then(|()| value.ok_or_else(lost)));
    }
}

struct Queued {
    call: Box<dyn Call>,
    bytes: u32,
    _room: OwnedSemaphorePermit,
}

enum Item {
    Call(Queued),
    /// A checkpoint, outside of any transaction; answered when it is over.
    Checkpoint(Mode, oneshot::Sender<()>),
}

/// The writer's door.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Item>>,
    room: Arc<Semaphore>,
    queue_bytes: u32,
    thread: Option<JoinHandle<()>>,
    /// Its other end lives as long as the thread.
    alive: watch::Receiver<()>,
    #[cfg(test)]
    commits: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        file: &Path,
        connection: Connection,
        lock: FileLock,
        options: &SqliteOptions,
    ) -> Result<Self, StoreError> {
        let (queue, calls) = mpsc::channel(4096);
        let memory = Memory::load(&connection)?;
        let (lives, alive) = watch::channel(());
        let commits = Arc::new(AtomicU64::new(0));
        // It must not keep the queue open.
        let door = queue.downgrade();
        let restart = move || {
            let (reply, answer) = oneshot::channel();
            let asked = door.upgrade().map(|queue| queue.blocking_send(Item::Checkpoint(Mode::Restart, reply)));
            if let Some(Ok(())) = asked {
                let _ = answer.blocking_recv();
            }
        };
        let checkpointer = Checkpointer::start(file, Arc::clone(&commits), restart)?;
        let state = Thread {
            checkpointer: Some(checkpointer),
            commits: Arc::clone(&commits),
            connection,
            memory,
            calls,
            group_bytes: options.group_bytes,
            group_calls: options.group_calls.max(1),
            _lives: lives,
            _lock: lock,
        };
        let thread = thread::Builder::new()
            .name("pganalytics-write".to_owned())
            .spawn(move || state.run())
            .map_err(|error| StoreError::backend("starting the writer", error))?;
        let room = Arc::new(Semaphore::new(options.queue_bytes as usize));
        Ok(Self {
            queue: Some(queue),
            room,
            queue_bytes: options.queue_bytes,
            thread: Some(thread),
            alive,
            #[cfg(test)]
            commits,
        })
    }

    /// Runs `work` in a transaction; returns when that is durable. Dropping the
    /// future does not stop what is queued.
    pub(super) async fn call<T: Send + 'static>(&self, bytes: usize, work: impl Work<T>) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("it is being closed".to_owned());
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.queue_bytes.max(1));
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let call = Box::new(Asked { work: Some(work), value: None, reply });
        queue.send(Item::Call(Queued { call, bytes, _room: room })).await.map_err(|_| closed())?;
        answer.await.map_err(|_| StoreError::Unavailable("the writer has stopped".to_owned()))?
    }

    /// Does `step` until it is done, a slice in a transaction. Between slices others
    /// have the writer. When a step fails, or the future is dropped, the slices
    /// before it stay done.
    pub(super) async fn sliced<S: Send + 'static>(
        &self,
        mut state: S,
        step: fn(&Connection, &mut Memory, &mut S) -> Result<Step, StoreError>,
    ) -> Result<S, StoreError> {
        loop {
            let (next, took) = self
                .call(1, move |connection, memory| {
                    let (begun, mut bytes) = (Instant::now(), 0);
                    while bytes < SLICE_BYTES && begun.elapsed() < SLICE {
                        match step(connection, memory, &mut state)? {
                            Step::More(more) => bytes += more,
                            Step::Done => return Ok((state, None)),
                        }
                    }
                    Ok((state, Some(begun.elapsed())))
                })
                .await?;
            let Some(took) = took else { return Ok(next) };
            state = next;
            // Whoever has waited goes first, and the disk has a moment for others.
            tokio::time::sleep(took.min(SLICE) / 2).await;
        }
    }

    /// Copies the log to the file and gives its room back, as far as readers let it.
    pub(super) async fn truncate_log(&self) {
        let (reply, answer) = oneshot::channel();
        if let Some(queue) = &self.queue
            && queue.send(Item::Checkpoint(Mode::Truncate, reply)).await.is_ok()
        {
            let _ = answer.await;
        }
    }

    /// Number of transactions so far.
    #[cfg(test)]
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Waits until the thread has ended though nobody closed the store.
    pub(super) async fn stopped(&self) -> StoreError {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
        StoreError::Unavailable(
            "a bug has stopped its writer; nothing more is written until it is opened anew".to_owned(),
        )
    }

    /// Whether the thread takes calls.
    pub(super) fn is_running(&self) -> bool {
        self.alive.has_changed().is_ok()
    }
}

impl Drop for Writer {
    /// Finishes what is queued, so that the store can be opened again at once.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Thread {
    connection: Connection,
    memory: Memory,
    calls: mpsc::Receiver<Item>,
    checkpointer: Option<Checkpointer>,
    commits: Arc<AtomicU64>,
    group_bytes: u32,
    group_calls: usize,
    _lives: watch::Sender<()>,
    /// Given back after the connection is closed: fields drop in order.
    _lock: FileLock,
}

impl Thread {
    fn run(mut self) {
        while let Some(first) = self.calls.blocking_recv() {
            let mut checkpoint = None;
            let (mut bytes, mut group) = (0_u32, Vec::new());
            let mut next = Some(first);
            while let Some(item) = next.take() {
                match item {
                    Item::Call(call) => {
                        bytes = bytes.saturating_add(call.bytes);
                        group.push(call);
                        if group.len() < self.group_calls && bytes < self.group_bytes {
                            next = self.calls.try_recv().ok();
                        }
                    }
                    Item::Checkpoint(mode, reply) => checkpoint = Some((mode, reply)),
                }
            }
            if !group.is_empty() {
                self.commit(group);
            }
            if let Some((mode, reply)) = checkpoint {
                self.checkpoint(mode);
                let _ = reply.send(());
            }
        }
        // The next process begins with the file alone, and a folder at rest is small.
        self.checkpointer = None;
        self.checkpoint(Mode::Truncate);
    }

    /// Makes a checkpoint that waits for nobody.
    fn checkpoint(&mut self, mode: Mode) {
        let patience = |millis| self.connection.busy_timeout(Duration::from_millis(millis)).doing("checkpointing");
        let done = patience(0).and_then(|()| checkpoint(&self.connection, mode)).and_then(|_| patience(BUSY_MILLIS));
        if let Err(error) = done {
            tracing::warn!(%error, "the log could not be copied to the file; it grows until it can");
        }
    }

    fn commit(&mut self, group: Vec<Queued>) {
        let mut outcomes = Vec::with_capacity(group.len());
        let mut group: Vec<_> = group.into_iter().map(|queued| queued.call).collect();
        let done = self.transaction(&mut group, &mut outcomes);
        self.commits.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = &done {
            self.memory.forget();
            tracing::warn!(%error, calls = group.len(), "a transaction failed; nothing of it was written");
        }
        let mut outcomes = outcomes.into_iter();
        for call in group {
            call.answer(match &done {
                Err(error) => Err(again(error)),
                Ok(()) => outcomes.next().unwrap_or(Ok(())),
            });
        }
    }

    /// Runs all calls in one transaction; when it fails nothing is written.
    fn transaction(
        &mut self,
        group: &mut [Box<dyn Call>],
        outcomes: &mut Vec<Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        if !self.connection.is_autocommit() {
            // An earlier ROLLBACK failed; without this nothing would ever succeed again.
            self.connection.execute_batch("ROLLBACK").doing("undoing a transaction")?;
        }
        let begin = "BEGIN IMMEDIATE";
        self.connection.execute_batch(begin).doing("beginning a transaction")?;
        let ran = group.iter_mut().try_for_each(|call| {
            let outcome = self.run_one(call.as_mut())?;
            outcomes.push(outcome);
            Ok(())
        });
        let done = ran.and_then(|()| self.connection.execute_batch("COMMIT").doing("committing"));
        if done.is_err() && !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        done
    }

    /// Runs one call. The inner error is its own, the outer one everybody's.
    fn run_one(&mut self, call: &mut dyn Call) -> Result<Result<(), StoreError>, StoreError> {
        self.savepoint("SAVEPOINT call")?;
        match call.run(&self.connection, &mut self.memory) {
            Ok(()) => {
                self.savepoint("RELEASE call")?;
                Ok(Ok(()))
            }
            Err(error) if error.is_transient() || self.connection.is_autocommit() => Err(error),
            Err(error) => {
                self.memory.forget();
                self.savepoint("ROLLBACK TO call")?;
                self.savepoint("RELEASE call")?;
                Ok(Err(error))
            }
        }
    }

    fn savepoint(&self, sql: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map_err(|error| meaning(sql, error))?;
        Ok(())
    }
}

//! An outbox on a disk: a restart loses nothing, and `kill -9` neither.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use pganalytics_core::StreamId;
use tokio::{
    sync::{Notify, broadcast},
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tracing::{debug, error, info, warn};

use super::{
    disk::Disk,
    intake::Intake,
    lane::Backlog,
    memory_outbox::{LOSSES, MemoryOutbox, Time, tell},
    os_disk::OsDisk,
    outbox::{GroupLimits, Loss, Outbox, OutboxStats, Remembered},
    recover::OpenError,
    stream::{Lease, NewFrame, READ_AGAIN, Room, Stream},
    unsaved::Unsaved,
};
use crate::sink::{Delivery, FrameGroup, SinkError};

/// How long a visit waits for others to be written with it.
const LINGER: Duration = Duration::from_millis(250);
/// Least pause between two attempts on a disk that refused.
const PAUSE: Duration = Duration::from_secs(30);

/// Why a spool can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// Another process has it.
    #[error("{}: another agent uses it; give each agent a collector.data_dir of its own", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It belongs to another user, who could read what is collected.
    #[error(
        "{}: it belongs to user {owner}, and this agent runs as user {user}; \
         give it to the agent's user (chown -R), or set another collector.data_dir", path.display()
    )]
    NotOurs {
        /// The folder or file.
        path: PathBuf,
        /// Number of the user it belongs to.
        owner: u32,
        /// Number of the user the agent runs as.
        user: u32,
    },
    /// It holds something else.
    #[error("{}: it is not what an agent of this version wrote there; move the folder away to begin anew", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// An outbox in a folder: a restart loses nothing, and `kill -9` neither.
///
/// * A visit's frames, and what its collector wants to be told after a restart,
///   are in one *group*, written and synced at once: both last or neither does. So
///   a collector that reads on where it stopped (a log) brings every entry once.
///   Visits that end at nearly the same time share a group, for a disk's sync costs
///   more than all the rest of a small visit.
/// * Numbers go on after a restart; frames that were not settled are delivered
///   again with the numbers they had, and the server takes each once.
/// * Each frame has a checksum: a flipped bit costs one. What is lost, for whatever
///   reason, is declared by a gap frame.
/// * The folder and its files are for the agent's user alone.
/// * When the disk refuses to write, the agent says so ([`OutboxStats::fault`]) and
///   goes on in memory, as a stream of its own; the disk is tried again when what is
///   in memory is delivered. What is in memory is lost with the process, which the next
///   one declares where the disk took a note of it, as a full one does; what its
///   collectors had read then is read again.
#[derive(Debug)]
pub struct Spool {
    inner: Arc<Inner>,
    filled: Notify,
}

/// What is shared with threads that may wait for the disk.
#[derive(Debug)]
struct Inner {
    path: PathBuf,
    segment_bytes: u64,
    time: Time,
    backlog: Backlog,
    /// Held while the disk works.
    stream: Mutex<Stream>,
    /// What is written next. Never held while the disk works.
    intake: Mutex<Intake>,
    /// What is told without waiting for the disk.
    shown: Mutex<Shown>,
    losses: broadcast::Sender<Loss>,
    /// Takes over while the disk refuses.
    memory: MemoryOutbox,
    disk: Arc<OsDisk>,
    /// What is noted on the disk of what is in memory.
    unsaved: Mutex<Unsaved>,
    /// Whose turn it is to write what visits have put in: on a disk that hangs one thread
    /// waits, however many visits do.
    writing: Arc<tokio::sync::Mutex<()>>,
}

/// The state as it was when the disk was last left.
#[derive(Debug, Clone)]
struct Shown {
    stream: StreamId,
    stats: OutboxStats,
    at: Instant,
    /// Something waits, perhaps out of reach.
    waits: bool,
    unreadable: bool,
    /// Why the disk is not used, and since when.
    fault: Option<(String, Instant)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spool {
    /// Opens the spool in this folder, which is made if there is none. At most
    /// about `quota` bytes are kept, and the last 5 % of the disk are left to others, but
    /// for one segment. Of a backlog the oldest goes first.
    ///
    /// # Errors
    /// When another process or user has it, or it can't be read or written.
    pub fn open(folder: impl AsRef<Path>, quota: usize) -> Result<Self, SpoolError> {
        Self::open_with(folder, quota, Backlog::default())
    }

    /// The same, with a choice of what of a backlog goes first.
    ///
    /// # Errors
    /// As [`Spool::open`].
    pub fn open_with(folder: impl AsRef<Path>, quota: usize, backlog: Backlog) -> Result<Self, SpoolError> {
        let path = folder.as_ref();
        let disk = Arc::new(OsDisk::open(path)?);
        let (time, room) = (Time::default(), Room::new(quota as u64));
        let mut stream =
            Stream::open(Arc::clone(&disk) as Arc<dyn Disk>, room, time.now()).map_err(|error| match error {
                OpenError::Foreign(file) => SpoolError::Foreign { path: path.join(file) },
                OpenError::Io(source) => SpoolError::Io { path: path.to_owned(), source },
            })?;
        info!(
            folder = %path.display(), stream = %stream.id(), incarnation = %stream.incarnation,
            waiting = stream.stats.queued_frames, next = stream.next, "the spool is open"
        );
        if stream.lose_unsaved(&Unsaved::load(&disk), time.now())
            && let Err(error) = Unsaved::default().note(&disk)
        {
            warn!(%error, "the spool can't be written now");
        }
        let losses = broadcast::Sender::new(LOSSES);
        let memory = MemoryOutbox::telling(quota, losses.clone());
        let shown = Shown {
            stream: stream.id(),
            stats: OutboxStats::default(),
            at: Instant::now(),
            waits: false,
            unreadable: false,
            fault: None,
        };
        let inner = Inner {
            path: path.to_owned(),
            segment_bytes: room.segment,
            time,
            backlog,
            intake: Mutex::default(),
            shown: Mutex::new(shown),
            losses,
            stream: Mutex::new(stream),
            memory,
            disk,
            unsaved: Mutex::default(),
            writing: Arc::default(),
        };
        inner.show(&mut lock(&inner.stream));
        Ok(Self { inner: Arc::new(inner), filled: Notify::new() })
    }

    /// Does something that may wait for the disk.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> Option<T> {
        let inner = Arc::clone(&self.inner);
        match spawn_blocking(move || work(&inner)).await {
            Ok(done) => Some(done),
            Err(fault) => {
                // When the runtime stops, or for a bug.
                error!(%fault, "the spool could not finish its work");
                None
            }
        }
    }
}

impl Inner {
    /// Notes what is told without waiting for the disk.
    fn show(&self, stream: &mut Stream) {
        tell(stream, &self.losses);
        let mut shown = lock(&self.shown);
        (shown.stream, shown.at) = (stream.id(), Instant::now());
        shown.stats = OutboxStats { oldest: stream.oldest(self.time.now()), ..stream.stats.clone() };
        shown.stats.fault.clone_from(&stream.unreadable);
        shown.unreadable = stream.unreadable.is_some();
        shown.waits = !stream.waiting.is_empty() || stream.has_unread();
    }

    /// Writes what was taken in; to memory where the disk does not take it.
    fn flush(&self) {
        let mut stream = lock(&self.stream);
        self.flush_into(&mut stream);
        self.show(&mut stream);
    }

    fn flush_into(&self, stream: &mut Stream) {
        // Not before the stream is ours: groups are written in the order of their visits.
        let mut intake = std::mem::take(&mut *lock(&self.intake));
        let (frames, states) = (std::mem::take(&mut intake.frames), std::mem::take(&mut intake.states));
        let memory_is_empty = self.memory.stats().queued_frames == 0;
        let fault = lock(&self.shown).fault.clone();
        let is_due = fault.as_ref().is_none_or(|(_, since)| memory_is_empty && since.elapsed() >= PAUSE);
        if frames.is_empty() && states.is_empty() {
            return intake.tell_written();
        }
        let written = if is_due {
            stream.put(&frames, &states, self.time.now())
        } else {
            // What is remembered is ahead of the disk by what is in memory.
            stream.states.extend(states);
            Err(io::Error::other("the disk is tried again later"))
        };
        match (written, &fault) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                info!(folder = %self.path.display(), "the spool is written again");
                lock(&self.shown).fault = None;
            }
            (Err(error), _) => {
                self.note_unsaved(frames.len());
                self.memory.push(&frames, None);
                if is_due {
                    if fault.is_none() {
                        error!(
                            folder = %self.path.display(), %error,
                            "the spool can't be written: frames are held in memory and are lost if the agent ends; \
                             see whether the disk is full or broken"
                        );
                    }
                    lock(&self.shown).fault = Some((error.to_string(), Instant::now()));
                }
            }
        }
        intake.tell_written();
    }

    /// Notes how many frames are in memory, with so many that are about to be.
    fn note_unsaved(&self, more: usize) {
        let frames = (self.memory.stats().queued_frames + more) as u64;
        let mut noted = lock(&self.unsaved);
        if noted.frames == frames {
            return;
        }
        let now = self.time.now().wall;
        let from = if noted.frames == 0 { now } else { noted.from };
        *noted = Unsaved { frames, from, to: if more > 0 { now } else { noted.to } };
        if let Err(error) = noted.note(&self.disk) {
            debug!(%error, frames, "what is held in memory can't be noted");
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Stream) -> T) -> T {
        let mut stream = lock(&self.stream);
        let done = work(&mut stream);
        self.show(&mut stream);
        done
    }
}

impl Drop for Spool {
    /// What a visit that was broken off had put in.
    fn drop(&mut self) {
        self.inner.flush();
    }
}

#[async_trait]
impl Outbox for Spool {
    fn stream(&self) -> StreamId {
        lock(&self.inner.shown).stream
    }

    fn put(&self, frames: Vec<NewFrame>, state: Option<Remembered>) -> BoxFuture<'_, ()> {
        if frames.is_empty() && state.is_none() {
            return Box::pin(std::future::ready(()));
        }
        let taken = lock(&self.inner.intake).add(frames, state, self.inner.segment_bytes / 8);
        Box::pin(async move {
            if !taken.written_within(LINGER).await {
                let turn = Arc::clone(&self.inner.writing).lock_owned().await;
                self.blocking(move |inner| {
                    inner.flush();
                    drop(turn);
                })
                .await;
            }
            // Whoever wrote it: the sender may not have heard of it.
            self.filled.notify_one();
        })
    }

    async fn state(&self, collector: &str) -> Option<Bytes> {
        let collector = collector.to_owned();
        let look = move |inner: &Inner| {
            inner.flush();
            lock(&inner.stream).states.get(collector.as_str()).cloned()
        };
        self.blocking(look).await.flatten()
    }

    async fn ready(&self) {
        loop {
            let filled = self.filled.notified();
            let (waits, unreadable) = {
                let shown = lock(&self.inner.shown);
                (shown.waits, shown.unreadable)
            };
            if unreadable {
                // Never a busy loop over what is out of reach.
                sleep(READ_AGAIN / 4).await;
            }
            if waits || self.inner.memory.stats().queued_frames > 0 {
                return;
            }
            filled.await;
        }
    }

    async fn lease(&self, limits: GroupLimits) -> Option<FrameGroup> {
        let look = move |inner: &Inner| {
            inner.with(|stream| {
                inner.flush_into(stream);
                stream.lease(limits, inner.backlog, inner.time.now())
            })
        };
        match self.blocking(look).await? {
            Lease::Group(group) => Some(group),
            // What the disk has not got, memory may have.
            Lease::Empty | Lease::OutOfReach => self.inner.memory.lease(limits).await,
        }
    }

    async fn settle(&self, stream: StreamId, delivery: &Delivery) {
        if stream == self.inner.memory.stream() {
            self.inner.memory.settle(stream, delivery).await;
            self.blocking(|inner| inner.note_unsaved(0)).await;
            return;
        }
        let (stored, refused) = (delivery.named_stored(), delivery.refused.clone());
        let settle = move |inner: &Inner| {
            inner.with(|ours| ours.settle(stream, &stored, &refused, inner.time.now()));
        };
        self.blocking(settle).await;
    }

    async fn release(&self) {
        self.inner.memory.release().await;
        self.blocking(|inner| inner.with(|stream| stream.release(inner.time.now()))).await;
    }

    async fn fork(&self, stream: StreamId) -> Result<(), SinkError> {
        if stream == self.inner.memory.stream() {
            return self.inner.memory.fork(stream).await;
        }
        let forked = self.blocking(move |inner| inner.with(|ours| ours.fork(stream))).await;
        let message = |error: &dyn std::fmt::Display| {
            format!("{}: a new stream can't be begun: {error}", self.inner.path.display())
        };
        match forked {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(SinkError::Unavailable { message: message(&error), retry_after: None }),
            None => Err(SinkError::Unavailable { message: message(&"the agent stops"), retry_after: None }),
        }
    }

    fn losses(&self) -> broadcast::Receiver<Loss> {
        self.inner.losses.subscribe()
    }

    fn stats(&self) -> OutboxStats {
        let memory = self.inner.memory.stats();
        let Shown { stats: disk, fault, at, .. } = lock(&self.inner.shown).clone();
        OutboxStats {
            queued_frames: disk.queued_frames + memory.queued_frames,
            queued_bytes: disk.queued_bytes + memory.queued_bytes,
            oldest: disk.oldest.map(|age| age + at.elapsed()).or(memory.oldest),
            produced: disk.produced + memory.produced,
            delivered: disk.delivered + memory.delivered,
            delivered_bytes: disk.delivered_bytes + memory.delivered_bytes,
            dropped: disk.dropped + memory.dropped,
            rejected: disk.rejected + memory.rejected,
            losses: disk.losses + memory.losses,
            last_gap: disk.last_gap,
            fault: fault.map(|(fault, _)| fault).or(disk.fault),
        }
    }
}

//! An outbox on a disk: a restart loses nothing, and `kill -9` neither.
//!
//! ```text
//! lock     held while an agent uses the folder: two never share one
//! stream   the id of the stream, made with the folder
//! 00000000000000000001.segment   groups: frames and what collectors remember
//! 00000000000000004711.segment   named by their first frame, 8 MiB each
//! done     ranges of frames that are delivered, refused or dropped
//! ```
//!
//! * A visit's frames, and what its collector wants to be told after a restart,
//!   are in one *group* with one checksum, written and synced at once: both last
//!   or neither does. So a collector that reads on where it stopped (a log) brings
//!   every entry once. Visits that end at nearly the same time share a group, for
//!   a disk's sync costs more than all the rest of a small visit.
//! * Numbers go on after a restart; frames that were not settled are delivered
//!   again with the numbers they had, and the server takes each once.
//! * What a crash left of a group that was being written is cut off. Damage
//!   elsewhere costs the rest of its segment, and is declared as a [`Gap`].
//! * Only a file that is shorter than it was, or a checksum that does not fit, is
//!   damage. Whatever else keeps frames from being read (no file handles, a folder
//!   that is not mounted) passes: they are kept, and tried again.
//! * The folder and its files are for the agent's user alone.
//! * Each segment begins with all that is remembered, so old ones can go. They go
//!   when all their frames are done with, or, over the quota, oldest first.
//! * When the disk refuses to write, the agent says so
//!   ([`OutboxStats::fault`]) and goes on in memory, as a stream of its own; the
//!   disk is tried again when what is in memory is delivered. What is in memory
//!   is lost with the process; what its collectors had read then is read again.

mod folder;
mod group;
mod index;
mod intake;
mod recover;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use pganalytics_core::{Seq, StreamId};
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tracing::{error, info, warn};

use self::{
    folder::Folder,
    group::States,
    index::{Index, Numbered, Segment, Waiting},
    intake::Intake,
};
use crate::{
    deliver::{Gap, GapReason, GroupLimits, MemoryOutbox, Outbox, OutboxStats, Remembered},
    sink::FrameGroup,
};

/// Size at which a segment is full.
const SEGMENT: u64 = 8 << 20;
/// How long a visit waits for others to be written with it.
const LINGER: Duration = Duration::from_millis(250);
/// Least pause between two attempts on a disk that refused.
const PAUSE: Duration = Duration::from_secs(30);
/// Pause before frames are read again that could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// What a segment begins with.
const MAGIC: &[u8; 8] = b"pgaspl\x00\x01";

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
    #[error("{}: it is not what an agent wrote there; move the folder away to begin anew", path.display())]
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

/// An outbox in a folder; see the [module](self).
#[derive(Debug)]
pub struct Spool {
    disk: Arc<Disk>,
    /// Whether the group that is out came from memory.
    out_of_memory: AtomicBool,
    filled: Notify,
}

/// What is shared with threads that may wait for the disk.
#[derive(Debug)]
struct Disk {
    folder: Folder,
    quota: u64,
    segment_bytes: u64,
    /// Taken first, and held while the disk works.
    writer: Mutex<Writer>,
    /// What is written next. Never held while the disk works.
    intake: Mutex<Intake>,
    /// Never held while the disk works.
    index: Mutex<Index>,
    /// Why the oldest frames can't be read now.
    unreadable: Mutex<Option<String>>,
    /// Takes over while the disk refuses.
    memory: MemoryOutbox,
}

#[derive(Debug)]
struct Writer {
    file: File,
    /// First frame of the segment that is written.
    segment: u64,
    size: u64,
    /// The number of the next frame.
    next: u64,
    /// All that is remembered.
    states: States,
    /// Why the disk is not used, and since when.
    fault: Option<(String, Instant)>,
}

/// What a look at the oldest frames found.
struct Readable {
    frames: Vec<Numbered>,
    damaged: Vec<u64>,
    /// Why the frame behind these could not be read.
    unavailable: Option<io::Error>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spool {
    /// Opens the spool in this folder, which is made if there is none. At most
    /// about `quota` bytes are kept.
    ///
    /// # Errors
    /// When another process uses it, or it can't be read or written.
    pub fn open(folder: impl AsRef<Path>, quota: usize) -> Result<Self, SpoolError> {
        let quota = quota as u64;
        let segment_bytes = SEGMENT.min(quota / 4).max(1);
        let path = folder.as_ref();
        let io = |source| SpoolError::Io { path: path.to_owned(), source };
        let folder = Folder::open(path)?;
        let (writer, index) = recover::recover(&folder).map_err(io)?;
        info!(
            folder = %path.display(), stream = %folder.stream, waiting = index.waiting.len(), next = writer.next,
            "the spool is open"
        );
        let disk = Disk {
            folder,
            quota,
            segment_bytes,
            writer: Mutex::new(writer),
            intake: Mutex::default(),
            index: Mutex::new(index),
            unreadable: Mutex::default(),
            memory: MemoryOutbox::new(usize::try_from(quota).unwrap_or(usize::MAX)),
        };
        disk.tidy(&mut lock(&disk.writer));
        Ok(Self { disk: Arc::new(disk), out_of_memory: AtomicBool::new(false), filled: Notify::new() })
    }

    /// Does something that may wait for the disk.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Disk) -> T + Send + 'static) -> Option<T> {
        let disk = Arc::clone(&self.disk);
        match spawn_blocking(move || work(&disk)).await {
            Ok(done) => Some(done),
            Err(fault) => {
                // Only when the runtime stops.
                error!(%fault, "the spool could not finish its work");
                None
            }
        }
    }
}

impl Disk {
    /// Writes what was taken in; to memory where the disk does not take it.
    fn flush(&self) {
        let mut writer = lock(&self.writer);
        // Not before the writer is ours: groups are written in the order of their visits.
        let mut intake = std::mem::take(&mut *lock(&self.intake));
        let (frames, states) = (std::mem::take(&mut intake.frames), std::mem::take(&mut intake.states));
        if let Err(frames) = self.write(&mut writer, frames, &states) {
            self.memory.push(frames, None);
        }
        intake.tell_written();
        let fault = writer.fault.as_ref().map(|(fault, _)| fault.clone());
        lock(&self.index).stats.fault = fault;
    }

    /// Writes a group. Gives the frames back when the disk does not take them.
    fn write(&self, writer: &mut Writer, frames: Vec<Bytes>, changed: &States) -> Result<(), Vec<Bytes>> {
        if frames.is_empty() && changed.is_empty() {
            return Ok(());
        }
        writer.states.extend(changed.iter().map(|(collector, state)| (Arc::clone(collector), state.clone())));
        let memory_is_empty = self.memory.stats().queued_frames == 0;
        let was_faulty = match &writer.fault {
            None => false,
            // What is remembered is ahead of the disk by what is in memory.
            Some((_, since)) if !memory_is_empty || since.elapsed() < PAUSE => return Err(frames),
            Some(_) => true,
        };
        let collected_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let collected_at = i64::try_from(collected_at.as_micros()).unwrap_or(i64::MAX);
        let written = if was_faulty { None } else { self.append(writer, collected_at, changed, &frames) };
        let written = match written {
            Some(offsets) => Ok(offsets),
            None => self.begin_segment(writer, collected_at, &frames),
        };
        let offsets = match written {
            Ok(offsets) => offsets,
            Err(error) => {
                if !was_faulty {
                    error!(
                        folder = %self.folder.path().display(), %error,
                        "the spool can't be written: frames are held in memory and are lost if the agent ends; \
                         see whether the disk is full or broken"
                    );
                }
                writer.fault = Some((error.to_string(), Instant::now()));
                return Err(frames);
            }
        };
        if was_faulty {
            info!(folder = %self.folder.path().display(), "the spool is written again");
        }
        writer.fault = None;
        let gap = {
            let mut index = lock(&self.index);
            let since = Instant::now();
            for (frame, offset) in frames.iter().zip(offsets) {
                let (seq, segment) = (writer.next, writer.segment);
                index.push(Waiting { seq, segment, offset, length: frame.len(), since });
                writer.next += 1;
            }
            if let Some(segment) = index.segments.back_mut() {
                segment.bytes = writer.size;
            }
            index.shrink(self.quota)
        };
        if let Some(Gap { first, last, frames, .. }) = gap {
            warn!(
                stream = %self.folder.stream, first = first.0, last = last.0, frames, quota = self.quota,
                "frames dropped: the buffer is full; see why nothing is delivered, or raise METRICS_BUFFER_SIZE",
            );
            self.tidy(writer);
        }
        Ok(())
    }

    /// Appends to the segment; where each frame begins. `None` when it is full,
    /// or can't be trusted any more.
    fn append(&self, writer: &mut Writer, at: i64, states: &States, frames: &[Bytes]) -> Option<Vec<u64>> {
        let (bytes, places) = group::encode(writer.next, at, states, frames)?;
        let size = writer.size + bytes.len() as u64;
        if size > self.segment_bytes && writer.size > MAGIC.len() as u64 {
            return None;
        }
        if let Err(error) = writer.file.write_all(&bytes).and_then(|()| writer.file.sync_data()) {
            warn!(folder = %self.folder.path().display(), %error, "a segment of the spool can't be written; the next one is begun");
            // Found again after a crash, it would be delivered from there, too.
            if let Err(error) = writer.file.set_len(writer.size).and_then(|()| writer.file.sync_data()) {
                warn!(folder = %self.folder.path().display(), %error, "nor can it be cut");
            }
            return None;
        }
        let offsets = places.iter().map(|place| writer.size + place.start as u64).collect();
        writer.size = size;
        Some(offsets)
    }

    /// A new segment with these frames, which begins with all that is remembered.
    fn begin_segment(&self, writer: &mut Writer, at: i64, frames: &[Bytes]) -> io::Result<Vec<u64>> {
        let (group, places) = group::encode(writer.next, at, &writer.states, frames)
            .ok_or_else(|| io::Error::other("more than 4 GiB at once"))?;
        let bytes = [MAGIC.as_slice(), &group].concat();
        let file = match self.folder.create_segment(writer.next, &bytes) {
            Ok(file) => file,
            Err(error) => {
                // It may be there, although that is not certain.
                if writer.segment != writer.next {
                    let _ = std::fs::remove_file(self.folder.segment(writer.next));
                }
                return Err(error);
            }
        };
        (writer.file, writer.segment, writer.size) = (file, writer.next, bytes.len() as u64);
        let mut index = lock(&self.index);
        // One without frames has the name of the next, and is replaced by it.
        index.segments.retain(|segment| segment.first != writer.segment);
        index.segments.push_back(Segment { first: writer.segment, bytes: writer.size, waiting: 0 });
        Ok(places.iter().map(|place| (MAGIC.len() + place.start) as u64).collect())
    }

    /// Notes what is done with and removes segments that nobody needs.
    fn tidy(&self, _writer: &mut Writer) {
        let (done, empty) = {
            let mut index = lock(&self.index);
            (index.done(), index.take_empty())
        };
        if let Err(error) = self.folder.set_done(&done) {
            warn!(folder = %self.folder.path().display(), %error, "what is delivered can't be noted; it may be sent again");
        }
        for segment in empty {
            self.folder.remove_segment(segment);
        }
    }

    /// The oldest frames. Those that are damaged are lost; those that can't be
    /// read now stay, and all behind them waits.
    fn front(&self, limits: GroupLimits) -> Vec<Numbered> {
        loop {
            let wanted: Vec<Waiting> = {
                let mut index = lock(&self.index);
                let mut bytes = 0;
                let fits = |waiting: &&Waiting| {
                    bytes += waiting.length;
                    bytes <= limits.bytes || bytes == waiting.length
                };
                let wanted: Vec<_> =
                    index.waiting.iter().take(limits.frames.max(1)).take_while(fits).copied().collect();
                index.out = wanted.last().map_or(0, |last| last.seq);
                wanted
            };
            let Readable { frames, damaged, unavailable } = self.read(&wanted);
            self.note_unreadable(unavailable);
            if damaged.is_empty() {
                return frames;
            }
            let gap = lock(&self.index).drop_all(&damaged, &GapReason::Damaged);
            error!(stream = %self.folder.stream, ?gap, "frames can't be read from the spool any more");
        }
    }

    fn read(&self, wanted: &[Waiting]) -> Readable {
        let mut open: Option<(u64, File)> = None;
        let mut found = Readable { frames: Vec::with_capacity(wanted.len()), damaged: Vec::new(), unavailable: None };
        for waiting in wanted {
            let file = match open.take().filter(|(segment, _)| *segment == waiting.segment) {
                Some((_, file)) => Ok(file),
                None => File::open(self.folder.segment(waiting.segment)),
            };
            let mut frame = vec![0; waiting.length];
            let read = file.and_then(|file| file.read_exact_at(&mut frame, waiting.offset).map(|()| file));
            match read {
                Ok(file) => {
                    open = Some((waiting.segment, file));
                    found.frames.push((Seq(waiting.seq), Bytes::from(frame)));
                }
                // The file is shorter than it was, or was taken away: what it held is gone.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => found.damaged.push(waiting.seq),
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.folder.is_there() => {
                    found.damaged.push(waiting.seq);
                }
                Err(error) => {
                    found.unavailable = Some(error);
                    break;
                }
            }
        }
        found
    }

    /// Says once that frames can't be read now, and once that they can again.
    fn note_unreadable(&self, error: Option<io::Error>) {
        let known = std::mem::replace(&mut *lock(&self.unreadable), error.as_ref().map(ToString::to_string));
        match (error, known) {
            (Some(error), None) => error!(
                folder = %self.folder.path().display(), %error,
                "frames of the spool can't be read now; they are kept, and tried again"
            ),
            (None, Some(_)) => info!(folder = %self.folder.path().display(), "frames of the spool can be read again"),
            _ => {}
        }
    }

    fn settle(&self, delivered: &[Seq]) {
        let mut writer = lock(&self.writer);
        {
            let mut index = lock(&self.index);
            for seq in delivered {
                if let Some(settled) = index.remove(seq.0) {
                    index.stats.delivered += 1;
                    index.stats.delivered_bytes += settled.length as u64;
                }
            }
        }
        self.tidy(&mut writer);
    }

    fn reject(&self, seq: Seq, code: String, message: String) {
        let mut writer = lock(&self.writer);
        {
            let mut index = lock(&self.index);
            if index.remove(seq.0).is_some() {
                index.stats.rejected += 1;
                let reason = GapReason::Rejected { code, message };
                index.lost(&Gap { first: seq, last: seq, frames: 1, reason });
            }
        }
        self.tidy(&mut writer);
    }
}

impl Drop for Spool {
    /// What a visit that was broken off had put in.
    fn drop(&mut self) {
        self.disk.flush();
    }
}

#[async_trait]
impl Outbox for Spool {
    fn stream(&self) -> StreamId {
        self.disk.folder.stream
    }

    fn put(&self, frames: Vec<Bytes>, state: Option<Remembered>) -> BoxFuture<'_, ()> {
        if frames.is_empty() && state.is_none() {
            return Box::pin(std::future::ready(()));
        }
        let taken = lock(&self.disk.intake).add(frames, state, self.disk.segment_bytes / 8);
        Box::pin(async move {
            if !taken.written_within(LINGER).await {
                self.blocking(Disk::flush).await;
            }
            // Whoever wrote it: the sender may not have heard of it.
            self.filled.notify_one();
        })
    }

    async fn state(&self, collector: &str) -> Option<Bytes> {
        let collector = collector.to_owned();
        let look = move |disk: &Disk| {
            disk.flush();
            lock(&disk.writer).states.get(collector.as_str()).cloned()
        };
        self.blocking(look).await.flatten()
    }

    async fn ready(&self) {
        loop {
            let filled = self.filled.notified();
            if lock(&self.disk.unreadable).is_some() {
                sleep(READ_AGAIN).await;
            }
            if !lock(&self.disk.index).waiting.is_empty() || self.disk.memory.stats().queued_frames > 0 {
                return;
            }
            filled.await;
        }
    }

    async fn front(&self, limits: GroupLimits) -> Option<FrameGroup> {
        let look = move |disk: &Disk| {
            disk.flush();
            disk.front(limits)
        };
        let frames = self.blocking(look).await?;
        if frames.is_empty() && lock(&self.disk.unreadable).is_some() {
            return None;
        }
        self.out_of_memory.store(frames.is_empty(), Ordering::Relaxed);
        if frames.is_empty() {
            return self.disk.memory.front(limits).await;
        }
        Some(FrameGroup { stream: self.stream(), frames })
    }

    async fn settle(&self, delivered: &[Seq]) {
        if self.out_of_memory.load(Ordering::Relaxed) {
            return self.disk.memory.settle(delivered).await;
        }
        let delivered = delivered.to_vec();
        self.blocking(move |disk| disk.settle(&delivered)).await;
    }

    async fn reject(&self, seq: Seq, code: &str, message: &str) {
        if self.out_of_memory.load(Ordering::Relaxed) {
            return self.disk.memory.reject(seq, code, message).await;
        }
        let (code, message) = (code.to_owned(), message.to_owned());
        self.blocking(move |disk| disk.reject(seq, code, message)).await;
    }

    fn stats(&self) -> OutboxStats {
        let memory = self.disk.memory.stats();
        let index = lock(&self.disk.index);
        let disk = &index.stats;
        OutboxStats {
            queued_frames: index.waiting.len() + memory.queued_frames,
            queued_bytes: index.bytes + memory.queued_bytes,
            oldest: index.waiting.front().map(|oldest| oldest.since.elapsed()).or(memory.oldest),
            produced: disk.produced + memory.produced,
            delivered: disk.delivered + memory.delivered,
            delivered_bytes: disk.delivered_bytes + memory.delivered_bytes,
            dropped: disk.dropped + memory.dropped,
            rejected: disk.rejected + memory.rejected,
            losses: disk.losses + memory.losses,
            last_gap: memory.last_gap.or_else(|| disk.last_gap.clone()),
            fault: disk.fault.clone().or_else(|| lock(&self.disk.unreadable).clone()),
        }
    }
}

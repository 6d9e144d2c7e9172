//! The frames of one spool, on a [`Disk`]: numbered, written, handed out, settled,
//! declared lost. Not async and without a clock of its own, so that a simulator
//! can drive it.
//!
//! ```text
//! stream                         its id, see `numbering`
//! 00000000000000000001.segment   groups of frames, see `record`
//! account                        what became of frames, see `account`
//! quarantine/                    what was refused or damaged, to look at
//! ```
//!
//! Invariants:
//! * A number is given once. What a call of [`Stream::put`] has written when it
//!   returns is delivered, or declared lost by a gap frame; never silently neither.
//! * Only a failed checksum or a short file is damage. Any other error means that
//!   frames are out of reach: they are kept, and tried again.
//! * A file is removed after the account says what became of its frames, and a gap
//!   is written before the account takes it for told.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use pganalytics_core::{Gap, Incarnation, MeasurementName, Ranges, Seq, Source, StreamId, Timestamp};
use tracing::warn;

use super::{
    account::Account,
    disk::{Disk, replace},
    gap::{self, Gaps, Series},
    numbering::Numbering,
    outbox::{Loss, OutboxStats},
    record::{self, Numbered, States},
    segment::{self, Entry, MAGIC},
};
use crate::sink::FrameGroup;

/// Pause before what could not be read is read again.
pub(super) const READ_AGAIN: Duration = Duration::from_secs(1);
/// Frames of this last while go before the backlog.
pub(super) const LIVE: Duration = Duration::from_secs(10);
/// Of what may be kept, the part for gaps that wait: one in so many.
const GAPS: u64 = 8;
const MARK_EVERY: Duration = Duration::from_secs(1);
/// Series whose last frame is remembered.
const MOST_SERIES: usize = 200_000;

/// The time, as far as delivery needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// The wall clock.
    pub(super) wall: Timestamp,
    /// A clock that never jumps.
    pub(super) steady: Duration,
}

/// How much a stream may keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bytes of all segments.
    pub(super) quota: u64,
    /// Bytes at which a segment is full.
    pub(super) segment: u64,
}

impl Room {
    pub(super) fn new(quota: u64) -> Self {
        Self { quota, segment: (8 << 20).min(quota / 4).max(1) }
    }
}

/// A frame that is put in.
#[derive(Debug, Clone)]
pub struct NewFrame {
    /// The encoded frame.
    pub bytes: Bytes,
    /// What it is a frame of, so that it can name the one before it.
    pub series: Option<(MeasurementName, Source)>,
}

impl From<Bytes> for NewFrame {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, series: None }
    }
}

/// A segment, as far as it is known.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) bytes: u64,
    /// `None`: it could not be read yet.
    pub(super) entries: Option<Vec<Entry>>,
    /// Not read again before.
    pub(super) not_before: Duration,
}

/// Where is written.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) first: u64,
    pub(super) size: u64,
}

/// What is handed out next.
#[derive(Debug)]
pub(super) enum Lease {
    Group(FrameGroup),
    /// There is nothing.
    Empty,
    /// There is something, but it can't be read now.
    OutOfReach,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) room: Room,
    pub(super) numbering: Numbering,
    pub(super) incarnation: Incarnation,
    pub(super) next: u64,
    pub(super) segments: BTreeMap<u64, Segment>,
    /// `None`: what was written before can't be trusted, a new one is begun.
    pub(super) current: Option<Current>,
    pub(super) waiting: Ranges,
    pub(super) leased: Ranges,
    pub(super) account: Account,
    pub(super) gaps: Gaps,
    pub(super) states: States,
    pub(super) bases: HashMap<Series, u64>,
    /// When numbers were given, for the last while.
    pub(super) marks: VecDeque<(Duration, u64)>,
    pub(super) stats: OutboxStats,
    /// Losses that nobody has been told of.
    pub(super) losses: Vec<Loss>,
    /// Why something could not be read.
    pub(super) unreadable: Option<String>,
    /// The segment that was the last one when the stream was opened, as long as its end
    /// may vanish with the machine's power, and no later one says which numbers were
    /// given out: if its frames left, their numbers could be given out again.
    pub(super) unsafe_end: Option<u64>,
}

impl Stream {
    pub(super) fn id(&self) -> StreamId {
        self.numbering.stream
    }

    /// Writes frames and what collectors remember: all of it lasts when this
    /// returns, or an error says that it does not.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(super) fn put(&mut self, frames: &[NewFrame], changed: &States, now: Moment) -> io::Result<()> {
        if frames.is_empty() && changed.is_empty() {
            return Ok(());
        }
        self.states.extend(changed.iter().map(|(name, state)| (Arc::clone(name), state.clone())));
        let mut group = self.gap_frames();
        let first = self.next + group.len() as u64;
        // Frames of one series in one group follow each other, too.
        let mut bases: HashMap<&Series, u64> = HashMap::new();
        for (seq, frame) in (first..).zip(frames) {
            let base = frame
                .series
                .as_ref()
                .and_then(|series| bases.insert(series, seq).or_else(|| self.bases.get(series).copied()));
            group.push(Numbered { seq, base, bytes: frame.bytes.clone() });
        }
        let gaps = group.len() - frames.len();
        self.write(&group, gaps, changed, now)?;
        if self.bases.len() > MOST_SERIES {
            self.bases.clear();
        }
        self.bases.extend(bases.into_iter().map(|(series, seq)| (series.clone(), seq)));
        if self.marks.back().is_none_or(|(at, _)| now.steady >= *at + MARK_EVERY) {
            self.marks.push_back((now.steady, first));
        }
        self.shrink(now);
        Ok(())
    }

    /// Frames for what is undeclared, with the numbers that come next. Not more of
    /// them wait than a small part of what may be kept, or they would push out each
    /// other: the rest is declared when these are delivered.
    pub(super) fn gap_frames(&self) -> Vec<Numbered> {
        let waiting = self.gaps.waiting().filter_map(|seq| self.entry(seq)).map(|(_, entry)| u64::from(entry.length));
        let mut bytes: u64 = waiting.sum();
        let most = self.room.quota / GAPS;
        let gaps = (self.next..).zip(self.gaps.undeclared()).map(|(seq, gap)| {
            let mut bytes = gap::encode_as(gap, gap.first, gap.last);
            if bytes.len() as u64 > most / 4 {
                // Any series of the stream, then.
                bytes = gap::encode_as(&Gap { cut: Vec::new(), ..gap.clone() }, gap.first, gap.last);
            }
            Numbered { seq, base: None, bytes }
        });
        let fits = |gap: &Numbered| {
            let is_first = bytes == 0;
            bytes += gap.bytes.len() as u64;
            is_first || bytes <= most
        };
        gaps.take_while(fits).collect()
    }

    /// Writes a group that begins with frames for what is undeclared.
    pub(super) fn write(&mut self, group: &[Numbered], gaps: usize, changed: &States, now: Moment) -> io::Result<()> {
        let at = now.wall.as_micros();
        let (segment, places) = match self.append(group, changed, at) {
            Some(written) => written,
            None => self.begin_segment(group, at)?,
        };
        self.gaps.declared_first(gaps, self.next);
        let entries = group.iter().zip(places).map(|(frame, offset)| Entry {
            seq: frame.seq,
            base: frame.base.unwrap_or_default(),
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            length: u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX),
            written_at: at,
            incarnation: self.incarnation,
        });
        let entries: Vec<Entry> = entries.collect();
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            self.waiting.insert_range(Seq(first.seq)..=Seq(last.seq));
            self.next = last.seq + 1;
        }
        self.stats.produced += entries.len() as u64;
        self.stats.queued_frames += entries.len();
        self.stats.queued_bytes += entries.iter().map(|entry| entry.length as usize).sum::<usize>();
        let size = self.current.as_ref().map_or(0, |current| current.size);
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.bytes = size;
            segment.entries.get_or_insert_default().extend(entries);
        }
        Ok(())
    }

    /// Appends to the segment; its name, and where each frame begins. `None` when
    /// it is full, or can't be trusted any more.
    fn append(&mut self, group: &[Numbered], changed: &States, at: i64) -> Option<(u64, Vec<usize>)> {
        let current = self.current.as_mut()?;
        let (bytes, places) = record::encode(self.next, at, self.incarnation, changed, group)?;
        let size = current.size + bytes.len() as u64;
        if size > self.room.segment {
            return None;
        }
        let name = segment::name(current.first);
        if let Err(error) = self.disk.append(&name, &bytes).and_then(|()| self.disk.sync(&name)) {
            warn!(segment = name, %error, "a segment of the spool can't be written; the next one is begun");
            self.current = None;
            return None;
        }
        let places = places.into_iter().map(|place| current.size as usize + place).collect();
        current.size = size;
        Some((current.first, places))
    }

    /// A new segment with these frames, which begins with all that is remembered.
    pub(super) fn begin_segment(&mut self, group: &[Numbered], at: i64) -> io::Result<(u64, Vec<usize>)> {
        let (group, places) = record::encode(self.next, at, self.incarnation, &self.states, group)
            .ok_or_else(|| io::Error::other("more than 4 GiB at once"))?;
        let bytes = [MAGIC.as_slice(), &group].concat();
        let (first, name) = (self.next, segment::name(self.next));
        if let Err(error) = replace(&*self.disk, &name, &bytes) {
            // It may be there, although that is not certain. One of before has its place.
            if !self.segments.contains_key(&first) && self.disk.remove(&name).is_ok() {
                let _ = self.disk.sync_folder();
            }
            self.current = None;
            return Err(error);
        }
        self.current = Some(Current { first, size: bytes.len() as u64 });
        self.unsafe_end = None;
        let new = Segment { bytes: bytes.len() as u64, entries: Some(Vec::new()), not_before: Duration::ZERO };
        self.segments.insert(first, new);
        Ok((first, places.into_iter().map(|place| MAGIC.len() + place).collect()))
    }

    /// Numbers of segments that could not be read yet.
    pub(super) fn unscanned(&self) -> Vec<std::ops::RangeInclusive<Seq>> {
        let firsts = self.segments.keys().skip(1).copied().chain([self.next]);
        let all = self.segments.iter().zip(firsts);
        let unread = all.filter(|((_, segment), _)| segment.entries.is_none());
        unread.map(|((&first, _), end)| Seq(first)..=Seq(end.saturating_sub(1))).collect()
    }

    /// Whether a segment could not be read yet.
    pub(super) fn has_unread(&self) -> bool {
        self.segments.values().any(|segment| segment.entries.is_none())
    }

    /// Where a frame stands, in reach or not.
    pub(super) fn entry(&self, seq: u64) -> Option<(u64, Entry)> {
        let (&first, segment) = self.segments.range(..=seq).next_back()?;
        let entries = segment.entries.as_ref()?;
        let at = entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
        Some((first, *entries.get(at)?))
    }

    /// Takes frames out of what waits; how many they are, and their bytes.
    pub(super) fn take_out(&mut self, numbers: &Ranges) -> (u64, u64) {
        let gone = self.waiting.intersect(numbers);
        let bytes: usize =
            gone.seqs().filter_map(|seq| self.entry(seq.0)).map(|(_, entry)| entry.length as usize).sum();
        let count = gone.len();
        for range in gone.iter() {
            self.waiting.remove_range(range.clone());
            self.leased.remove_range(range);
        }
        self.stats.queued_bytes = self.stats.queued_bytes.saturating_sub(bytes);
        self.stats.queued_frames =
            self.stats.queued_frames.saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
        (count, bytes as u64)
    }

    pub(super) fn save_account(&mut self) -> bool {
        match self.account.save(&*self.disk) {
            Ok(()) => true,
            Err(error) => {
                warn!(%error, "what became of frames can't be noted; some may be sent again");
                false
            }
        }
    }

    /// How long the oldest frame has waited.
    pub(super) fn oldest(&self, now: Moment) -> Option<Duration> {
        let (_, entry) = self.entry(self.waiting.first()?.0)?;
        let micros = now.wall.micros_since(Timestamp::from_micros(entry.written_at));
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or_default()))
    }
}

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
use pganalytics_core::{
    CutSource, Gap, GapReason, Incarnation, MeasurementName, Position, Ranges, Seq, Source, StreamId, Timestamp,
};
use tracing::{error, info, warn};

use super::{
    account::Account,
    disk::{Disk, replace},
    gap::{self, About, Cut, Gaps, Series},
    lane::{self, Backlog},
    numbering::Numbering,
    outbox::{GroupLimits, Loss, OutboxStats},
    quarantine,
    record::{self, Numbered, States},
    segment::{self, Entry, MAGIC},
};
use crate::sink::{FrameGroup, Refused};

/// Pause before what could not be read is read again.
pub(super) const READ_AGAIN: Duration = Duration::from_secs(1);
/// Frames of this last while go before the backlog.
const LIVE: Duration = Duration::from_secs(10);
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

    /// The first number that is live: what came before is backlog.
    fn live_from(&mut self, now: Moment) -> u64 {
        while self.marks.front().is_some_and(|(at, _)| now.steady > *at + LIVE) {
            self.marks.pop_front();
        }
        self.marks.front().map_or(self.next, |(_, first)| *first)
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
    fn write(&mut self, group: &[Numbered], gaps: usize, changed: &States, now: Moment) -> io::Result<()> {
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
        let new = Segment { bytes: bytes.len() as u64, entries: Some(Vec::new()), not_before: Duration::ZERO };
        self.segments.insert(first, new);
        Ok((first, places.into_iter().map(|place| MAGIC.len() + place).collect()))
    }

    /// Hands frames out; they are not dropped before they are settled or given
    /// back with [`Stream::release`]. Damaged ones are declared lost, those out of
    /// reach are left for later.
    pub(super) fn lease(&mut self, limits: GroupLimits, backlog: Backlog, now: Moment) -> Lease {
        self.read_again(now);
        loop {
            let live = self.live_from(now);
            let order = lane::order(&self.waiting, live, backlog);
            let candidates = order.filter_map(|seq| self.find(seq, now)).take(limits.frames.max(1));
            let candidates: Vec<(u64, Entry)> = candidates.collect();
            let (mut frames, mut damaged, mut bytes) = (Vec::new(), Ranges::new(), 0);
            let mut missed = false;
            for (segment, entry) in candidates {
                let seq = entry.seq;
                bytes += entry.length as usize;
                if bytes > limits.bytes && !frames.is_empty() {
                    break;
                }
                match self.read(segment, &entry) {
                    Ok(Some(payload)) => frames.extend(self.outgoing(&entry, payload)),
                    Ok(None) => {
                        damaged.insert(Seq(seq));
                    }
                    Err(error) => {
                        self.note_unreadable(&error);
                        missed = true;
                        if let Some(segment) = self.segments.get_mut(&segment) {
                            segment.not_before = now.steady + READ_AGAIN;
                        }
                    }
                }
            }
            if !damaged.is_empty() {
                self.quarantine_damaged(&damaged);
                self.lose(&damaged, &GapReason::Damaged, "", now);
                continue;
            }
            if !frames.is_empty() {
                if self.unreadable.is_some() && self.segments.values().all(|segment| segment.not_before <= now.steady) {
                    info!("all frames of the spool can be read again");
                    self.unreadable = None;
                }
                frames.sort_unstable_by_key(|(position, _): &(Position, Bytes)| position.seq);
                self.leased =
                    frames.iter().filter_map(|(position, _)| self.numbering.local(position.seq)).map(Seq).collect();
                return Lease::Group(FrameGroup { stream: self.id(), frames });
            }
            if missed {
                // The same without what is out of reach.
                continue;
            }
            return if self.waiting.is_empty() && !self.has_unread() { Lease::Empty } else { Lease::OutOfReach };
        }
    }

    /// A frame as it leaves.
    fn outgoing(&self, entry: &Entry, payload: Bytes) -> Option<(Position, Bytes)> {
        let seq = self.numbering.wire(entry.seq)?;
        let base = (entry.base > 0).then(|| self.numbering.wire(entry.base)).flatten();
        if !self.numbering.is_forked() || !gap::is_gap(&payload) {
            return Some((Position { seq, base, incarnation: entry.incarnation }, payload));
        }
        // A gap tells numbers of the spool until it leaves. Of one that the old stream
        // was told of nothing is left but its own number.
        let payload = match gap::about(&payload) {
            About::Gap(gap) => {
                let told = self.numbering.wire_ranges(&Ranges::from_iter([gap.first..=gap.last]));
                gap::encode_as(&gap, told.first().unwrap_or(seq), told.last().unwrap_or(seq))
            }
            _ => payload,
        };
        Some((Position { seq, base, incarnation: entry.incarnation }, payload))
    }

    /// Where a frame stands, unless its segment is out of reach.
    fn find(&self, seq: u64, now: Moment) -> Option<(u64, Entry)> {
        let (&first, segment) = self.segments.range(..=seq).next_back()?;
        let entries = segment.entries.as_ref().filter(|_| segment.not_before <= now.steady)?;
        let at = entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
        Some((first, *entries.get(at)?))
    }

    /// Reads a frame; `None` when it is damaged.
    fn read(&self, segment: u64, entry: &Entry) -> io::Result<Option<Bytes>> {
        let mut bytes = vec![0; entry.record_bytes()];
        match self.disk.read_at(&segment::name(segment), u64::from(entry.offset), &mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.disk.is_there() => return Ok(None),
            Err(error) => return Err(error),
        }
        let payload = record::payload(&bytes, Seq(entry.seq));
        Ok(payload.map(|payload| Bytes::from(bytes).slice(payload)))
    }

    fn note_unreadable(&mut self, error: &io::Error) {
        if self.unreadable.is_none() {
            error!(%error, "frames of the spool can't be read now; they are kept, and tried again");
        }
        self.unreadable = Some(error.to_string());
    }

    /// The receiver has said what became of these frames, by their numbers on the
    /// wire. What it does not name stays.
    pub(super) fn settle(&mut self, stream: StreamId, stored: &Ranges, refused: &[Refused], now: Moment) {
        if stream != self.id() {
            return;
        }
        let locals: Ranges = self.local_of(stored);
        for seq in locals.seqs() {
            self.account.told.extend(self.gaps.settle(seq.0).map(|gap| gap.first..=gap.last));
        }
        let (frames, bytes) = self.take_out(&locals);
        self.stats.delivered += frames;
        self.stats.delivered_bytes += bytes;
        self.account.acknowledged.extend(locals.iter());
        let mut told = Vec::new();
        for refusal in refused {
            let locals = self.local_of(&Ranges::from_iter([refusal.first..=refusal.last]));
            told.extend((!locals.is_empty()).then_some((locals, refusal)));
        }
        for (locals, refusal) in told {
            self.refuse(&locals, refusal, now);
        }
        self.declare(now);
        self.tidy();
    }

    /// Those that are out, of these numbers on the wire.
    fn local_of(&self, wire: &Ranges) -> Ranges {
        let is_named = |seq: &Seq| self.numbering.wire(seq.0).is_some_and(|seq| wire.contains(seq));
        self.leased.intersect(&self.waiting).seqs().filter(is_named).collect()
    }

    fn refuse(&mut self, locals: &Ranges, refusal: &Refused, now: Moment) {
        let gone: Vec<(u64, Entry)> = locals.seqs().filter_map(|seq| self.entry(seq.0)).collect();
        let mut rows = locals.clone();
        for (segment, entry) in &gone {
            if let Ok(Some(frame)) = self.read(*segment, entry) {
                if gap::is_gap(&frame) {
                    rows.remove(Seq(entry.seq));
                }
                quarantine::keep(&*self.disk, entry.seq, &frame, &format!("{}: {}", refusal.code, refusal.message));
            }
        }
        let (stream, code, message) = (self.id(), &refusal.code, &refusal.message);
        let (first, last) = (refusal.first.0, refusal.last.0);
        error!(%stream, first, last, code, message, "frames lost: the receiver refuses them for good");
        // A gap that is refused is told with the next one: it must not make gaps without end.
        let (frames, _) = self.take_out(locals);
        self.stats.rejected += frames;
        self.account.refused.extend(locals.iter());
        locals.seqs().for_each(|seq| self.gaps.withhold(seq.0));
        if rows.is_empty() {
            return;
        }
        let detail = format!("{code}: {message}");
        self.note_loss(&rows, &gone, &GapReason::Refused, &detail, now);
    }

    /// What was handed out and not settled may be dropped again.
    pub(super) fn release(&mut self, now: Moment) {
        self.leased = Ranges::new();
        self.shrink(now);
    }

    /// Somebody else goes on with this stream: what is left becomes a new one.
    ///
    /// # Errors
    /// When the disk does not take it; then nothing has changed.
    pub(super) fn fork(&mut self, stream: StreamId) -> io::Result<()> {
        if stream != self.id() {
            return Ok(());
        }
        let mut kept = self.waiting.clone();
        kept.extend(self.gaps.numbers().iter());
        for range in self.unscanned() {
            kept.insert_range(range);
        }
        let forked = Numbering::forked(kept, self.next);
        forked.save(&*self.disk)?;
        let new = forked.stream;
        error!(%stream, %new, "another agent goes on with this stream (a copied folder or a restored snapshot); this one begins a new stream");
        self.numbering = forked;
        self.leased = Ranges::new();
        self.save_account();
        Ok(())
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

    /// These are lost: they do not wait any more, and a gap says so.
    pub(super) fn lose(&mut self, numbers: &Ranges, reason: &GapReason, detail: &str, now: Moment) {
        let gone: Vec<(u64, Entry)> = numbers.seqs().filter_map(|seq| self.entry(seq.0)).collect();
        self.note_loss(numbers, &gone, reason, detail, now);
        self.take_out(numbers);
        self.stats.dropped += numbers.len();
        self.account.lost.extend(numbers.without(&self.account.refused).iter());
        self.gaps.lose(numbers);
        self.declare(now);
        self.save_account();
    }

    /// Makes gaps of numbers that are lost, and tells who wants to know.
    fn note_loss(&mut self, numbers: &Ranges, gone: &[(u64, Entry)], reason: &GapReason, detail: &str, now: Moment) {
        let times = || gone.iter().map(|(_, entry)| Timestamp::from_micros(entry.written_at));
        let times = (times().min().unwrap_or(now.wall), times().max().unwrap_or(now.wall));
        let cut = self.cut_of(gone, numbers.len() > gone.len() as u64);
        for gap in gap::gaps_of(numbers, times, reason, detail, &cut) {
            self.stats.losses += 1;
            self.stats.last_gap = Some(gap.clone());
            self.gaps.add(gap);
        }
        self.losses.push(Loss {
            stream: self.id(),
            numbers: self.numbering.wire_ranges(numbers),
            reason: reason.clone(),
            detail: detail.to_owned(),
            cut,
        });
    }

    /// The series of frames, as far as they can be read; empty: any.
    fn cut_of(&self, gone: &[(u64, Entry)], more: bool) -> Vec<CutSource> {
        let mut cut = if more { Cut::any() } else { Cut::default() };
        let mut file: Option<(u64, Bytes)> = None;
        for (segment, entry) in gone {
            if file.as_ref().is_none_or(|(open, _)| open != segment) {
                file = self.disk.read(&segment::name(*segment)).ok().map(|bytes| (*segment, Bytes::from(bytes)));
            }
            let start = entry.offset as usize;
            let place = start..start + entry.record_bytes();
            let record =
                file.as_ref().filter(|(_, bytes)| bytes.len() >= place.end).map(|(_, bytes)| bytes.slice(place));
            let payload = record.and_then(|record| Some(record.slice(record::payload(&record, Seq(entry.seq))?)));
            match payload.as_ref().map(gap::about) {
                Some(About::Rows(series)) => cut.add(series),
                Some(About::Gap(_)) => {}
                Some(About::Unknown) | None => cut.add_any(),
            }
        }
        cut.sources()
    }

    /// Writes frames for gaps that have none. What the disk does not take now is
    /// declared with the next frames.
    pub(super) fn declare(&mut self, now: Moment) {
        let group = self.gap_frames();
        if group.is_empty() {
            return;
        }
        if let Err(error) = self.write(&group, group.len(), &States::new(), now) {
            warn!(%error, "a loss can't be declared now; it is with the next frames");
        }
    }

    /// Keeps the bytes of damaged frames to look at.
    fn quarantine_damaged(&self, damaged: &Ranges) {
        for (segment, entry) in damaged.seqs().filter_map(|seq| self.entry(seq.0)) {
            let mut bytes = vec![0; entry.record_bytes()];
            if self.disk.read_at(&segment::name(segment), u64::from(entry.offset), &mut bytes).is_ok() {
                quarantine::keep(&*self.disk, entry.seq, &bytes, "damaged: its checksum does not fit");
            }
        }
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

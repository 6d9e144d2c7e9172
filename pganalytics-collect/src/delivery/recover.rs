//! What an opening before left behind.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use pganalytics_core::{GapReason, Incarnation, Ranges, Seq, StreamId};
use tracing::{error, info, warn};

use super::{
    account::Account,
    disk::Disk,
    gap::{self, About, Gaps},
    numbering::{self, Numbering},
    outbox::OutboxStats,
    record::{self, States},
    segment::{self, Entry, Scan},
    stream::{Moment, READ_AGAIN, Room, Segment, Stream},
};

/// Why a stream can't be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// This file is not what a spool has.
    Foreign(&'static str),
    Io(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Stream {
    /// Opens what is on the disk, or begins a stream. What was being written when
    /// the process before ended does not count; what can't be read any more is
    /// declared lost; what can't be read now is read later.
    pub(super) fn open(disk: Arc<dyn Disk>, room: Room, now: Moment) -> Result<Self, OpenError> {
        let names = disk.list("")?;
        let mut firsts: Vec<u64> = names.iter().filter_map(|name| segment::first_of(name)).collect();
        firsts.sort_unstable();
        let numbering = match disk.read(numbering::FILE) {
            Ok(bytes) => Numbering::parse(&bytes).ok_or(OpenError::Foreign(numbering::FILE))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && firsts.is_empty() => {
                let numbering = Numbering::new(StreamId::random());
                numbering.save(&*disk)?;
                numbering
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::Foreign(numbering::FILE)),
            Err(error) => return Err(OpenError::Io(error)),
        };
        let account = Account::load(&*disk)?;
        let known = account.is_some();
        let mut stream =
            Self { numbering, account: account.unwrap_or_default(), ..Self::empty(disk, room, States::new()) };
        // What became of frames that are not there is not known: they were settled,
        // or their loss was declared.
        if !known && let Some(before) = firsts.first().and_then(|first| first.checked_sub(1)) {
            stream.account.acknowledged.insert_range(Seq(1)..=Seq(before));
        }
        stream.read_all(&firsts, now)?;
        stream.apply_gaps();
        stream.declare_missing(now);
        if stream.current.is_none()
            && let Err(error) = stream.begin_segment(&[], now.wall.as_micros())
        {
            warn!(%error, "the spool can't be written now");
            stream.unsafe_end = firsts.last().copied();
        }
        stream.declare(now);
        stream.tidy();
        stream.shrink(now);
        // They are of a process that has ended.
        stream.losses.clear();
        Ok(stream)
    }

    /// A new stream on an empty disk.
    pub(super) fn empty(disk: Arc<dyn Disk>, room: Room, states: States) -> Self {
        Self {
            disk,
            room,
            numbering: Numbering::new(StreamId::random()),
            incarnation: Incarnation::random(),
            next: 1,
            segments: BTreeMap::new(),
            current: None,
            waiting: Ranges::new(),
            leased: Ranges::new(),
            account: Account::default(),
            gaps: Gaps::default(),
            states,
            bases: HashMap::new(),
            marks: VecDeque::new(),
            stats: OutboxStats::default(),
            losses: Vec::new(),
            unreadable: None,
            unsafe_end: None,
        }
    }

    fn read_all(&mut self, firsts: &[u64], now: Moment) -> io::Result<()> {
        let ends = firsts.iter().skip(1).copied().map(Some).chain([None]);
        let mut unsaved = Ranges::new();
        self.next = self.account.last() + 1;
        for (&first, end) in firsts.iter().zip(ends) {
            let name = segment::name(first);
            let bytes = match self.disk.read(&name) {
                Ok(bytes) => bytes,
                // Without the newest nobody knows which number comes next.
                Err(error) if end.is_none() => return Err(error),
                Err(error) => {
                    error!(segment = name, %error, "a segment of the spool can't be read now; it is kept, and tried again");
                    self.unreadable = Some(error.to_string());
                    let not_before = now.steady + READ_AGAIN;
                    self.segments.insert(first, Segment { bytes: 0, entries: None, not_before });
                    continue;
                }
            };
            let scan = segment::scan(&bytes, first, end);
            self.next = self.next.max(scan.next);
            unsaved.extend(scan.unsaved.iter());
            if record::start(&bytes, segment::MAGIC.len()).is_some() {
                // It begins with all that was remembered then.
                self.states.clear();
            }
            self.take_scan(first, bytes.len() as u64, scan);
        }
        self.account.take_from(&mut unsaved);
        if let (Some(first), Some(last)) = (unsaved.first(), unsaved.last()) {
            info!(first = first.0, last = last.0, "frames were being written when the process before ended");
            self.lose(&unsaved, &GapReason::Unsaved, "", now);
        }
        Ok(())
    }

    /// Takes in what a look through a segment found.
    fn take_scan(&mut self, first: u64, bytes: u64, scan: Scan) {
        let Scan { entries, states, .. } = scan;
        self.states.extend(states);
        // What is not of the stream was done with before a fork.
        let waits = |entry: &&Entry| !self.account.contains(entry.seq) && self.numbering.wire(entry.seq).is_some();
        let waiting: Vec<&Entry> = entries.iter().filter(waits).collect();
        self.waiting.extend(waiting.iter().map(|entry| Seq(entry.seq)..=Seq(entry.seq)));
        self.stats.produced += waiting.len() as u64;
        self.stats.queued_frames += waiting.len();
        self.stats.queued_bytes += waiting.iter().map(|entry| entry.length as usize).sum::<usize>();
        self.segments.insert(first, Segment { bytes, entries: Some(entries), not_before: Duration::ZERO });
    }

    /// What a gap frame that waits declares lost does not wait, whatever else the
    /// disk says.
    fn apply_gaps(&mut self) {
        let firsts: Vec<u64> = self.segments.keys().copied().collect();
        for first in firsts {
            self.apply_gaps_of(first);
        }
    }

    fn apply_gaps_of(&mut self, first: u64) {
        let Some(entries) = self.segments.get(&first).and_then(|segment| segment.entries.as_ref()) else { return };
        let waiting: Vec<Entry> =
            entries.iter().filter(|entry| self.waiting.contains(Seq(entry.seq))).copied().collect();
        let Ok(bytes) = self.disk.read(&segment::name(first)).map(Bytes::from) else { return };
        for entry in waiting {
            let start = entry.offset as usize + record::FRAME_HEAD;
            let end = start + entry.length as usize;
            let Some(frame) = (bytes.len() >= end).then(|| bytes.slice(start..end)) else { continue };
            if !gap::is_gap(&frame) {
                continue;
            }
            if let About::Gap(gap) = gap::about(&frame) {
                let mut lost = Ranges::from_iter([gap.first..=gap.last]);
                self.account.take_from(&mut lost);
                self.take_out(&lost);
                self.account.lost.extend(lost.iter());
                if self.waiting.contains(Seq(entry.seq)) {
                    self.gaps.declared(entry.seq, *gap);
                } else {
                    self.gaps.add(*gap);
                }
                // Gaps that are lost with it are told again.
                self.gaps.lose(&lost);
            }
        }
    }

    /// Numbers that are neither done with nor waiting are lost.
    fn declare_missing(&mut self, now: Moment) {
        let Some(last) = self.next.checked_sub(1).filter(|&last| last > 0) else { return };
        let mut missing = Ranges::from_iter([Seq(1)..=Seq(last)]).without(&self.waiting);
        self.account.take_from(&mut missing);
        for range in self.unscanned() {
            missing.remove_range(range);
        }
        // Others were of the stream before a fork.
        missing = missing.intersect(&self.numbering.members(last));
        // Those are lost whose gap was never told, and was lost in its turn.
        let untold = self.account.untold().without(&self.gaps.numbers()).intersect(&self.numbering.members(last));
        missing.extend(untold.iter());
        if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
            error!(
                stream = %self.id(), first = first.0, last = last.0, frames = missing.len(),
                "the spool is damaged: frames are lost"
            );
            self.lose(&missing, &GapReason::Damaged, "", now);
        }
    }

    /// Tries segments again that could not be read.
    pub(super) fn read_again(&mut self, now: Moment) {
        let due = |segment: &Segment| segment.entries.is_none() && segment.not_before <= now.steady;
        let due: Vec<u64> = self.segments.iter().filter(|(_, segment)| due(segment)).map(|(&first, _)| first).collect();
        for first in due {
            let end = self.segments.range(first + 1..).next().map_or(self.next, |(&end, _)| end);
            let bytes = match self.disk.read(&segment::name(first)) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.disk.is_there() => Vec::new(),
                Err(error) => {
                    self.unreadable = Some(error.to_string());
                    if let Some(segment) = self.segments.get_mut(&first) {
                        segment.not_before = now.steady + READ_AGAIN;
                    }
                    continue;
                }
            };
            info!(segment = segment::name(first), "a segment of the spool can be read again");
            let scan = segment::scan(&bytes, first, Some(end));
            // What is remembered is newer in later segments.
            let states = std::mem::take(&mut self.states);
            self.take_scan(first, bytes.len() as u64, scan);
            self.states = states;
            self.apply_gaps_of(first);
            if self.segments.values().all(|segment| segment.entries.is_some()) {
                self.unreadable = None;
            }
            self.declare_missing(now);
            self.tidy();
        }
    }
}

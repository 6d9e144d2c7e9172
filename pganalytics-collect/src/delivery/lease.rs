//! Handing frames out.

use std::io;

use bytes::Bytes;
use pganalytics_core::{GapReason, Position, Ranges, Seq};
use tracing::{error, info};

use super::{
    gap::{self, About},
    lane::{self, Backlog},
    outbox::GroupLimits,
    record,
    segment::{self, Entry},
    stream::{LIVE, Lease, Moment, READ_AGAIN, Stream},
};
use crate::sink::FrameGroup;

impl Stream {
    /// The first number that is live: what came before is backlog.
    pub(super) fn live_from(&mut self, now: Moment) -> u64 {
        while self.marks.front().is_some_and(|(at, _)| now.steady > *at + LIVE) {
            self.marks.pop_front();
        }
        self.marks.front().map_or(self.next, |(_, first)| *first)
    }

    /// Hands frames out; they are not dropped before they are settled or given
    /// back with [`Stream::release`]. Damaged ones are declared lost, those out of
    /// reach are left for later.
    pub(super) fn lease(&mut self, limits: GroupLimits, backlog: Backlog, now: Moment) -> Lease {
        self.read_again(now);
        if let Some(first) = self.unsafe_end {
            // Its name may not last either.
            match self.disk.sync(&segment::name(first)).and_then(|()| self.disk.sync_folder()) {
                Ok(()) => self.unsafe_end = None,
                Err(error) => self.note_unreadable(&error),
            }
        }
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
        let is_in_reach = segment.not_before <= now.steady && self.unsafe_end != Some(first);
        let entries = segment.entries.as_ref().filter(|_| is_in_reach)?;
        let at = entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
        Some((first, *entries.get(at)?))
    }

    /// Reads a frame; `None` when it is damaged.
    pub(super) fn read(&self, segment: u64, entry: &Entry) -> io::Result<Option<Bytes>> {
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
            error!(%error, "frames of the spool are out of reach now; they are kept, and tried again");
        }
        self.unreadable = Some(error.to_string());
    }
}

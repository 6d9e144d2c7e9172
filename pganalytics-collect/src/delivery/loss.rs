//! Losses: what is lost does not wait any more, and a gap says so.

use bytes::Bytes;
use pganalytics_core::{CutSource, GapReason, Ranges, Seq, Timestamp};
use tracing::{error, warn};

use super::{
    gap::{self, About, Cut},
    outbox::Loss,
    quarantine,
    record::{self, States},
    segment::{self, Entry},
    stream::{Moment, Stream},
    unsaved::Unsaved,
};

impl Stream {
    /// These are lost: they do not wait any more, and a gap says so.
    pub(super) fn lose(&mut self, numbers: &Ranges, reason: &GapReason, detail: &str, now: Moment) {
        let gone: Vec<(u64, Entry)> = numbers.seqs().filter_map(|seq| self.entry(seq.0)).collect();
        self.note_loss(numbers, &gone, reason, detail, now);
        self.take_out(numbers);
        // Of a group that was torn nobody knows how many frames it had, and none counts as
        // collected.
        if *reason != GapReason::Unsaved {
            self.stats.dropped += numbers.len();
        }
        self.account.lost.extend(numbers.without(&self.account.refused).iter());
        self.gaps.lose(numbers);
        self.declare(now);
        self.save_account();
    }

    /// Frames that a process before held in memory only when it ended get numbers, and a gap
    /// says that they are lost. Whether it is written.
    pub(super) fn lose_unsaved(&mut self, unsaved: &Unsaved, now: Moment) -> bool {
        if unsaved.frames == 0 {
            return true;
        }
        let first = self.next;
        self.next += unsaved.frames;
        let last = self.next - 1;
        let numbers = Ranges::from_iter([Seq(first)..=Seq(last)]);
        let detail = "the disk did not take them, and the agent ended before they were delivered";
        error!(first, last, from = %unsaved.from, to = %unsaved.to, "frames lost: {detail}");
        for gap in gap::gaps_of(&numbers, (unsaved.from, unsaved.to), &GapReason::Unsaved, detail, &[]) {
            self.stats.losses += 1;
            self.stats.last_gap = Some(gap.clone());
            self.gaps.add(gap);
        }
        self.account.lost.extend(numbers.iter());
        self.declare(now);
        self.save_account() && self.gaps.undeclared().is_empty()
    }

    /// Makes gaps of numbers that are lost, and tells who wants to know.
    pub(super) fn note_loss(
        &mut self,
        numbers: &Ranges,
        gone: &[(u64, Entry)],
        reason: &GapReason,
        detail: &str,
        now: Moment,
    ) {
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
    pub(super) fn quarantine_damaged(&self, damaged: &Ranges) {
        for (segment, entry) in damaged.seqs().filter_map(|seq| self.entry(seq.0)) {
            let mut bytes = vec![0; entry.record_bytes()];
            if self.disk.read_at(&segment::name(segment), u64::from(entry.offset), &mut bytes).is_ok() {
                quarantine::keep(&*self.disk, entry.seq, &bytes, "damaged: its checksum does not fit");
            }
        }
    }
}

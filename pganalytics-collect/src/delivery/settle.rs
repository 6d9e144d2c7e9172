//! What the receiver said became of frames.

use std::io;

use pganalytics_core::{GapReason, Ranges, Seq, StreamId};
use tracing::error;

use super::{
    gap,
    numbering::Numbering,
    quarantine,
    segment::Entry,
    stream::{Moment, Stream},
};
use crate::sink::Refused;

impl Stream {
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
}

//! Taking frames in.

use std::convert::Infallible;

use pganalytics_core::{
    Link, Position, Seq, StreamId, Timestamp,
    frame::{Content, VerifiedFrame},
};

use super::metrics::Metrics;
use crate::{
    fork::{self, Fork, REMEMBERED, StoredFork},
    ledger::{self, Ledger},
    metric_store::{AppendOutcome, FrameOutcome, Origin, StoredGap},
    quota::Held,
    unnumbered::{KEPT, MakeReply, PushKey, Unnumbered},
};

/// A push that may come again.
#[derive(Debug)]
pub(super) struct Keyed {
    content: [u8; 32],
    received_at: Timestamp,
    reply: Vec<u8>,
}

impl Keyed {
    fn is_good(&self, now: Timestamp) -> bool {
        u128::try_from(now.micros_since(self.received_at)).is_ok_and(|age| age < KEPT.as_micros())
            || now < self.received_at
    }
}

impl Metrics {
    pub(super) fn append(&mut self, origin: &Origin, stream: StreamId, frames: &[VerifiedFrame]) -> AppendOutcome {
        let key = (origin.tenant, origin.collector, stream);
        let mut ledger = self.ledgers.remove(&key).unwrap_or_default();
        let mut digests = self.digests.remove(&key).unwrap_or_default();
        let digest = |seq| Ok::<_, Infallible>(digests.get(&seq).copied());
        let Ok(fork) = fork::find(frames, ledger.ranges(), ledger.openings(), digest);
        let mut outcome = AppendOutcome { fork, ..AppendOutcome::default() };
        if let Some(fork) = fork.filter(|_| !ledger.ranges().is_empty()) {
            self.note_fork(origin, stream, fork);
        }
        if fork.is_none() {
            for frame in frames {
                let what = self.take_frame(origin, stream, &mut ledger, frame.position(), frame.content());
                if what == FrameOutcome::Accepted {
                    digests.insert(frame.seq(), frame.digest());
                    ledger.note_opening(frame.position());
                }
                outcome.frames.push((frame.seq(), what));
            }
        }
        let newest = ledger.ranges().last().map_or(0, |seq| seq.0);
        let digests = digests.split_off(&Seq(newest.saturating_sub(REMEMBERED)));
        self.digests.insert(key, digests);
        self.ledgers.insert(key, ledger);
        outcome
    }

    pub(super) fn append_unnumbered(
        &mut self,
        origin: &Origin,
        key: Option<PushKey>,
        frames: &[VerifiedFrame],
        reply: MakeReply,
    ) -> Unnumbered {
        let place = key.map(|key| (origin.tenant, origin.collector, key.key));
        self.keyed.retain(|_, known| known.is_good(origin.received_at));
        if let (Some(key), Some(known)) = (key, place.and_then(|place| self.keyed.get(&place))) {
            let same = known.content == key.content;
            return if same { Unnumbered::Repeated { reply: known.reply.clone() } } else { Unnumbered::OtherContent };
        }
        let stream = StreamId::of_unnumbered(origin.collector);
        let own = (origin.tenant, origin.collector, stream);
        let mut ledger = self.ledgers.remove(&own).unwrap_or_default();
        let mut outcome = AppendOutcome::default();
        for frame in frames {
            let next = ledger.next();
            let what = self.take_frame(origin, stream, &mut ledger, next.into(), frame.content());
            outcome.frames.push((next, what));
        }
        self.ledgers.insert(own, ledger);
        if let (Some(place), Some(key)) = (place, key.filter(|_| outcome.accepted() > 0)) {
            let (content, received_at) = (key.content, origin.received_at);
            self.keyed.insert(place, Keyed { content, received_at, reply: reply(&outcome) });
        }
        Unnumbered::Stored(outcome)
    }

    fn take_frame(
        &mut self,
        origin: &Origin,
        stream: StreamId,
        ledger: &mut Ledger,
        position: Position,
        content: &Content,
    ) -> FrameOutcome {
        let seq = position.seq;
        if let Some(refused) = ledger::refusal(seq) {
            return refused;
        }
        if ledger.contains(seq) {
            return FrameOutcome::Duplicate;
        }
        let streams = ledger.ranges().range_count() as u64;
        let more = Held { streams: u64::from(ledger.neighbours(seq) == 0), ..Held::default() };
        let refused = match content {
            Content::Rows(frame) => {
                let link = Link { stream, seq, base: position.base };
                self.store(origin, &frame.clone().with_link(link), more, streams)
            }
            Content::Gap(gap) => {
                let refused = self.take(origin, Held { gaps: 1, ..more }, streams);
                if refused.is_none() {
                    let (collector, gap) = (origin.collector, gap.clone());
                    let declared = self.declared.entry((origin.tenant, collector, stream)).or_default();
                    declared.insert_range(gap.first..=gap.last);
                    self.gaps.push((origin.tenant, StoredGap { collector, stream, seq, gap }));
                }
                refused
            }
        };
        refused.unwrap_or_else(|| {
            ledger.insert(seq);
            FrameOutcome::Accepted
        })
    }

    fn note_fork(&mut self, origin: &Origin, stream: StreamId, fork: Fork) {
        let (collector, now) = (origin.collector, origin.received_at);
        let known = self
            .forks
            .iter_mut()
            .find(|(tenant, known)| (*tenant, known.collector, known.stream) == (origin.tenant, collector, stream));
        match known {
            Some((_, known)) => (known.fork, known.last_at, known.times) = (fork, now, known.times + 1),
            None => {
                let first = StoredFork { collector, stream, fork, first_at: now, last_at: now, times: 1 };
                self.forks.push((origin.tenant, first));
            }
        }
    }
}

//! An outbox that lives as long as its process.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use pganalytics_core::{Seq, StreamId};
use tokio::{sync::Notify, time::Instant};
use tracing::warn;

use super::outbox::{Gap, GapReason, GroupLimits, Outbox, OutboxStats, Remembered};
use crate::sink::FrameGroup;

/// Holds frames in memory, at most a number of bytes. A new stream each time,
/// because nothing is left of the one before.
#[derive(Debug)]
pub struct MemoryOutbox {
    stream: StreamId,
    max_bytes: usize,
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Waiting>,
    bytes: usize,
    /// Frames at the front that are out in a group.
    out: usize,
    stats: OutboxStats,
    states: HashMap<Arc<str>, Bytes>,
}

#[derive(Debug)]
struct Waiting {
    seq: Seq,
    frame: Bytes,
    since: Instant,
}

impl MemoryOutbox {
    /// An empty outbox for at most `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { stream: StreamId::random(), max_bytes, queue: Mutex::default(), filled: Notify::new() }
    }

    /// [`Outbox::put`], which never waits here.
    pub(crate) fn push(&self, frames: Vec<Bytes>, state: Option<Remembered>) {
        if let Some(Remembered { collector, state }) = state {
            self.queue().states.insert(collector, state);
        }
        if frames.is_empty() {
            return;
        }
        let gap = {
            let mut queue = self.queue();
            let since = Instant::now();
            for frame in frames {
                queue.stats.produced += 1;
                queue.bytes += frame.len();
                let seq = Seq(queue.stats.produced);
                queue.frames.push_back(Waiting { seq, frame, since });
            }
            queue.shrink(self.max_bytes)
        };
        if let Some(Gap { first, last, frames, .. }) = gap {
            warn!(
                stream = %self.stream, first = first.0, last = last.0, frames, max_bytes = self.max_bytes,
                "frames dropped: the buffer is full; see why nothing is delivered, or raise METRICS_BUFFER_SIZE",
            );
        }
        self.filled.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Drops the oldest frames that are not out until `max_bytes` hold.
    fn shrink(&mut self, max_bytes: usize) -> Option<Gap> {
        let mut gap: Option<Gap> = None;
        while self.bytes > max_bytes
            && let Some(dropped) = self.frames.remove(self.out)
        {
            self.bytes -= dropped.frame.len();
            let gap = gap.get_or_insert(Gap {
                first: dropped.seq,
                last: dropped.seq,
                frames: 0,
                reason: GapReason::OverQuota,
            });
            gap.last = dropped.seq;
            gap.frames += 1;
        }
        if let Some(gap) = &gap {
            self.stats.dropped += gap.frames;
            self.lost(gap);
        }
        gap
    }

    fn lost(&mut self, gap: &Gap) {
        self.stats.losses += 1;
        self.stats.last_gap = Some(gap.clone());
    }

    fn remove(&mut self, seq: Seq) -> Option<Waiting> {
        // Settled frames are at the front, or near.
        let at = self.frames.iter().position(|waiting| waiting.seq == seq)?;
        let removed = self.frames.remove(at)?;
        self.bytes -= removed.frame.len();
        if at < self.out {
            self.out -= 1;
        }
        Some(removed)
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    fn stream(&self) -> StreamId {
        self.stream
    }

    fn put(&self, frames: Vec<Bytes>, state: Option<Remembered>) -> BoxFuture<'_, ()> {
        self.push(frames, state);
        Box::pin(std::future::ready(()))
    }

    async fn state(&self, collector: &str) -> Option<Bytes> {
        self.queue().states.get(collector).cloned()
    }

    async fn ready(&self) {
        loop {
            let filled = self.filled.notified();
            if !self.queue().frames.is_empty() {
                return;
            }
            filled.await;
        }
    }

    async fn front(&self, limits: GroupLimits) -> Option<FrameGroup> {
        let mut queue = self.queue();
        let mut bytes = 0;
        let mut frames = Vec::new();
        for waiting in queue.frames.iter().take(limits.frames.max(1)) {
            bytes += waiting.frame.len();
            if bytes > limits.bytes && !frames.is_empty() {
                break;
            }
            frames.push((waiting.seq, waiting.frame.clone()));
        }
        queue.out = frames.len();
        (!frames.is_empty()).then_some(FrameGroup { stream: self.stream, frames })
    }

    async fn settle(&self, delivered: &[Seq]) {
        let mut queue = self.queue();
        for &seq in delivered {
            if let Some(settled) = queue.remove(seq) {
                queue.stats.delivered += 1;
                queue.stats.delivered_bytes += settled.frame.len() as u64;
            }
        }
    }

    async fn reject(&self, seq: Seq, code: &str, message: &str) {
        let mut queue = self.queue();
        if queue.remove(seq).is_some() {
            queue.stats.rejected += 1;
            let reason = GapReason::Rejected { code: code.to_owned(), message: message.to_owned() };
            queue.lost(&Gap { first: seq, last: seq, frames: 1, reason });
        }
    }

    fn stats(&self) -> OutboxStats {
        let queue = self.queue();
        OutboxStats {
            queued_frames: queue.frames.len(),
            queued_bytes: queue.bytes,
            oldest: queue.frames.front().map(|oldest| oldest.since.elapsed()),
            ..queue.stats.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;

    fn frame(bytes: usize) -> Bytes {
        Bytes::from(vec![0; bytes])
    }

    #[tokio::test]
    async fn the_oldest_go_first_and_the_loss_is_declared() {
        let outbox = MemoryOutbox::new(30);
        outbox.put(vec![frame(10); 5], None).await;
        let stats = outbox.stats();
        let gap = Gap { first: Seq(1), last: Seq(2), frames: 2, reason: GapReason::OverQuota };
        assert_eq!((stats.queued_frames, stats.queued_bytes, stats.dropped, stats.losses), (3, 30, 2, 1));
        assert_eq!(stats.last_gap, Some(gap));
        assert_eq!(outbox.front(GroupLimits::default()).await.unwrap().frames[0].0, Seq(3));
    }

    #[tokio::test]
    async fn what_is_out_is_not_dropped() {
        let outbox = MemoryOutbox::new(30);
        outbox.put(vec![frame(10); 3], None).await;
        let out = outbox.front(GroupLimits { frames: 2, bytes: 100 }).await.unwrap();
        outbox.put(vec![frame(10); 2], None).await;
        outbox.settle(&out.frames.iter().map(|(seq, _)| *seq).collect::<Vec<_>>()).await;
        let stats = outbox.stats();
        assert_eq!((stats.delivered, stats.dropped, stats.queued_frames), (2, 2, 1));
        assert_eq!(outbox.front(GroupLimits::default()).await.unwrap().frames[0].0, Seq(5));
    }

    #[tokio::test]
    async fn a_group_keeps_its_limits_but_holds_at_least_one() {
        let outbox = MemoryOutbox::new(1000);
        outbox.put(vec![frame(50), frame(20), frame(20), frame(20)], None).await;
        assert_eq!(outbox.front(GroupLimits { frames: 9, bytes: 40 }).await.unwrap().frames.len(), 1);
        outbox.settle(&[Seq(1)]).await;
        assert_eq!(outbox.front(GroupLimits { frames: 9, bytes: 40 }).await.unwrap().frames.len(), 2);
        assert_eq!(outbox.front(GroupLimits { frames: 1, bytes: 40 }).await.unwrap().frames.len(), 1);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put(Vec<usize>),
        Settle { frames: usize, of: usize },
        Reject,
    }

    proptest! {
        #[test]
        fn every_number_is_queued_settled_dropped_or_rejected_once(
            steps in proptest::collection::vec(prop_oneof![
                proptest::collection::vec(1_usize..20, 0..5).prop_map(Step::Put),
                (1_usize..5, 0_usize..5).prop_map(|(frames, of)| Step::Settle { frames, of }),
                Just(Step::Reject),
            ], 0..60)
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let outbox = MemoryOutbox::new(60);
                for step in steps {
                    let limits = |frames| GroupLimits { frames, bytes: 30 };
                    match step {
                        Step::Put(frames) => outbox.put(frames.into_iter().map(frame).collect(), None).await,
                        Step::Settle { frames, of } => {
                            if let Some(group) = outbox.front(limits(frames)).await {
                                let seqs: Vec<Seq> = group.frames.iter().map(|(seq, _)| *seq).take(of).collect();
                                outbox.settle(&seqs).await;
                            }
                        }
                        Step::Reject => {
                            if let Some(group) = outbox.front(limits(1)).await {
                                outbox.reject(group.frames[0].0, "bad", "bad").await;
                            }
                        }
                    }
                    let stats = outbox.stats();
                    let known = stats.delivered + stats.dropped + stats.rejected + stats.queued_frames as u64;
                    assert_eq!(stats.produced, known);
                    assert!(stats.queued_bytes <= 60 + 30);
                }
            });
        }
    }
}

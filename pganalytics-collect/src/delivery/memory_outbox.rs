//! An outbox that lives as long as its process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use pganalytics_core::{StreamId, Timestamp};
use tokio::{
    sync::{Notify, broadcast},
    time::Instant,
};

use super::{
    lane::Backlog,
    memory_disk::MemoryDisk,
    outbox::{GroupLimits, Loss, Outbox, OutboxStats, Remembered},
    record::States,
    stream::{Lease, Moment, NewFrame, Room, Stream},
};
use crate::sink::{Delivery, FrameGroup, SinkError};

/// Losses that a subscriber may be behind.
pub(super) const LOSSES: usize = 256;

/// The time of day, and a clock that begins with an outbox and never jumps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(Instant);

impl Default for Time {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Time {
    pub(super) fn now(&self) -> Moment {
        let wall = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
        Moment { wall, steady: self.0.elapsed() }
    }
}

/// Holds frames in memory, about as many bytes as are allowed. A new stream each
/// time, because nothing is left of the one before.
#[derive(Debug)]
pub struct MemoryOutbox {
    stream: Mutex<Stream>,
    backlog: Backlog,
    time: Time,
    filled: Notify,
    losses: broadcast::Sender<Loss>,
}

impl MemoryOutbox {
    /// An empty outbox for about `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self::telling(max_bytes, broadcast::Sender::new(LOSSES))
    }

    /// One that tells its losses there.
    pub(super) fn telling(max_bytes: usize, losses: broadcast::Sender<Loss>) -> Self {
        let time = Time::default();
        let stream = Stream::in_memory(Arc::new(MemoryDisk::default()), Room::new(max_bytes as u64), time.now());
        Self { stream: Mutex::new(stream), backlog: Backlog::default(), time, filled: Notify::new(), losses }
    }

    /// What of a backlog goes first; default: the oldest.
    #[must_use]
    pub fn backlog_first(mut self, backlog: Backlog) -> Self {
        self.backlog = backlog;
        self
    }

    /// [`Outbox::put`], which never waits here.
    pub(super) fn push(&self, frames: &[NewFrame], state: Option<Remembered>) {
        let states = state.map(|Remembered { collector, state }| (collector, state)).into_iter().collect();
        self.with(|stream, now| {
            // Memory takes everything.
            let _ = stream.put(frames, &states, now);
        });
        self.filled.notify_one();
    }

    fn with<T>(&self, work: impl FnOnce(&mut Stream, Moment) -> T) -> T {
        let mut stream = self.locked();
        let done = work(&mut stream, self.time.now());
        tell(&mut stream, &self.losses);
        done
    }

    fn locked(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells subscribers what was lost.
pub(super) fn tell(stream: &mut Stream, losses: &broadcast::Sender<Loss>) {
    for loss in stream.losses.drain(..) {
        // Nobody may be listening.
        let _ = losses.send(loss);
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    fn stream(&self) -> StreamId {
        self.locked().id()
    }

    fn put(&self, frames: Vec<NewFrame>, state: Option<Remembered>) -> BoxFuture<'_, ()> {
        self.push(&frames, state);
        Box::pin(std::future::ready(()))
    }

    async fn state(&self, collector: &str) -> Option<Bytes> {
        self.locked().states.get(collector).cloned()
    }

    async fn ready(&self) {
        loop {
            let filled = self.filled.notified();
            if !self.locked().waiting.is_empty() {
                return;
            }
            filled.await;
        }
    }

    async fn lease(&self, limits: GroupLimits) -> Option<FrameGroup> {
        match self.with(|stream, now| stream.lease(limits, self.backlog, now)) {
            Lease::Group(group) => Some(group),
            Lease::Empty | Lease::OutOfReach => None,
        }
    }

    async fn settle(&self, stream: StreamId, delivery: &Delivery) {
        self.with(|ours, now| ours.settle(stream, &delivery.named_stored(), &delivery.refused, now));
    }

    async fn release(&self) {
        self.with(Stream::release);
    }

    async fn fork(&self, stream: StreamId) -> Result<(), SinkError> {
        // Memory takes everything.
        let _ = self.with(|ours, _| ours.fork(stream));
        Ok(())
    }

    fn losses(&self) -> broadcast::Receiver<Loss> {
        self.losses.subscribe()
    }

    fn stats(&self) -> OutboxStats {
        let now = self.time.now();
        let stream = self.locked();
        OutboxStats { oldest: stream.oldest(now), ..stream.stats.clone() }
    }
}

impl Stream {
    /// A new stream in memory.
    pub(super) fn in_memory(disk: Arc<MemoryDisk>, room: Room, now: Moment) -> Self {
        Self::open(disk.clone(), room, now).unwrap_or_else(|_| Self::empty(disk, room, States::new()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use pganalytics_core::{GapReason, Ranges, Seq};

    use super::*;

    fn frames(count: usize) -> Vec<NewFrame> {
        (0..count).map(|_| NewFrame::from(Bytes::from(vec![0; 100]))).collect()
    }

    fn stored(group: &FrameGroup) -> Delivery {
        let stored = group.frames.iter().map(|(position, _)| position.seq).collect();
        Delivery { stored, ..Delivery::default() }
    }

    #[tokio::test]
    async fn the_oldest_go_first_and_a_frame_declares_it() {
        let outbox = MemoryOutbox::new(2000);
        let mut losses = outbox.losses();
        for _ in 0..30 {
            outbox.put(frames(1), None).await;
        }
        let stats = outbox.stats();
        assert!(stats.dropped > 10 && stats.queued_frames > 5, "{stats:?}");
        assert_eq!(stats.produced, stats.dropped + stats.queued_frames as u64);
        let mut lost = Ranges::new();
        while let Ok(loss) = losses.try_recv() {
            assert_eq!((loss.stream, loss.reason), (outbox.stream(), GapReason::Quota));
            lost.extend(loss.numbers.iter());
        }
        assert_eq!((lost.first(), lost.len()), (Some(Seq(1)), stats.dropped));
        let group = outbox.lease(GroupLimits::default()).await.unwrap();
        let there: Ranges = group.frames.iter().map(|(position, _)| position.seq).collect();
        assert!(there.intersect(&lost).is_empty());
        outbox.settle(group.stream, &stored(&group)).await;
        assert_eq!(outbox.stats().queued_frames, 0);
    }

    #[tokio::test]
    async fn memory_does_not_grow_with_what_is_dropped() {
        let outbox = MemoryOutbox::new(4000);
        for _ in 0..5000 {
            outbox.put(frames(1), None).await;
        }
        let stream = outbox.locked();
        assert!(stream.account.lost.range_count() < 20, "{:?}", stream.account.lost);
        assert!(stream.segments.len() < 8 && stream.gaps.numbers().range_count() < 20);
        assert!(stream.waiting.range_count() < 20, "{:?}", stream.waiting);
    }

    #[tokio::test]
    async fn a_group_keeps_its_limits_but_holds_at_least_one() {
        let outbox = MemoryOutbox::new(100_000);
        outbox.put(frames(4), None).await;
        assert_eq!(outbox.lease(GroupLimits { frames: 9, bytes: 40 }).await.unwrap().frames.len(), 1);
        assert_eq!(outbox.lease(GroupLimits { frames: 9, bytes: 250 }).await.unwrap().frames.len(), 2);
        assert_eq!(outbox.lease(GroupLimits { frames: 1, bytes: 999 }).await.unwrap().frames.len(), 1);
    }
}

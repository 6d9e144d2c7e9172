//! Where frames wait for their delivery.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use pganalytics_core::{CutSource, Gap, GapReason, MeasurementName, Ranges, Source, StreamId};
use tokio::sync::broadcast;

use super::stream::NewFrame;
use crate::sink::{Delivery, FrameGroup, SinkError};

/// Most that a group may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupLimits {
    /// Most frames.
    pub frames: usize,
    /// Most bytes; a single frame may have more.
    pub bytes: usize,
}

impl Default for GroupLimits {
    fn default() -> Self {
        Self { frames: 1000, bytes: 4 << 20 }
    }
}

/// What a collector wants to be told after a restart, as how far it has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Name of the collector.
    pub collector: Arc<str>,
    /// Its state, in its own words.
    pub state: Bytes,
}

/// Frames that were lost. A gap frame declares them to the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The stream that lost them.
    pub stream: StreamId,
    /// Their numbers.
    pub numbers: Ranges,
    /// Why.
    pub reason: GapReason,
    /// The reason in the words of whom it came from; may be empty.
    pub detail: String,
    /// The series that lost frames; empty: any.
    pub cut: Vec<CutSource>,
}

impl Loss {
    /// Whether frames of this series may be among them.
    #[must_use]
    pub fn concerns(&self, measurement: &MeasurementName, source: &Source) -> bool {
        self.cut.is_empty()
            || self.cut.iter().any(|cut| cut.source == *source && cut.measurements.contains(measurement))
    }
}

/// State of an outbox. Counts are since the process began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OutboxStats {
    /// Frames that wait.
    pub queued_frames: usize,
    /// Bytes that wait.
    pub queued_bytes: usize,
    /// How long the oldest has been waiting.
    pub oldest: Option<Duration>,
    /// Frames put in, those that were found at the start and gap frames counted.
    pub produced: u64,
    /// Frames that the receiver has stored.
    pub delivered: u64,
    /// Bytes of those.
    pub delivered_bytes: u64,
    /// Frames dropped because the outbox was full, or that were found damaged.
    pub dropped: u64,
    /// Frames that the receiver refused for good.
    pub rejected: u64,
    /// How often something was lost.
    pub losses: u64,
    /// The last loss in the stream of [`Outbox::stream`].
    pub last_gap: Option<Gap>,
    /// Why frames are held in memory though they should be on a disk, or can't be
    /// read.
    pub fault: Option<String>,
}

/// Where frames wait for their delivery; see the [module](super).
///
/// Invariants: numbers are given in order, 1, 2, 3 …, none twice; every number is
/// at last acknowledged, refused or lost, exactly one of them.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The stream whose numbers it gives. Another one after a fork.
    fn stream(&self) -> StreamId;

    /// Takes all frames of one visit, and what its collector wants to be told
    /// after a restart: both or neither last. They have their place in the order
    /// when the call returns, and count as collected when the future does; who
    /// drops it does not take them back.
    fn put(&self, frames: Vec<NewFrame>, state: Option<Remembered>) -> BoxFuture<'_, ()>;

    /// What this collector last asked to remember.
    async fn state(&self, collector: &str) -> Option<Bytes>;

    /// Waits until there is something to deliver.
    async fn ready(&self);

    /// The frames that go next, `None` when there are none that can be read now.
    /// They are out until they are settled or released.
    async fn lease(&self, limits: GroupLimits) -> Option<FrameGroup>;

    /// The receiver has said what became of frames that are out; what it does not
    /// name stays out.
    async fn settle(&self, stream: StreamId, delivery: &Delivery);

    /// What is out and not settled waits again.
    async fn release(&self);

    /// Somebody else goes on with this stream: what waits becomes the begin of a
    /// new one. Done already when [`Outbox::stream`] is another one.
    ///
    /// # Errors
    /// When that can't be noted; nothing has changed then.
    async fn fork(&self, stream: StreamId) -> Result<(), SinkError>;

    /// Losses from now on. One who is slow misses some and is told so.
    fn losses(&self) -> broadcast::Receiver<Loss>;

    /// Its state.
    fn stats(&self) -> OutboxStats;
}

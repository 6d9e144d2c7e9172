//! Where frames wait for their delivery.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use pganalytics_core::{Seq, StreamId};

use crate::sink::FrameGroup;

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

/// Why frames were lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// The outbox was full.
    OverQuota,
    /// They could not be read any more where they waited.
    Damaged,
    /// The receiver refused the frame for good.
    Rejected {
        /// Short name of the reason.
        code: String,
        /// The reason in words.
        message: String,
    },
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OverQuota => f.write_str("over_quota"),
            Self::Damaged => f.write_str("damaged"),
            Self::Rejected { code, .. } => f.write_str(code),
        }
    }
}

/// Frames of a stream that were lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// First frame that was lost.
    pub first: Seq,
    /// Last frame that was lost.
    pub last: Seq,
    /// Frames lost in that range; others in it may have been delivered or lost
    /// before.
    pub frames: u64,
    /// Why.
    pub reason: GapReason,
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
    /// Frames put in, those that were found at the start counted.
    pub produced: u64,
    /// Frames settled as delivered.
    pub delivered: u64,
    /// Bytes settled as delivered.
    pub delivered_bytes: u64,
    /// Frames dropped because the outbox was full, or that were found damaged.
    pub dropped: u64,
    /// Frames that the receiver refused for good.
    pub rejected: u64,
    /// How often something was lost. When it moves, what follows must be
    /// keyframes.
    pub losses: u64,
    /// The last loss.
    pub last_gap: Option<Gap>,
    /// Why frames are held in memory though they should be on a disk.
    pub fault: Option<String>,
}

/// Where frames wait for their delivery; see the [module](super).
///
/// Invariants: numbers are given in order, 1, 2, 3 …, none twice; every number
/// is at last settled, dropped or rejected, exactly one of them; frames that
/// are out in a group are not dropped.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The stream whose numbers it gives.
    fn stream(&self) -> StreamId;

    /// Takes all frames of one visit, and what its collector wants to be told
    /// after a restart: both or neither last. They have their place in the order
    /// when the call returns, and count as collected when the future does; who
    /// drops it does not take them back.
    fn put(&self, frames: Vec<Bytes>, state: Option<Remembered>) -> BoxFuture<'_, ()>;

    /// What this collector last asked to remember.
    async fn state(&self, collector: &str) -> Option<Bytes>;

    /// Waits until there is something to deliver.
    async fn ready(&self);

    /// The oldest frames, `None` when there are none. They stay until they are
    /// settled or rejected; asking again gives the same again.
    async fn front(&self, limits: GroupLimits) -> Option<FrameGroup>;

    /// These are delivered.
    async fn settle(&self, delivered: &[Seq]);

    /// This one will never be taken.
    async fn reject(&self, seq: Seq, code: &str, message: &str);

    /// Its state.
    fn stats(&self) -> OutboxStats;
}

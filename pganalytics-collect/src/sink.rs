//! The trait of everything that takes collected frames.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pganalytics_core::{Seq, StreamId};

/// Encoded frames of one stream, oldest first.
#[derive(Debug, Clone)]
pub struct FrameGroup {
    /// The stream whose numbers these are.
    pub stream: StreamId,
    /// Each frame with its number; see [`pganalytics_core::frame`].
    pub frames: Vec<(Seq, Bytes)>,
}

impl FrameGroup {
    /// Bytes of all frames.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.frames.iter().map(|(_, frame)| frame.len()).sum()
    }
}

/// A frame that will never be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its number.
    pub seq: Seq,
    /// A short name of the reason, for counters.
    pub code: String,
    /// The reason in words.
    pub message: String,
}

/// What became of a group. Every frame that is not rejected is stored now,
/// whether by this call or by one before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Frames that are stored now.
    pub accepted: usize,
    /// Frames that were stored before.
    pub duplicates: usize,
    /// Frames that are finally refused; the agent declares them lost.
    pub rejected: Vec<Rejected>,
}

/// Why a group was not delivered. Nothing of it counts as delivered; the
/// variants say what helps. The same frames may come again: a sink must store
/// each (stream, seq) once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Try again later: unreachable, busy, down.
    #[error("{message}")]
    Unavailable {
        /// What is wrong, where, what to do.
        message: String,
        /// Not before this time has passed.
        retry_after: Option<Duration>,
    },
    /// Refused for who we are or what is set: credentials, address, version.
    /// Tried again ever more seldom, for someone may set it right.
    #[error("{message}")]
    Refused {
        /// What is wrong, where, what to do.
        message: String,
    },
    /// The group is too large; smaller ones may pass.
    #[error("{message}")]
    TooLarge {
        /// What the receiver said.
        message: String,
    },
    /// Something in the group can't be read; the sender looks for the frame.
    #[error("{message}")]
    Unreadable {
        /// What the receiver said.
        message: String,
    },
}

/// Takes frames: sends, stores or shows them.
///
/// The agent calls it with one group at a time, oldest frames first, and calls
/// again with what was not delivered, after a pause that grows.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Delivers a group.
    async fn deliver(&self, frames: FrameGroup) -> Result<Delivery, SinkError>;
}

#[async_trait]
impl<S: Sink + ?Sized> Sink for std::sync::Arc<S> {
    async fn deliver(&self, frames: FrameGroup) -> Result<Delivery, SinkError> {
        (**self).deliver(frames).await
    }
}

#[async_trait]
impl<S: Sink + ?Sized> Sink for Box<S> {
    async fn deliver(&self, frames: FrameGroup) -> Result<Delivery, SinkError> {
        (**self).deliver(frames).await
    }
}

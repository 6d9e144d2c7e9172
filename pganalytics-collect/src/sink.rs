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

/// What became of a group: each of its frames is in one of the three. An agent
/// that finds them not to add up counts none of the group as delivered, and
/// sends it again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Frames that are stored now.
    pub accepted: usize,
    /// Frames that were stored before.
    pub duplicates: usize,
    /// Frames that are finally refused; the agent declares them lost.
    pub rejected: Vec<Rejected>,
}

impl Delivery {
    /// Checks that it accounts for these frames, each once, and for no other.
    ///
    /// # Errors
    /// [`SinkError::BadReply`], with what does not add up.
    pub fn check(&self, sent: &[Seq]) -> Result<(), SinkError> {
        let mut strange = self.rejected.iter().filter(|rejected| !sent.contains(&rejected.seq));
        if let Some(strange) = strange.next() {
            let message = format!("the receiver refused frame {}, which was not sent", strange.seq.0);
            return Err(SinkError::BadReply { message });
        }
        let mut rejected: Vec<Seq> = self.rejected.iter().map(|rejected| rejected.seq).collect();
        rejected.sort_unstable();
        if rejected.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(SinkError::BadReply { message: String::from("the receiver refused a frame twice") });
        }
        let named = self.accepted.saturating_add(self.duplicates).saturating_add(rejected.len());
        if named != sent.len() {
            let message = format!(
                "{} frames were sent, and the reply accounts for {named}: {} stored, {} stored before, {} refused; \
                 is something else than a pgAnalytics server answering?",
                sent.len(),
                self.accepted,
                self.duplicates,
                rejected.len()
            );
            return Err(SinkError::BadReply { message });
        }
        Ok(())
    }
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
    /// The reply does not say what became of the frames: a fault of the receiver,
    /// or of somebody who answers for it. Tried again like
    /// [`SinkError::Unavailable`].
    #[error("{message}")]
    BadReply {
        /// What is wrong with it.
        message: String,
    },
    /// The sink panicked. Tried again like [`SinkError::Unavailable`].
    #[error("the sink panicked: {message}")]
    Panicked {
        /// What the panic said.
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

//! The trait of everything that takes collected frames.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pganalytics_core::{Position, PushReply, Ranges, RefusedRange, Seq, StreamId, Timestamp};

/// Encoded frames of one stream, in the order of their numbers.
#[derive(Debug, Clone)]
pub struct FrameGroup {
    /// The stream whose numbers these are.
    pub stream: StreamId,
    /// Each frame with its place; see [`pganalytics_core::frame`].
    pub frames: Vec<(Position, Bytes)>,
}

impl FrameGroup {
    /// Bytes of all frames.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.frames.iter().map(|(_, frame)| frame.len()).sum()
    }

    /// Numbers of all frames.
    #[must_use]
    pub fn numbers(&self) -> Ranges {
        self.frames.iter().map(|(position, _)| position.seq).collect()
    }
}

/// Frames that will never be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Number of the first.
    pub first: Seq,
    /// Number of the last.
    pub last: Seq,
    /// A short name of the reason, for counters.
    pub code: String,
    /// The reason in words.
    pub message: String,
}

impl Refused {
    /// One frame.
    #[must_use]
    pub fn one(seq: Seq, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { first: seq, last: seq, code: code.into(), message: message.into() }
    }
}

/// What became of frames of a group. What it does not name was not taken, and is
/// sent again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Frames that are stored now, durably.
    pub stored: Ranges,
    /// Frames that were stored before.
    pub duplicate: Ranges,
    /// Frames that are refused for good; the agent declares them lost.
    pub refused: Vec<Refused>,
}

impl Delivery {
    /// All frames of a group are stored now.
    #[must_use]
    pub fn all(group: &FrameGroup) -> Self {
        Self { stored: group.numbers(), ..Self::default() }
    }

    /// What a server's reply says of a group.
    ///
    /// # Errors
    /// In words, when it speaks of another stream or of frames that are not there.
    pub fn of_reply(group: &FrameGroup, reply: &PushReply) -> Result<Self, String> {
        let refused = reply.refused.iter().map(|refused| &refused.range);
        let mut streams = reply.stored.iter().chain(&reply.duplicate).chain(refused).map(|range| range.stream);
        if let Some(other) = streams.find(|stream| *stream != group.stream) {
            return Err(format!("the reply speaks of stream {other}, which was not sent"));
        }
        let mut delivery = Self {
            stored: reply.stored(group.stream),
            duplicate: reply.duplicate(group.stream),
            refused: Vec::with_capacity(reply.refused.len() + reply.unreadable.len()),
        };
        for RefusedRange { range, code, error } in &reply.refused {
            let (code, message) = (one_line(code), one_line(error));
            delivery.refused.push(Refused { first: range.first, last: range.last, code, message });
        }
        for item in &reply.unreadable {
            let Some((position, _)) = group.frames.get(item.index) else {
                let frames = group.frames.len();
                return Err(format!("the reply speaks of frame {} of a push of {frames}", item.index));
            };
            delivery.refused.push(Refused::one(position.seq, one_line(&item.code), one_line(&item.error)));
        }
        Ok(delivery)
    }

    /// What is stored, now or before.
    pub(crate) fn named_stored(&self) -> Ranges {
        self.stored.iter().chain(self.duplicate.iter()).collect()
    }

    /// Checks that it speaks of these frames only, and of each once; the numbers
    /// that it does not speak of.
    ///
    /// # Errors
    /// [`SinkError::BadReply`], with what does not add up. Nothing of the reply may
    /// be believed then.
    pub fn check(&self, sent: &Ranges) -> Result<Ranges, SinkError> {
        let refused = self.refused.iter().map(|refused| refused.first..=refused.last);
        let named = self.stored.iter().chain(self.duplicate.iter()).chain(refused);
        let mut left = sent.clone();
        for range in named {
            if !left.contains_range(&range) {
                let (first, last) = (range.start().0, range.end().0);
                let message = format!(
                    "the reply speaks of frames {first} to {last}, which were not sent, or twice; \
                     is something else than a pgAnalytics server answering?"
                );
                return Err(SinkError::BadReply { message });
            }
            left.remove_range(range);
        }
        Ok(left)
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
    /// Another agent goes on with this stream: a copied folder, a restored
    /// snapshot. The outbox begins a new one with what waits.
    #[error("{message}")]
    Forked {
        /// What the receiver said.
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

/// The time at the receiver, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiverTime {
    /// Now.
    pub now: Timestamp,
    /// By how much that may be wrong, either way.
    pub within: Duration,
}

/// Takes frames: sends, stores or shows them.
///
/// The agent calls it with one group at a time, and again with what was not
/// delivered, after a pause that grows. Numbers do not come in order: after an
/// outage new frames go before the backlog.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Delivers a group.
    async fn deliver(&self, frames: FrameGroup) -> Result<Delivery, SinkError>;

    /// The receiver's time, where it is known. An agent whose host's clock is more
    /// than two seconds off goes by it.
    fn receiver_time(&self) -> Option<ReceiverTime> {
        None
    }
}

#[async_trait]
impl<S: Sink + ?Sized> Sink for std::sync::Arc<S> {
    async fn deliver(&self, frames: FrameGroup) -> Result<Delivery, SinkError> {
        (**self).deliver(frames).await
    }

    fn receiver_time(&self) -> Option<ReceiverTime> {
        (**self).receiver_time()
    }
}

#[async_trait]
impl<S: Sink + ?Sized> Sink for Box<S> {
    async fn deliver(&self, frames: FrameGroup) -> Result<Delivery, SinkError> {
        (**self).deliver(frames).await
    }

    fn receiver_time(&self) -> Option<ReceiverTime> {
        (**self).receiver_time()
    }
}

/// Foreign text goes to logs: one line, not long.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(200).collect()
}

//! What an answer means: the sender's decisions, without its waiting.

use std::{collections::VecDeque, time::Duration};

use pganalytics_core::Ranges;

use super::{outbox::GroupLimits, retry::Backoff};
use crate::sink::{Delivery, FrameGroup, Refused, SinkError};

/// What follows an answer.
#[derive(Debug, PartialEq)]
pub(super) struct Decision {
    /// What the outbox is told.
    pub(super) settle: Delivery,
    /// The stream is somebody else's, too.
    pub(super) fork: bool,
    /// A failure, and how long to wait after it.
    pub(super) pause: Option<(SinkError, Duration)>,
}

/// Decides what an answer means, and which part of a group is tried next.
#[derive(Debug)]
pub(super) struct ReplyPolicy {
    backoff: Backoff,
    limits: GroupLimits,
    /// Parts of the group that is out, to be tried by themselves.
    parts: VecDeque<FrameGroup>,
    /// Least that was too much at once, until it works again for a while.
    window: GroupLimits,
    pub(super) failing: usize,
}

impl ReplyPolicy {
    pub(super) fn new(backoff: Backoff, limits: GroupLimits) -> Self {
        Self { backoff, limits, parts: VecDeque::new(), window: limits, failing: 0 }
    }

    /// What is tried before anything else is leased.
    pub(super) fn next_part(&mut self) -> Option<FrameGroup> {
        self.parts.pop_front()
    }

    /// What is out is leased anew.
    pub(super) fn abandon(&mut self) {
        self.parts.clear();
    }

    /// Whether all of what is out was answered.
    pub(super) fn is_done(&self) -> bool {
        self.parts.is_empty()
    }

    /// Limits of the next group: a small one while it fails, as a probe.
    pub(super) fn limits(&self) -> GroupLimits {
        if self.failing > 0 {
            return GroupLimits { frames: self.window.frames.min(PROBE), ..self.window };
        }
        self.window
    }

    pub(super) fn is_at_full_size(&self) -> bool {
        self.failing == 0 && self.window == self.limits
    }

    /// What this answer to this group means.
    pub(super) fn decide(&mut self, group: FrameGroup, answer: Result<Delivery, SinkError>) -> Decision {
        let sent = group.numbers();
        let answer = answer.and_then(|delivery| delivery.check(&sent).map(|left| (delivery, left)));
        match answer {
            Ok((delivery, left)) if left.is_empty() => {
                self.failing = 0;
                self.backoff.reset();
                self.window.frames = self.window.frames.saturating_mul(2).min(self.limits.frames);
                self.window.bytes = self.window.bytes.saturating_mul(2).min(self.limits.bytes);
                Decision { settle: delivery, fork: false, pause: None }
            }
            Ok((delivery, left)) => {
                let message = format!(
                    "the reply says nothing of frames {left} of a push of {}; they are sent again",
                    group.frames.len()
                );
                self.wait(delivery, SinkError::BadReply { message }, None)
            }
            Err(error @ SinkError::TooLarge { .. }) => {
                self.window.frames = (group.frames.len() / 2).max(1);
                self.window.bytes = (group.bytes() / 2).max(1);
                self.halve(group, "too_large", &error)
            }
            Err(error @ SinkError::Unreadable { .. }) => self.halve(group, "unreadable", &error),
            Err(SinkError::Forked { .. }) => {
                self.parts.clear();
                Decision { settle: Delivery::default(), fork: true, pause: None }
            }
            Err(error) => {
                let retry_after = match &error {
                    SinkError::Unavailable { retry_after, .. } => *retry_after,
                    _ => None,
                };
                self.wait(Delivery::default(), error, retry_after)
            }
        }
    }

    /// A failure that waiting may help: what is out waits again.
    pub(super) fn wait(&mut self, settle: Delivery, error: SinkError, retry_after: Option<Duration>) -> Decision {
        self.parts.clear();
        self.failing += 1;
        let pause = self.backoff.next_pause(retry_after);
        Decision { settle, fork: false, pause: Some((error, pause)) }
    }

    /// Both halves by themselves, down to the one frame that is not taken.
    fn halve(&mut self, group: FrameGroup, code: &str, error: &SinkError) -> Decision {
        let FrameGroup { stream, mut frames } = group;
        let mut settle = Delivery::default();
        if let [(position, _)] = frames.as_slice() {
            settle.refused.push(Refused::one(position.seq, code, error.to_string()));
        } else if !frames.is_empty() {
            let second = frames.split_off(frames.len() / 2);
            self.parts.push_front(FrameGroup { stream, frames: second });
            self.parts.push_front(FrameGroup { stream, frames });
        }
        Decision { settle, fork: false, pause: None }
    }
}

/// Most frames of a push while delivery fails.
const PROBE: usize = 50;

impl Decision {
    /// Whether the outbox has something to hear.
    pub(super) fn settles(&self) -> bool {
        self.settle != Delivery::default()
    }

    /// Numbers that are refused.
    pub(super) fn refused(&self) -> Ranges {
        self.settle.refused.iter().map(|refused| refused.first..=refused.last).collect()
    }
}

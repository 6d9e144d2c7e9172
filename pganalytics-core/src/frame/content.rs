//! Whatever a frame of a stream holds.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Frame, FrameError, Limits,
    envelope::{Envelope, Kind},
    gap::{encode_gap, read_gap},
    parse::FindSchema,
};
use crate::{
    batch::Batch,
    id::Seq,
    stream::{Gap, Position},
    time::Timestamp,
};

/// What a frame of a stream holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// Rows.
    Rows(Frame),
    /// What the stream has lost.
    Gap(Gap),
}

impl Content {
    /// Reads a frame as far as [`Frame::parse`], or a gap.
    ///
    /// # Errors
    /// When the bytes are not a whole, undamaged frame within the limits, or
    /// nobody knows its schema ([`FrameError::UnknownSchema`]).
    pub fn parse(bytes: Bytes, limits: &Limits, schemas: FindSchema<'_>) -> Result<Self, FrameError> {
        let envelope = Envelope::open(&bytes, limits)?;
        match envelope.kind {
            Kind::Gap if envelope.end != bytes.len() => Err(FrameError::malformed("gap", "something follows its end")),
            Kind::Gap => read_gap(&envelope.head).map(Self::Gap),
            Kind::Packed | Kind::Paged => Frame::of_envelope(bytes, &envelope, limits, schemas).map(Self::Rows),
        }
    }

    /// The rows, if it holds rows.
    #[must_use]
    pub fn frame(&self) -> Option<&Frame> {
        match self {
            Self::Rows(frame) => Some(frame),
            Self::Gap(_) => None,
        }
    }

    /// The gap, if it is one.
    #[must_use]
    pub fn gap(&self) -> Option<&Gap> {
        match self {
            Self::Rows(_) => None,
            Self::Gap(gap) => Some(gap),
        }
    }

    /// First and last time that it speaks of.
    #[must_use]
    pub fn time_range(&self) -> (Timestamp, Timestamp) {
        match self {
            Self::Rows(frame) => frame.time_range(),
            Self::Gap(gap) => (gap.from, gap.to),
        }
    }
}

/// A frame of a stream every part of which was read once and found good.
#[derive(Debug, Clone)]
pub struct VerifiedFrame {
    position: Position,
    content: Content,
}

impl VerifiedFrame {
    /// Reads every part of a frame that carries its schema once.
    ///
    /// # Errors
    /// When any part of it makes no sense or exceeds a limit.
    pub fn verify(position: impl Into<Position>, bytes: Bytes, limits: &Limits) -> Result<Self, FrameError> {
        Self::verify_with(position, bytes, limits, &|_| None)
    }

    /// The same; `schemas` finds the schema of a frame that only names it.
    ///
    /// # Errors
    /// As [`VerifiedFrame::verify`], and when nobody knows the schema.
    pub fn verify_with(
        position: impl Into<Position>,
        bytes: Bytes,
        limits: &Limits,
        schemas: FindSchema<'_>,
    ) -> Result<Self, FrameError> {
        Self::check(position, Content::parse(bytes, limits, schemas)?)
    }

    /// Reads every part once of what has been parsed already, so that a caller
    /// can refuse it by its head before anything of it is decoded.
    ///
    /// # Errors
    /// When any part of it makes no sense or exceeds a limit.
    pub fn check(position: impl Into<Position>, content: Content) -> Result<Self, FrameError> {
        if let Content::Rows(frame) = &content {
            frame.verify()?;
        }
        Ok(Self { position: position.into(), content })
    }

    /// A batch that did not come as a frame: from JSON, or from the same
    /// process. It is encoded, so that stores keep but one form.
    ///
    /// # Errors
    /// When the batch's rows do not fit its schema, or exceed a limit.
    pub fn of_batch(position: impl Into<Position>, batch: &Batch) -> Result<Self, FrameError> {
        let frame = Frame::parse(super::encode(batch)?.into(), &Limits::default())?;
        Ok(Self { position: position.into(), content: Content::Rows(frame) })
    }

    /// What a stream has lost.
    #[must_use]
    pub fn of_gap(position: impl Into<Position>, gap: Gap) -> Self {
        Self { position: position.into(), content: Content::Gap(gap) }
    }

    /// Its number in the stream.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.position.seq
    }

    /// Where it stands in its stream.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The same at another place.
    #[must_use]
    pub fn at(self, position: impl Into<Position>) -> Self {
        Self { position: position.into(), ..self }
    }

    /// A number that tells its content from others, never 0. It is the same
    /// with and without the schema, and wherever in the stream it stands.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let digest = match &self.content {
            Content::Rows(frame) => xxh3_64(frame.without_schema()),
            Content::Gap(gap) => xxh3_64(&encode_gap(gap)),
        };
        digest.max(1)
    }

    /// What it holds.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Its rows, if it holds rows and not a gap.
    #[must_use]
    pub fn frame(&self) -> Option<&Frame> {
        self.content.frame()
    }
}

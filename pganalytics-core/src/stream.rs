//! Where frames stand in their stream, and what a stream has lost.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::{
    id::{MeasurementName, Seq, StreamId},
    source::Source,
    time::Timestamp,
};

/// One opening of a stream. A stream that goes on under an older incarnation
/// than one that was seen before is a copy of it: of a folder, an image, a
/// snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// That of senders which name none.
    pub const UNKNOWN: Self = Self(0);

    /// A fresh random one.
    #[must_use]
    pub fn random() -> Self {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        Self((high ^ low).max(1))
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incarnation({self})")
    }
}

/// Where a frame stands in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Its number.
    pub seq: Seq,
    /// The number of the frame before it of its series (same measurement, same
    /// source); a delta tells what changed since then. `None`: there was none
    /// before, or the sender does not say.
    pub base: Option<Seq>,
    /// The opening of the stream that numbered it.
    pub incarnation: Incarnation,
}

impl From<Seq> for Position {
    /// A number alone.
    fn from(seq: Seq) -> Self {
        Self { seq, base: None, incarnation: Incarnation::UNKNOWN }
    }
}

/// Where a stored scrape stood in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link {
    /// The stream.
    pub stream: StreamId,
    /// The number of its frame there.
    pub seq: Seq,
    /// The number of the frame before it of its series.
    pub base: Option<Seq>,
}

impl Link {
    /// Whether the scrape before of its series is the one that it builds on. One
    /// that names none builds on whatever is there.
    #[must_use]
    pub fn follows(&self, before: Option<Self>) -> bool {
        self.base.is_none_or(|base| before.is_some_and(|before| (before.stream, before.seq) == (self.stream, base)))
    }
}

/// Why frames of a stream are lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// They waited, and there was room for newer ones only.
    Quota,
    /// They were damaged where they waited.
    Damaged,
    /// The receiver refused them for good.
    Refused,
    /// They were in memory only when the process ended.
    Unsaved,
    /// A reason that this version does not know, by its name.
    Other(String),
}

impl GapReason {
    /// Its name, the same for ever.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Quota => "quota",
            Self::Damaged => "damaged",
            Self::Refused => "refused",
            Self::Unsaved => "unsaved",
            Self::Other(name) => name,
        }
    }
}

impl FromStr for GapReason {
    type Err = std::convert::Infallible;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = [Self::Quota, Self::Damaged, Self::Refused, Self::Unsaved];
        let found = known.into_iter().find(|reason| reason.as_str() == name);
        Ok(found.unwrap_or_else(|| Self::Other(name.to_owned())))
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A source of which a gap cut series.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CutSource {
    /// The source.
    pub source: Source,
    /// Its measurements that lost frames.
    pub measurements: Vec<MeasurementName>,
}

/// Frames that a stream has lost: what a reader is told in their place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Gap {
    /// Number of the first frame that is lost.
    pub first: Seq,
    /// Number of the last one; all between are lost, too.
    pub last: Seq,
    /// When the first of them was collected, as far as is known.
    pub from: Timestamp,
    /// When the last of them was collected.
    pub to: Timestamp,
    /// Why.
    pub reason: GapReason,
    /// The reason in the words of whom it came from; may be empty.
    pub detail: String,
    /// The series that lost frames, as far as is known; empty: any of the stream.
    pub cut: Vec<CutSource>,
}

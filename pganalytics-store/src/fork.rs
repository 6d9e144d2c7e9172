//! Streams that two senders go on with.
//!
//! A spool's folder can be copied to a second host, restored from a backup, or
//! come back with a snapshot of its machine. Both senders then number frames of
//! one stream, and what one sends would pass for a repetition of what the other
//! sent. A store finds out in two ways:
//!
//! * it remembers a digest of the last [`REMEMBERED`] frames of a stream: the same
//!   number with another content is a fork;
//! * it knows which numbers each opening of a stream
//!   ([`Incarnation`]) gave out: numbers of two openings that overlap are a fork,
//!   also where no digest is left. An older opening may still send what it had
//!   numbered before the next one began, and nothing beyond.

use std::collections::BTreeMap;

use pganalytics_core::{CollectorId, Incarnation, Position, Ranges, Seq, StreamId, Timestamp, frame::VerifiedFrame};

/// Number of last frames of a stream that a store can tell from others.
pub const REMEMBERED: u64 = 1024;
/// Most openings of a stream that are told apart; of older ones nothing is known.
const MAX_OPENINGS: usize = 32;
/// Bytes of an opening: incarnation, first and last number.
const OPENING_BYTES: usize = 24;

/// A frame that shows that its stream has two senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// Its number.
    pub seq: Seq,
    /// What shows it.
    pub reason: ForkReason,
}

/// What shows that a stream has two senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForkReason {
    /// A frame of this number is stored with another content.
    OtherContent,
    /// The numbers of two openings of the stream overlap.
    OlderIncarnation,
}

impl ForkReason {
    /// Its name, the same for ever.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtherContent => "other_content",
            Self::OlderIncarnation => "older_incarnation",
        }
    }

    /// The reason with a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::OtherContent, Self::OlderIncarnation].into_iter().find(|reason| reason.as_str() == name)
    }
}

impl std::fmt::Display for Fork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reason {
            ForkReason::OtherContent => write!(f, "frame {} is stored with another content", self.seq.0),
            ForkReason::OlderIncarnation => {
                write!(f, "frame {} was numbered by an opening of the stream that has a successor", self.seq.0)
            }
        }
    }
}

/// A fork that was seen; one for each stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFork {
    /// The collector whose stream it is.
    pub collector: CollectorId,
    /// The stream.
    pub stream: StreamId,
    /// What showed it last.
    pub fork: Fork,
    /// When it was seen first, by the server's clock.
    pub first_at: Timestamp,
    /// When it was seen last.
    pub last_at: Timestamp,
    /// How many pushes were refused for it.
    pub times: u64,
}

/// The numbers that each opening of a stream gave out, as far as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Openings {
    /// In the order of their numbers, which is that of time.
    openings: Vec<Opening>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Opening {
    incarnation: Incarnation,
    first: u64,
    last: u64,
}

impl Openings {
    /// Notes a frame; false when that can't be, and then nothing is noted.
    #[must_use]
    pub fn note(&mut self, position: Position) -> bool {
        let (incarnation, seq) = (position.incarnation, position.seq.0);
        if incarnation == Incarnation::UNKNOWN {
            return true;
        }
        let known = self.openings.iter().find(|opening| opening.incarnation == incarnation).copied();
        let (first, last) = known.map_or((seq, seq), |known| (known.first.min(seq), known.last.max(seq)));
        let others = self.openings.iter().filter(|opening| opening.incarnation != incarnation);
        if others.into_iter().any(|other| other.first <= last && first <= other.last) {
            return false;
        }
        self.openings.retain(|opening| opening.incarnation != incarnation);
        let place = self.openings.partition_point(|opening| opening.first < first);
        self.openings.insert(place, Opening { incarnation, first, last });
        if self.openings.len() > MAX_OPENINGS {
            self.openings.remove(0);
        }
        true
    }

    /// The newest opening.
    #[must_use]
    pub fn newest(&self) -> Option<Incarnation> {
        self.openings.last().map(|opening| opening.incarnation)
    }

    /// As bytes, for a table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = self.openings.iter().flat_map(|opening| [opening.incarnation.0, opening.first, opening.last]);
        numbers.flat_map(u64::to_le_bytes).collect()
    }

    /// From [`Openings::to_bytes`]; `None` when they are others.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (openings, rest) = bytes.as_chunks::<OPENING_BYTES>();
        let opening = |bytes: &[u8; OPENING_BYTES]| {
            let (numbers, _) = bytes.as_chunks::<8>();
            let [incarnation, first, last] = numbers else { return None };
            Some(Opening {
                incarnation: Incarnation(u64::from_le_bytes(*incarnation)),
                first: u64::from_le_bytes(*first),
                last: u64::from_le_bytes(*last),
            })
        };
        let openings = openings.iter().map(opening).collect::<Option<_>>()?;
        rest.is_empty().then_some(Self { openings })
    }
}

/// Looks for a fork among frames that are about to be stored, before any of them
/// is. `held` are the numbers that are stored, `digest` gives the digest of one
/// of them where it is remembered.
///
/// # Errors
/// Those of `digest`.
pub fn find<E>(
    frames: &[VerifiedFrame],
    held: &Ranges,
    openings: &Openings,
    mut digest: impl FnMut(Seq) -> Result<Option<u64>, E>,
) -> Result<Option<Fork>, E> {
    let mut openings = openings.clone();
    let mut sent: BTreeMap<Seq, u64> = BTreeMap::new();
    for frame in frames {
        let (seq, position) = (frame.seq(), frame.position());
        let own = frame.digest();
        let before = sent.insert(seq, own);
        let stored = if held.contains(seq) { digest(seq)? } else { None };
        if [before, stored].into_iter().flatten().any(|other| other != own) {
            return Ok(Some(Fork { seq, reason: ForkReason::OtherContent }));
        }
        if !openings.note(position) {
            return Ok(Some(Fork { seq, reason: ForkReason::OlderIncarnation }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(incarnation: u64, seq: u64) -> Position {
        Position { incarnation: Incarnation(incarnation), ..Seq(seq).into() }
    }

    fn noted(places: &[(u64, u64)]) -> Vec<bool> {
        let mut openings = Openings::default();
        let noted = places.iter().map(|&(incarnation, seq)| {
            let before = openings.clone();
            let good = openings.note(at(incarnation, seq));
            assert!(good || openings == before, "what can't be is not noted");
            assert_eq!(Openings::from_bytes(&openings.to_bytes()), Some(openings.clone()));
            good
        });
        noted.collect()
    }

    #[test]
    fn an_older_opening_may_send_what_it_had_numbered_and_nothing_beyond() {
        // Live frames of the second opening come first, then the first one's backlog.
        assert_eq!(noted(&[(1, 1), (2, 60), (1, 2), (1, 59), (2, 61)]), [true; 5]);
        assert_eq!(noted(&[(1, 1), (2, 60), (1, 60)]), [true, true, false]);
        assert_eq!(noted(&[(1, 1), (2, 60), (1, 61)]), [true, true, false]);
        // Restored to before what was sent: it begins inside of what is known.
        assert_eq!(noted(&[(1, 1), (1, 100), (2, 51), (1, 101)]), [true, true, false, true]);
        // Nobody says which opening it is.
        assert_eq!(noted(&[(1, 1), (1, 100), (0, 51), (0, 300), (1, 101)]), [true; 5]);
    }

    #[test]
    fn only_some_openings_are_told_apart() {
        let mut openings = Openings::default();
        for opening in 1..=100 {
            assert!(openings.note(at(opening, opening * 10)));
        }
        assert_eq!((openings.openings.len(), openings.newest()), (MAX_OPENINGS, Some(Incarnation(100))));
        assert!(openings.note(at(1, 11)), "of old ones nothing is known");
        assert!(!openings.note(at(100, 990)));
        assert_eq!(Openings::from_bytes(&[0; 25]), None);
    }
}

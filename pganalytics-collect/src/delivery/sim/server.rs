//! A receiver with the rules of the real one: each (stream, number) is stored once,
//! and a number with another content, or of an opening that overlaps with another,
//! is a fork.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use pganalytics_core::{
    Gap, Ranges, Seq, StreamId,
    frame::{Content, Limits},
};

use super::random::SimRng;
use crate::sink::{Delivery, FrameGroup, Refused, SinkError};

/// How frames of the test begin.
pub(super) const ROW: &[u8; 4] = b"ROW!";

/// A frame of the test: its number among all that were ever made, and some bytes.
pub(super) fn row(id: u64, filler: usize) -> Bytes {
    [ROW.as_slice(), &id.to_le_bytes(), &vec![7; filler]].concat().into()
}

pub(super) fn id_of(frame: &[u8]) -> Option<u64> {
    let rest = frame.strip_prefix(ROW)?;
    Some(u64::from_le_bytes(rest.get(..8)?.try_into().ok()?))
}

/// Refused for good.
pub(super) fn is_poison(id: u64) -> bool {
    id % 41 == 7
}

/// Makes the whole push unreadable.
pub(super) fn is_unreadable(id: u64) -> bool {
    id % 67 == 13
}

#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) stored: HashMap<StreamId, BTreeMap<u64, Bytes>>,
    pub(super) openings: HashMap<StreamId, Vec<(u64, u64, u64)>>,
    pub(super) gaps: Vec<(StreamId, Gap)>,
    pub(super) forks: u64,
    pub(super) most_frames: usize,
}

impl Server {
    pub(super) fn take(&mut self, group: &FrameGroup) -> Result<Delivery, SinkError> {
        if group.frames.len() > self.most_frames {
            return Err(SinkError::TooLarge { message: String::from("413") });
        }
        if group.frames.iter().any(|(_, frame)| id_of(frame).is_some_and(is_unreadable)) {
            return Err(SinkError::Unreadable { message: String::from("422") });
        }
        let stored = self.stored.entry(group.stream).or_default();
        let openings = self.openings.entry(group.stream).or_default();
        let mut noted = openings.clone();
        for (position, frame) in &group.frames {
            let differs = stored.get(&position.seq.0).is_some_and(|known| known != frame);
            if differs || !note(&mut noted, position.incarnation.0, position.seq.0) {
                self.forks += 1;
                trace!(
                    "a fork: {position:?} differs {differs}, {:?} is there, {:?} comes",
                    stored.get(&position.seq.0),
                    frame
                );
                return Err(SinkError::Forked { message: String::from("409") });
            }
        }
        *openings = noted;
        let mut delivery = Delivery::default();
        for (position, frame) in &group.frames {
            let seq = position.seq;
            if id_of(frame).is_some_and(is_poison) {
                delivery.refused.push(Refused::one(seq, "poison", "it is"));
            } else if stored.insert(seq.0, frame.clone()).is_some() {
                delivery.duplicate.insert(seq);
            } else {
                delivery.stored.insert(seq);
                if id_of(frame).is_none() {
                    let content = Content::parse(frame.clone(), &Limits::default(), &|_| None).unwrap();
                    self.gaps.push((group.stream, content.gap().unwrap().clone()));
                }
            }
        }
        Ok(delivery)
    }

    /// Whether the number is declared lost.
    pub(super) fn declares(&self, stream: StreamId, seq: Seq) -> bool {
        self.gaps.iter().any(|(of, gap)| *of == stream && (gap.first..=gap.last).contains(&seq))
    }

    pub(super) fn has(&self, stream: StreamId, seq: Seq) -> bool {
        self.stored.get(&stream).is_some_and(|stored| stored.contains_key(&seq.0))
    }
}

fn note(openings: &mut Vec<(u64, u64, u64)>, incarnation: u64, seq: u64) -> bool {
    let known = openings.iter().position(|opening| opening.0 == incarnation);
    let (first, last) = known.map_or((seq, seq), |at| (openings[at].1.min(seq), openings[at].2.max(seq)));
    if openings.iter().any(|other| other.0 != incarnation && other.1 <= last && first <= other.2) {
        return false;
    }
    match known {
        Some(at) => openings[at] = (incarnation, first, last),
        None => openings.push((incarnation, first, last)),
    }
    true
}

/// A reply that names some of the frames only, or makes no sense.
pub(super) fn spoil(delivery: Delivery, group: &FrameGroup, rng: &mut SimRng) -> Delivery {
    let last = group.numbers().last().unwrap_or(Seq(0));
    let all = Ranges::from_iter([Seq(1)..=Seq(u64::MAX)]);
    match rng.below(4) {
        0 => Delivery { stored: Ranges::new(), ..delivery },
        1 => Delivery::default(),
        2 => Delivery { stored: all, ..Delivery::default() },
        _ => Delivery { stored: [last, Seq(last.0 + 1)].into_iter().collect(), ..Delivery::default() },
    }
}

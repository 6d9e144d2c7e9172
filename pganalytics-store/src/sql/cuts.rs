//! Where frames are missing in a source's history.
//!
//! A *cut* stands before a scrape whose frame builds on one that is not there, or
//! before which its agent has declared frames of the measurement lost. What was
//! carried over a cut may have changed or gone meanwhile, until a keyframe says
//! so; an increase over it may not be all that happened since the scrape before.

use std::sync::Arc;

use pganalytics_core::{Link, ScrapeKind, Timestamp};

use super::{decoded::Decoded, history::Group};
use crate::metric_store::StoredGap;

/// The cuts of a chunk's scrapes.
#[derive(Debug, Clone, Default)]
pub(super) struct Cuts {
    /// State before the first scrape.
    before: State,
    /// State at each scrape; empty where there was no cut so far.
    states: Vec<State>,
}

/// Cuts up to a scrape.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// How many there were.
    count: u32,
    /// Number of the last one, until a keyframe; 0: all that is there is known.
    open: u32,
}

impl Cuts {
    fn at(&self, scrape: u32) -> State {
        self.states.get(scrape as usize).copied().unwrap_or(self.before)
    }

    /// How many cuts there were up to a scrape.
    pub(super) fn count(&self, scrape: u32) -> u32 {
        self.at(scrape).count
    }

    /// Whether a value that was seen after so many cuts was carried over one of
    /// which no keyframe up to this scrape has told what it cost.
    pub(super) fn is_doubtful(&self, scrape: u32, seen_after: u32) -> bool {
        seen_after < self.at(scrape).open
    }

    /// Whether a key that is there at a scrape, and not known from before, may
    /// have been there at the scrape before it.
    pub(super) fn may_have_come_before(&self, scrape: u32) -> bool {
        let before = scrape.checked_sub(1).map_or(self.before, |before| self.at(before));
        before.open > 0 || self.count(scrape) > before.count
    }
}

/// Follows cuts from chunk to chunk.
#[derive(Debug, Default)]
pub(super) struct CutFinder {
    state: State,
    last: Option<(Timestamp, Option<Link>)>,
    losses: Vec<Loss>,
}

/// Frames that an agent has declared lost.
#[derive(Debug, Clone)]
struct Loss {
    gap: Arc<StoredGap>,
}

impl CutFinder {
    /// A finder for a source, given what its measurement may have lost.
    pub(super) fn new(group: &Group, measurement: &str, gaps: &[Arc<StoredGap>]) -> Self {
        let concerns = |gap: &&Arc<StoredGap>| {
            let cut = &gap.gap.cut;
            let names = |cut: &pganalytics_core::CutSource| {
                let (one, other) = (&cut.source, &group.source);
                (one.server_id, one.instance_id, &one.database) == (other.server_id, other.instance_id, &other.database)
                    && cut.measurements.iter().any(|name| name.as_str() == measurement)
            };
            gap.collector == group.collector && (cut.is_empty() || cut.iter().any(names))
        };
        let losses = gaps.iter().filter(concerns).map(|gap| Loss { gap: Arc::clone(gap) }).collect();
        Self { losses, ..Self::default() }
    }

    /// The cuts of the next chunk.
    pub(super) fn advance(&mut self, chunk: &Decoded) -> Cuts {
        let before = self.state;
        let mut states = Vec::new();
        for (at, scrape) in chunk.scrapes.iter().enumerate() {
            let link = chunk.links.get(at).copied().flatten();
            let time = scrape.collected_at;
            let is_cut = self.last.is_some_and(|last| self.is_cut(last, (time, link)));
            if is_cut {
                self.state.count += 1;
                self.state.open = self.state.count;
            }
            if scrape.kind == ScrapeKind::Keyframe {
                self.state.open = 0;
            }
            self.last = Some((time, link));
            if self.state.count > 0 {
                states.resize(at, before);
                states.push(self.state);
            }
        }
        Cuts { before, states }
    }

    /// The state at the last scrape.
    pub(super) fn at_end(&self) -> Cuts {
        Cuts { before: self.state, states: Vec::new() }
    }

    fn is_cut(&self, last: (Timestamp, Option<Link>), now: (Timestamp, Option<Link>)) -> bool {
        match now.1 {
            Some(link) if link.base.is_some() => !link.follows(last.1),
            _ => self.losses.iter().any(|loss| loss.is_between(last, now)),
        }
    }
}

impl Loss {
    fn is_between(&self, last: (Timestamp, Option<Link>), now: (Timestamp, Option<Link>)) -> bool {
        let StoredGap { stream, gap, .. } = &*self.gap;
        match (last.1, now.1) {
            (Some(before), Some(link)) if before.stream == *stream && link.stream == *stream => {
                gap.first < link.seq && gap.last > before.seq
            }
            _ => gap.from <= now.0 && gap.to >= last.0,
        }
    }
}

//! A source's keys from chunk to chunk: which are live, where their last row is.
//!
//! Chunks come in order of time and do not overlap (those that do are joined
//! first, see [`merge`](super::merge)). Nothing is copied: a key's last row is a
//! place in a chunk that is still held.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use datafusion::arrow::buffer::BooleanBuffer;
use pganalytics_core::{CollectorId, Scrape, Source, Timestamp};

use super::{
    GONE_MEMORY,
    cuts::{CutFinder, Cuts},
    decoded::Decoded,
    facts::{Key, Run},
};

/// What the rows of a source have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) collector: CollectorId,
    pub(super) source: Source,
}

/// A key's row in an earlier chunk.
#[derive(Clone)]
pub(super) struct Earlier {
    pub(super) chunk: Arc<Decoded>,
    pub(super) run: u32,
    pub(super) row: u32,
    /// Since when the key is gone.
    pub(super) gone_at: Option<Timestamp>,
    /// How many cuts there were up to its scrape.
    pub(super) cuts: u32,
}

/// A run of a chunk, and what was there before it.
pub(super) struct RunStart {
    pub(super) run: u32,
    pub(super) before: Option<Earlier>,
    /// Number of this chunk's first scrapes at which the row before was live.
    pub(super) until: u32,
}

/// A key without a row in a chunk that was live at its first scrapes.
pub(super) struct Carried {
    pub(super) chunk: Arc<Decoded>,
    pub(super) row: u32,
    /// How many of them.
    pub(super) until: u32,
    /// How many cuts there were up to the row's scrape.
    pub(super) cuts: u32,
}

/// A chunk with all that is needed to make its rows.
pub(super) struct Step {
    pub(super) group: Arc<Group>,
    pub(super) chunk: Arc<Decoded>,
    /// The scrape before the chunk's first.
    pub(super) previous: Option<Scrape>,
    /// The first of the chunk's scrapes at which a key without an earlier row
    /// is known to be new. Before it no keyframe was read, and the key may have
    /// been there all along.
    pub(super) complete_from: u32,
    pub(super) runs: Vec<RunStart>,
    pub(super) carried: Vec<Carried>,
    /// Where frames are missing.
    pub(super) cuts: Cuts,
}

impl Step {
    /// The same for other runs.
    pub(super) fn with_runs(&self, runs: Vec<RunStart>) -> Self {
        Self {
            group: Arc::clone(&self.group),
            chunk: Arc::clone(&self.chunk),
            previous: self.previous,
            complete_from: self.complete_from,
            runs,
            carried: Vec::new(),
            cuts: self.cuts.clone(),
        }
    }
}

/// Keys are hashes already.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
        let half = key as u64;
        self.0 = half;
    }
}

pub(super) type KeyMap<T> = HashMap<Key, T, BuildHasherDefault<KeyHasher>>;

/// The state of one source while its chunks go by.
#[derive(Default)]
pub(super) struct History {
    keys: KeyMap<Earlier>,
    last: Option<Scrape>,
    /// Whether there was a keyframe: all keys are known then.
    complete: bool,
    cuts: CutFinder,
}

impl History {
    /// A history of a source in which these cuts are looked for.
    pub(super) fn new(cuts: CutFinder) -> Self {
        Self { cuts, ..Self::default() }
    }

    /// Takes in the next chunk. `wanted` says which runs a query asks for.
    pub(super) fn advance(
        &mut self,
        group: &Arc<Group>,
        chunk: Arc<Decoded>,
        wanted: Option<&BooleanBuffer>,
        carry: bool,
    ) -> Step {
        let previous = self.last;
        let cuts = self.cuts.advance(&chunk);
        let scrapes = u32::try_from(chunk.scrapes.len()).unwrap_or(u32::MAX);
        // Keys without a row up to the first keyframe are gone at it.
        let all_known = chunk.first_keyframe.unwrap_or(scrapes);
        let mut runs = Vec::with_capacity(chunk.keys.runs.len());
        for (number, run) in (0..).zip(&chunk.keys.runs) {
            if wanted.is_some_and(|wanted| !wanted.value(number as usize)) {
                continue;
            }
            let starts = chunk.first_scrape(number, run);
            let mut before = self.keys.remove(&run.key);
            let mut until = 0;
            if let Some(before) = before.as_mut().filter(|before| before.gone_at.is_none()) {
                until = starts.min(all_known);
                before.gone_at = (all_known < starts).then(|| chunk.time_of(all_known));
            }
            runs.push(RunStart { run: number, before, until });
        }
        let carried = self.keep(&chunk, all_known, scrapes, carry);
        for start in &runs {
            if let Some(run) = chunk.keys.runs.get(start.run as usize)
                && let Some(last) = last_of_run(&chunk, &cuts, start, run)
            {
                self.keys.insert(run.key, last);
            }
        }
        self.last = chunk.scrapes.last().copied();
        let complete_from = if self.complete { 0 } else { all_known.saturating_add(1) };
        self.complete |= chunk.first_keyframe.is_some();
        Step { group: Arc::clone(group), chunk, previous, complete_from, runs, carried, cuts }
    }

    /// Keys that the chunk does not speak of.
    fn keep(&mut self, chunk: &Decoded, all_known: u32, scrapes: u32, carry: bool) -> Vec<Carried> {
        let (_, end) = chunk.range();
        let mut carried = Vec::new();
        if carry {
            let live = self.keys.values().filter(|earlier| earlier.gone_at.is_none());
            carried.extend(live.map(|live| Carried {
                chunk: Arc::clone(&live.chunk),
                row: live.row,
                until: all_known,
                cuts: live.cuts,
            }));
        }
        if all_known < scrapes {
            let at = chunk.time_of(all_known);
            self.keys.retain(|_, earlier| {
                let gone_at = *earlier.gone_at.get_or_insert(at);
                remembered(gone_at, end)
            });
        }
        carried
    }

    /// The rows that are live after all chunks, the time of the last scrape, and
    /// the cuts up to it.
    pub(super) fn into_live(self) -> Option<(Timestamp, Vec<Earlier>, Cuts)> {
        let last = self.last?.collected_at;
        let live = self.keys.into_values().filter(|earlier| earlier.gone_at.is_none()).collect();
        Some((last, live, self.cuts.at_end()))
    }
}

/// Whether a key that went at a time is still compared with its last row.
pub(super) fn remembered(gone_at: Timestamp, now: Timestamp) -> bool {
    u128::try_from(now.micros_since(gone_at)).is_ok_and(|micros| micros <= GONE_MEMORY.as_micros())
}

/// Where a key stands after a chunk: its last live row, and whether it is gone.
fn last_of_run(chunk: &Arc<Decoded>, cuts: &Cuts, start: &RunStart, run: &Run) -> Option<Earlier> {
    let mut gone_at = None;
    for row in (run.start..run.end).rev() {
        let scrape = chunk.scrape_in(start.run, run, row);
        if !chunk.keys.is_gone(row) {
            let cuts = cuts.count(scrape);
            return Some(Earlier { chunk: Arc::clone(chunk), run: start.run, row, gone_at, cuts });
        }
        gone_at = Some(chunk.time_of(scrape));
    }
    let mut before = start.before.clone()?;
    before.gone_at = before.gone_at.or(gone_at);
    Some(before)
}

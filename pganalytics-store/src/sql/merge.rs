//! Joins chunks of one source whose times overlap: frames that came late, the
//! parts of an hour that were compacted apart.
//!
//! Each chunk keeps its meaning: a key without a row in it up to one of its
//! keyframes is gone at that keyframe. What that says of keys that other chunks
//! speak of becomes rows marked gone, as in compaction. The parts of a keyframe
//! ([`parts`]) are one scrape, and count as one chunk.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::common::DataFusionError;
use pganalytics_core::{Link, Mask, Scrape, ScrapeKind, parts};

use super::{
    decoded::Decoded,
    facts::{Key, KeyFacts},
};

/// A row on its way into the joined chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    scrape: u32,
    part: usize,
    row: u32,
    gone: bool,
}

/// One chunk of several; a single one is given back as it is.
pub(super) fn merge(mut parts: Vec<Arc<Decoded>>) -> Result<Option<Arc<Decoded>>, DataFusionError> {
    let Some(first) = parts.first() else { return Ok(None) };
    if parts.len() == 1 {
        return Ok(parts.pop());
    }
    let shape = Arc::clone(&first.shape);
    let memory = first.empty_reservation();
    let Joined { scrapes, links, numbers, units } = join_scrapes(&parts);
    let mut by_key: BTreeMap<Key, Vec<Placed>> = BTreeMap::new();
    for (at, (part, numbers)) in parts.iter().zip(&numbers).enumerate() {
        for run in &part.keys.runs {
            let rows = by_key.entry(run.key).or_default();
            for row in run.start..run.end {
                let local = part.scrape_of(row) as usize;
                let scrape = numbers.get(local).copied().unwrap_or_default();
                rows.push(Placed { scrape, part: at, row, gone: part.keys.is_gone(row) });
            }
        }
    }
    let keyframes = keyframes(&scrapes, &numbers, &units);
    let (mut keys, mut places, mut of_row, mut gone) = (Vec::new(), Vec::new(), Vec::new(), Mask::default());
    for (key, mut rows) in by_key {
        rows.sort_unstable();
        add_absences(&mut rows, &keyframes, &units);
        for place in rows {
            keys.push(key);
            places.push((place.part, place.row as usize));
            of_row.push(place.scrape);
            gone.push(place.gone);
        }
    }
    let facts = KeyFacts::of_keys(&keys, of_row, Some(gone).filter(Mask::any));
    let places = match &facts.order {
        Some(order) => order.iter().filter_map(|&row| places.get(row as usize).copied()).collect(),
        None => places,
    };
    Ok(Some(Arc::new(Decoded::of_parts(parts, places, scrapes, facts, memory, shape).with_links(links))))
}

/// The scrapes of several chunks.
struct Joined {
    /// All of them in order of time.
    scrapes: Arc<[Scrape]>,
    /// Where each stood in its stream.
    links: Arc<[Option<Link>]>,
    /// For each chunk the new numbers of its own.
    numbers: Vec<Vec<u32>>,
    /// For each chunk the one that it counts as: the parts of a keyframe count as one.
    units: Vec<usize>,
}

fn join_scrapes(chunks: &[Arc<Decoded>]) -> Joined {
    let mut all: Vec<(parts::Placed, usize, usize)> = Vec::new();
    for (at, chunk) in chunks.iter().enumerate() {
        let alone = chunk.scrapes.len() == 1;
        all.extend(chunk.scrapes.iter().enumerate().map(|(local, &scrape)| {
            let link = chunk.links.get(local).copied().flatten();
            (parts::Placed { scrape, link, alone }, at, local)
        }));
    }
    all.sort_by_key(|(placed, chunk, local)| {
        (placed.scrape.collected_at, placed.link.map(|link| link.seq), *chunk, *local)
    });
    let joined = parts::join(&all.iter().map(|(placed, _, _)| *placed).collect::<Vec<_>>());
    let mut numbers: Vec<Vec<u32>> = chunks.iter().map(|chunk| vec![0; chunk.scrapes.len()]).collect();
    let mut units: Vec<usize> = (0..chunks.len()).collect();
    let mut first_of: Vec<Option<usize>> = vec![None; joined.scrapes.len()];
    for ((_, chunk, local), &number) in all.iter().zip(&joined.numbers) {
        if let Some(slot) = numbers.get_mut(*chunk).and_then(|numbers| numbers.get_mut(*local)) {
            *slot = number;
        }
        let first = first_of.get_mut(number as usize).map(|first| *first.get_or_insert(*chunk));
        // Only chunks of a single scrape share one with others.
        if let (Some(first), Some(unit)) = (first.filter(|first| first != chunk), units.get_mut(*chunk)) {
            *unit = first;
        }
    }
    let (scrapes, links): (Vec<_>, Vec<_>) = joined.scrapes.into_iter().unzip();
    Joined { scrapes: scrapes.into(), links: links.into(), numbers, units }
}

/// The keyframes of each chunk, those of parts with the chunk that they count as.
fn keyframes(scrapes: &[Scrape], numbers: &[Vec<u32>], units: &[usize]) -> Vec<Vec<u32>> {
    let is_keyframe = |number: &u32| scrapes.get(*number as usize).is_some_and(|it| it.kind == ScrapeKind::Keyframe);
    let of_chunk = |(at, numbers): (usize, &Vec<u32>)| match units.get(at) {
        Some(&unit) if unit == at => numbers.iter().copied().filter(is_keyframe).collect(),
        _ => Vec::new(),
    };
    numbers.iter().enumerate().map(of_chunk).collect()
}

/// Puts in rows marked gone where a keyframe lacks the key.
fn add_absences(rows: &mut Vec<Placed>, keyframes: &[Vec<u32>], units: &[usize]) {
    let Some(&any) = rows.first() else { return };
    let mut absences = Vec::new();
    for (unit, keyframes) in keyframes.iter().enumerate().filter(|(_, keyframes)| !keyframes.is_empty()) {
        let first = rows.iter().find(|row| units.get(row.part) == Some(&unit)).map(|row| row.scrape);
        let lacking = keyframes.iter().take_while(|&&scrape| first.is_none_or(|first| scrape < first));
        absences.extend(lacking.map(|&scrape| Placed { scrape, gone: true, ..any }));
    }
    rows.extend(absences);
    // No two units share a scrape, so an absence never meets a row.
    rows.sort_by_key(|row| row.scrape);
}

//! Joins chunks of one source whose times overlap: frames that came late, the
//! parts of an hour that were compacted apart.
//!
//! Each chunk keeps its meaning: a key without a row in it up to one of its
//! keyframes is gone at that keyframe. What that says of keys that other chunks
//! speak of becomes rows marked gone, as in compaction.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::common::DataFusionError;
use pganalytics_core::{Link, Mask, Scrape, ScrapeKind};

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
    let (scrapes, numbers) = join_scrapes(&parts);
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
    let keyframes: Vec<Vec<u32>> = parts.iter().zip(&numbers).map(|(part, numbers)| keyframes(part, numbers)).collect();
    let (mut keys, mut places, mut of_row, mut gone) = (Vec::new(), Vec::new(), Vec::new(), Mask::default());
    for (key, mut rows) in by_key {
        rows.sort_unstable();
        add_absences(&mut rows, &keyframes);
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
    let links = join_links(&parts, &numbers, scrapes.len());
    Ok(Some(Arc::new(Decoded::of_parts(parts, places, scrapes, facts, memory, shape).with_links(links))))
}

/// All scrapes in order of time, and for each part the new numbers of its own.
fn join_scrapes(parts: &[Arc<Decoded>]) -> (Arc<[Scrape]>, Vec<Vec<u32>>) {
    let mut all: Vec<(Scrape, usize, usize)> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        all.extend(part.scrapes.iter().enumerate().map(|(local, scrape)| (*scrape, at, local)));
    }
    all.sort_by_key(|(scrape, part, local)| (scrape.collected_at, *part, *local));
    let mut numbers: Vec<Vec<u32>> = parts.iter().map(|part| vec![0; part.scrapes.len()]).collect();
    for (number, (_, part, local)) in (0..).zip(&all) {
        if let Some(slot) = numbers.get_mut(*part).and_then(|numbers| numbers.get_mut(*local)) {
            *slot = number;
        }
    }
    (all.into_iter().map(|(scrape, _, _)| scrape).collect(), numbers)
}

fn join_links(parts: &[Arc<Decoded>], numbers: &[Vec<u32>], scrapes: usize) -> Arc<[Option<Link>]> {
    let mut links = vec![None; scrapes];
    for (part, numbers) in parts.iter().zip(numbers) {
        for (link, number) in part.links.iter().zip(numbers) {
            if let Some(place) = links.get_mut(*number as usize) {
                *place = *link;
            }
        }
    }
    links.into()
}

fn keyframes(part: &Decoded, numbers: &[u32]) -> Vec<u32> {
    let all = part.scrapes.iter().zip(numbers);
    all.filter(|(scrape, _)| scrape.kind == ScrapeKind::Keyframe).map(|(_, number)| *number).collect()
}

/// Puts in rows marked gone where a keyframe lacks the key.
fn add_absences(rows: &mut Vec<Placed>, keyframes: &[Vec<u32>]) {
    let Some(&any) = rows.first() else { return };
    let mut absences = Vec::new();
    for (part, keyframes) in keyframes.iter().enumerate() {
        let first = rows.iter().find(|row| row.part == part).map(|row| row.scrape);
        let lacking = keyframes.iter().take_while(|&&scrape| first.is_none_or(|first| scrape < first));
        absences.extend(lacking.map(|&scrape| Placed { scrape, gone: true, ..any }));
    }
    rows.extend(absences);
    // No two chunks share a scrape, so an absence never meets a row.
    rows.sort_by_key(|row| row.scrape);
}

//! What a reader sees at each scrape, computed the slow and plain way.

use std::collections::{BTreeMap, BTreeSet};

use pganalytics_core::{
    ColumnKind, Presence, ScrapeKind, Timestamp, Value,
    frame::{Frame, FrameError},
};

use crate::Chunk;

/// Rows that are there, by key: column → value, NULLs left out.
type State = BTreeMap<String, BTreeMap<String, String>>;

/// Source and collector → the state after each scrape, in order of time.
pub(super) type Timeline = BTreeMap<String, Vec<(Timestamp, State)>>;

/// One scrape of one chunk.
struct Visit {
    time: Timestamp,
    chunk: usize,
    kind: ScrapeKind,
    /// Key, its columns, and whether it is gone.
    rows: Vec<(String, BTreeMap<String, String>, bool)>,
}

fn text(value: Value<'_>) -> String {
    format!("{value:?}")
}

fn visits(chunk: usize, frame: &Frame) -> Result<Vec<Visit>, FrameError> {
    let block = frame.to_block()?;
    let keys: BTreeSet<usize> = block.schema().positions_of(ColumnKind::Key).collect();
    let mut visits: Vec<Visit> = block
        .scrapes()
        .iter()
        .map(|scrape| Visit { time: scrape.collected_at, chunk, kind: scrape.kind, rows: Vec::new() })
        .collect();
    for (row, &scrape) in block.scrape_of_row().iter().enumerate() {
        let (mut key, mut columns) = (String::new(), BTreeMap::new());
        for (at, column) in block.schema().columns().iter().enumerate() {
            let value = block.rows().get(row, at);
            if keys.contains(&at) {
                key.push_str(&text(value));
            }
            if value != Value::Null {
                columns.insert(column.name.clone(), text(value));
            }
        }
        if let Some(visit) = visits.get_mut(scrape as usize) {
            visit.rows.push((key, columns, block.rows().is_gone(row)));
        }
    }
    Ok(visits)
}

/// The state after each scrape. A keyframe drops the keys that its own chunk
/// has not named up to then; facts are never dropped.
pub(super) fn timeline(chunks: &[Chunk]) -> Result<Timeline, FrameError> {
    let mut groups: BTreeMap<String, Vec<&Chunk>> = BTreeMap::new();
    for chunk in chunks {
        let source = chunk.frame.source();
        let name = format!("{} {} {:?} {}", source.server_id, source.instance_id, source.database, chunk.collector);
        groups.entry(name).or_default().push(chunk);
    }
    let mut all = Timeline::new();
    for (name, chunks) in groups {
        let mut order = Vec::new();
        for (at, chunk) in chunks.iter().enumerate() {
            order.extend(visits(at, &chunk.frame)?);
        }
        order.sort_by_key(|visit| visit.time);
        let facts = chunks.iter().any(|chunk| chunk.frame.schema().presence() == Presence::Append);
        let (mut state, mut named) = (State::new(), vec![BTreeSet::new(); chunks.len()]);
        let mut states = Vec::new();
        for visit in order {
            let Some(named) = named.get_mut(visit.chunk) else { continue };
            named.extend(visit.rows.iter().map(|(key, _, _)| key.clone()));
            if visit.kind == ScrapeKind::Keyframe && !facts {
                state.retain(|key, _| named.contains(key));
            }
            for (key, columns, gone) in visit.rows {
                if gone {
                    state.remove(&key)
                } else {
                    state.insert(key, columns)
                };
            }
            states.push((visit.time, state.clone()));
        }
        all.insert(name, states);
    }
    Ok(all)
}

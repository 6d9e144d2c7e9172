//! A sink that keeps how things are now, whole.
//!
//! Frames tell differences: a batch has only the rows that changed since the one
//! before. Here they are put together, so that a reader always sees all rows. What
//! stays true:
//!
//! - A snapshot has all rows of its measurement at its source, as the last frame
//!   left them. What is gone is gone; where there is no row there is no snapshot.
//! - Where a frame is missing on the way (dropped, refused, not here yet) rows may be
//!   older than the snapshot: [`Snapshot::complete`] is false until the next keyframe.
//! - Facts that are told once (texts of statements, log entries) are kept, the last
//!   [`MOST_FACTS`] of each series.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use pganalytics_core::{
    Batch, ColumnKind, Link, MeasurementName, ModelError, Presence, Ranges, RowsBuilder, Schema, Scrape, ScrapeKind,
    Source, StreamId, Timestamp, Value,
    frame::{Content, Frame, Limits},
};
use tokio::sync::watch;

use crate::{
    figures::Cell,
    sink::{Delivery, FrameGroup, Refused, Sink, SinkError},
};

/// Rows of one series that are kept of what is told once; the oldest go first.
pub const MOST_FACTS: usize = 10_000;

/// Series without rows that are remembered, so that their next rows are known to be all.
const MOST_EMPTY: usize = 1_000;

/// All rows of a measurement at a source.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// A keyframe with all rows, in the order of their keys; its time is that of the
    /// last frame.
    pub batch: Batch,
    /// Whether no frame is missing since the last keyframe.
    pub complete: bool,
}

/// Keeps the whole last state of each measurement at each source; clones share
/// it. See the [module](self).
#[derive(Debug, Clone, Default)]
pub struct Snapshots {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// Numbers that have come, by stream.
    seen: HashMap<StreamId, Ranges>,
    series: BTreeMap<(MeasurementName, Source), Series>,
}

/// What is known of a measurement at a source.
#[derive(Debug)]
struct Series {
    schema: Arc<Schema>,
    scrape: Scrape,
    last: Link,
    complete: bool,
    /// Rows by their keys.
    rows: BTreeMap<Vec<u8>, (u64, Vec<Cell>)>,
    /// Keys by when their rows came.
    order: BTreeMap<u64, Vec<u8>>,
    next: u64,
    visit: Visit,
}

/// Frames of one time that followed each other: they may be the parts of a keyframe.
#[derive(Debug, Default)]
struct Visit {
    time: Option<Timestamp>,
    frames: u32,
    keys: BTreeSet<Vec<u8>>,
}

impl Snapshots {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The snapshots of a measurement, one for each source.
    #[must_use]
    pub fn of(&self, measurement: &str) -> Vec<Snapshot> {
        let state = self.state();
        let series = state.series.iter().filter(|((name, _), _)| name.as_str() == measurement);
        series.filter_map(|((_, source), series)| series.snapshot(source)).collect()
    }

    /// The snapshot of a measurement at one source.
    #[must_use]
    pub fn get(&self, measurement: &MeasurementName, source: &Source) -> Option<Snapshot> {
        let state = self.state();
        state.series.get(&(measurement.clone(), source.clone()))?.snapshot(source)
    }

    /// What there is: measurements and their sources.
    #[must_use]
    pub fn series(&self) -> Vec<(MeasurementName, Source)> {
        let state = self.state();
        let with_rows = state.series.iter().filter(|(_, series)| !series.rows.is_empty());
        with_rows.map(|(place, _)| place.clone()).collect()
    }

    /// Says, each time it changes, that something came.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Waits until there is a snapshot of a measurement. Cancel-safe.
    pub async fn wait_for(&self, measurement: &str) -> Snapshot {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            if let Some(first) = self.of(measurement).into_iter().next() {
                return first;
            }
            // The sender lives as long as this does, so it can't fail.
            let _ = changes.changed().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for Snapshots {
    async fn deliver(&self, group: FrameGroup) -> Result<Delivery, SinkError> {
        let mut delivery = Delivery::default();
        for (position, bytes) in group.frames {
            let content = Content::parse(bytes, &Limits::default(), &|_| None);
            let batch = content.and_then(|content| content.frame().map(Frame::to_batch).transpose());
            match batch {
                Err(error) => {
                    delivery.refused.push(Refused::one(position.seq, error.code(), error.to_string()));
                }
                Ok(batch) => {
                    let mut state = self.state();
                    if state.seen.entry(group.stream).or_default().insert(position.seq) {
                        let link = Link { stream: group.stream, seq: position.seq, base: position.base };
                        // A gap needs no word here: what follows it has another base.
                        if let Some(batch) = &batch {
                            state.take(batch, link);
                        }
                        delivery.stored.insert(position.seq);
                    } else {
                        delivery.duplicate.insert(position.seq);
                    }
                }
            }
        }
        self.inner.changes.send_modify(|count| *count += 1);
        Ok(delivery)
    }
}

impl State {
    fn take(&mut self, batch: &Batch, link: Link) {
        let place = (batch.schema.measurement().clone(), batch.source.clone());
        let is_state = batch.schema.presence() == Presence::State;
        let is_keyframe = batch.scrape.kind == ScrapeKind::Keyframe && is_state;
        if let Some(known) = self.series.get(&place) {
            let other_stream = known.last.stream != link.stream;
            let late = if other_stream {
                batch.scrape.collected_at < known.scrape.collected_at
            } else {
                link.seq < known.last.seq
            };
            // Of a backlog that comes after what is newer: the state has passed it.
            if late && is_state {
                return;
            }
        }
        // What is not there any more is learned from the last part of a keyframe.
        let known = self.series.remove(&place).filter(|known| {
            // Another schema begins anew, as a keyframe does.
            !is_keyframe && known.schema.fingerprint() == batch.schema.fingerprint()
        });
        let complete = match &known {
            _ if is_keyframe || !is_state => true,
            Some(known) => known.complete && link.follows(Some(known.last)),
            None => false,
        };
        let mut series = known.unwrap_or_else(|| Series {
            schema: Arc::clone(&batch.schema),
            scrape: batch.scrape,
            last: link,
            complete,
            rows: BTreeMap::new(),
            order: BTreeMap::new(),
            next: 0,
            visit: Visit::default(),
        });
        let follows = series.visit.time == Some(batch.scrape.collected_at) && link.follows(Some(series.last));
        if !follows {
            series.visit = Visit { time: Some(batch.scrape.collected_at), ..Visit::default() };
        }
        (series.scrape, series.last, series.complete) = (batch.scrape, link, complete);
        series.take(batch, is_state);
        series.end_visit();
        let is_empty = series.rows.is_empty();
        self.series.insert(place, series);
        // Frames that follow are told from those that follow another by what was before.
        if is_empty && self.series.values().filter(|series| series.rows.is_empty()).count() > MOST_EMPTY {
            self.series.retain(|_, series| !series.rows.is_empty());
        }
    }
}

impl Series {
    /// Rows that no part of a keyframe has are gone.
    fn end_visit(&mut self) {
        self.visit.frames += 1;
        let ScrapeKind::LastPart { parts } = self.scrape.kind else { return };
        let Visit { frames, keys, .. } = std::mem::take(&mut self.visit);
        if frames == parts {
            self.rows.retain(|key, _| keys.contains(key));
            self.order.retain(|_, key| keys.contains(key));
            self.complete = true;
        }
    }

    fn take(&mut self, batch: &Batch, is_state: bool) {
        let keys: Vec<usize> = batch.schema.positions_of(ColumnKind::Key).collect();
        for row in 0..batch.rows.len() {
            let number = self.next;
            let mut key = Vec::new();
            if keys.is_empty() && !is_state {
                key.extend(number.to_be_bytes());
            }
            keys.iter().for_each(|&column| write_key(&mut key, batch.rows.get(row, column)));
            if let Some((before, _)) = self.rows.remove(&key) {
                self.order.remove(&before);
            }
            if batch.rows.gone().is_some_and(|gone| gone.get(row)) {
                continue;
            }
            let cells = (0..batch.schema.columns().len()).map(|column| Cell::from(batch.rows.get(row, column)));
            self.rows.insert(key.clone(), (number, cells.collect()));
            if is_state && self.scrape.kind != ScrapeKind::Keyframe {
                self.visit.keys.insert(key.clone());
            }
            self.order.insert(number, key);
            self.next += 1;
        }
        while !is_state && self.rows.len() > MOST_FACTS {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            self.rows.remove(&oldest);
        }
    }

    fn snapshot(&self, source: &Source) -> Option<Snapshot> {
        if self.rows.is_empty() {
            return None;
        }
        let batch = self.batch(source).map_err(|error| {
            debug_assert!(false, "rows of a batch fit its schema: {error}");
        });
        Some(Snapshot { batch: batch.ok()?, complete: self.complete })
    }

    fn batch(&self, source: &Source) -> Result<Batch, ModelError> {
        let mut builder = RowsBuilder::new(&self.schema);
        let mut values = Vec::new();
        for (_, cells) in self.rows.values() {
            values.clear();
            values.extend(cells.iter().map(Cell::value));
            builder.push(&values)?;
        }
        let scrape = Scrape { kind: ScrapeKind::Keyframe, ..self.scrape };
        Ok(Batch { schema: Arc::clone(&self.schema), source: source.clone(), scrape, rows: builder.finish() })
    }
}

/// Adds a key's value so that different keys have different bytes, and integers and texts
/// are in their order.
fn write_key(key: &mut Vec<u8>, value: Value<'_>) {
    const NEGATIVE: i64 = i64::MIN;
    let (kind, bytes): (u8, [u8; 8]) = match value {
        Value::Null => (0, [0; 8]),
        Value::Int(value) => (1, (value ^ NEGATIVE).to_be_bytes()),
        Value::Float(value) => (2, value.to_be_bytes()),
        Value::Bool(value) => (3, u64::from(value).to_be_bytes()),
        Value::Timestamp(value) => (4, (value ^ NEGATIVE).to_be_bytes()),
        Value::Text(text) => {
            key.push(5);
            for &byte in text.as_bytes() {
                key.push(byte);
                if byte == 0 {
                    // Told from the end.
                    key.push(1);
                }
            }
            return key.extend([0, 0]);
        }
    };
    key.push(kind);
    key.extend(bytes);
}

#[cfg(test)]
#[path = "snapshots_tests.rs"]
mod tests;

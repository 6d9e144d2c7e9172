//! Makes record batches of `m` and `m_latest`.

use std::{ops::Range, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, RecordBatchOptions},
        datatypes::SchemaRef,
    },
    common::DataFusionError,
};
use pganalytics_core::{Scrape, Timestamp};

use super::{
    changes::Changes,
    decoded::Decoded,
    gather::{Shared, Sources, times},
    history::{Group, Step},
};

/// Where a column of a table comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnSource {
    Time,
    Shared(Shared),
    /// A column of the stored schema.
    Stored(usize),
    DeltaSeconds,
    DeltaQuality,
}

/// What a scan gives: columns, and rows of a range of time.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<ColumnSource>,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) batch_rows: usize,
}

impl Wanted {
    /// The scrapes within the range of time.
    pub(super) fn scrapes(&self, scrapes: &[Scrape]) -> Range<u32> {
        let start = scrapes.partition_point(|scrape| scrape.collected_at < self.from);
        let end = scrapes.partition_point(|scrape| scrape.collected_at <= self.to);
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        number(start)..number(end.max(start))
    }

    /// Whether a time is within the range.
    pub(super) fn holds(&self, time: Timestamp) -> bool {
        self.from <= time && time <= self.to
    }

    /// One batch of rows at these places.
    pub(super) fn batch(
        &self,
        group: &Group,
        sources: &Sources,
        places: &[(u32, u32)],
        at: impl Fn() -> Vec<i64>,
        special: impl Fn(ColumnSource) -> Option<Result<ArrayRef, DataFusionError>>,
    ) -> Result<RecordBatch, DataFusionError> {
        let one = |&column: &ColumnSource| match (special(column), column) {
            (Some(array), _) => array,
            (None, ColumnSource::Time) => Ok(times(at())),
            (None, ColumnSource::Shared(shared)) => Ok(shared.array(group, places.len())),
            (None, ColumnSource::Stored(column)) => sources.column(column, places),
            (None, other) => Err(DataFusionError::Internal(format!("no column {other:?} here"))),
        };
        let columns = self.columns.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

/// Rows that are still to be given out.
pub(super) enum Emitter {
    Spans(Spans),
    Places(Places),
    Changes(Changes),
}

impl Emitter {
    /// The next batch; `None` at the end.
    pub(super) fn next(&mut self, wanted: &Wanted) -> Result<Option<RecordBatch>, DataFusionError> {
        match self {
            Self::Spans(spans) => spans.next(wanted),
            Self::Places(places) => places.next(wanted),
            Self::Changes(changes) => changes.next(wanted),
        }
    }
}

/// A row that is live from one scrape to before another one.
struct Span {
    place: (u32, u32),
    scrapes: Range<u32>,
}

/// The rows of a chunk, one for each scrape at which they are live.
pub(super) struct Spans {
    group: Arc<Group>,
    chunk: Arc<Decoded>,
    sources: Sources,
    spans: std::vec::IntoIter<Span>,
    current: Option<Span>,
}

impl Spans {
    pub(super) fn new(step: Step, wanted: &Wanted) -> Self {
        let Step { group, chunk, runs, carried, .. } = step;
        let mut sources = Sources::default();
        let own = sources.number(&chunk);
        let range = wanted.scrapes(&chunk.scrapes);
        let mut spans = Vec::new();
        let mut add = |place, scrapes: Range<u32>| {
            let scrapes = scrapes.start.max(range.start)..scrapes.end.min(range.end);
            if !scrapes.is_empty() {
                spans.push(Span { place, scrapes });
            }
        };
        for row in &carried {
            add((sources.number(&row.chunk), row.row), 0..row.until);
        }
        for start in &runs {
            if let Some(before) = start.before.as_ref().filter(|_| start.until > 0) {
                add((sources.number(&before.chunk), before.row), 0..start.until);
            }
            let Some(run) = chunk.keys.runs.get(start.run as usize) else { continue };
            for row in run.start..run.end {
                if !chunk.keys.is_gone(row) {
                    let next = if row + 1 < run.end { chunk.scrape_of(row + 1) } else { u32::MAX };
                    add((own, row), chunk.scrape_of(row)..next);
                }
            }
        }
        Self { group, chunk, sources, spans: spans.into_iter(), current: None }
    }

    fn next(&mut self, wanted: &Wanted) -> Result<Option<RecordBatch>, DataFusionError> {
        let mut places = Vec::with_capacity(wanted.batch_rows);
        let mut at = Vec::with_capacity(wanted.batch_rows);
        while places.len() < wanted.batch_rows {
            let Some(span) = self.current.as_mut() else {
                self.current = self.spans.next();
                if self.current.is_none() {
                    break;
                }
                continue;
            };
            let Some(scrape) = span.scrapes.next() else {
                self.current = None;
                continue;
            };
            let time = self.chunk.time_of(scrape);
            // Of scrapes of one moment the last one counts.
            let superseded = self.chunk.scrapes.get(scrape as usize + 1).is_some_and(|next| next.collected_at == time);
            if !superseded {
                places.push(span.place);
                at.push(time.as_micros());
            }
        }
        if places.is_empty() {
            return Ok(None);
        }
        wanted.batch(&self.group, &self.sources, &places, || at.clone(), |_| None).map(Some)
    }
}

/// Rows with a time each.
pub(super) struct Places {
    group: Arc<Group>,
    sources: Sources,
    places: Vec<(u32, u32)>,
    times: Vec<i64>,
    given: usize,
}

impl Places {
    pub(super) fn new<'a>(
        group: Arc<Group>,
        rows: impl Iterator<Item = (&'a Arc<Decoded>, u32, Timestamp)>,
        wanted: &Wanted,
    ) -> Self {
        let mut sources = Sources::default();
        let (mut places, mut times) = (Vec::new(), Vec::new());
        for (chunk, row, time) in rows.filter(|(_, _, time)| wanted.holds(*time)) {
            places.push((sources.number(chunk), row));
            times.push(time.as_micros());
        }
        Self { group, sources, places, times, given: 0 }
    }

    fn next(&mut self, wanted: &Wanted) -> Result<Option<RecordBatch>, DataFusionError> {
        let end = self.places.len().min(self.given + wanted.batch_rows);
        let range = self.given..end;
        self.given = end;
        let (Some(places), Some(times)) = (self.places.get(range.clone()), self.times.get(range)) else {
            return Ok(None);
        };
        if places.is_empty() {
            return Ok(None);
        }
        wanted.batch(&self.group, &self.sources, places, || times.to_vec(), |_| None).map(Some)
    }
}

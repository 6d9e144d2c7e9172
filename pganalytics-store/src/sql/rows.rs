//! Makes record batches of `m` and `m_latest`.

use std::{ops::Range, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions},
        datatypes::SchemaRef,
    },
    common::DataFusionError,
};
use pganalytics_core::{Scrape, Timestamp};

use super::{
    changes::Changes,
    cuts::Cuts,
    decoded::Decoded,
    gather::{Shared, Sources, times},
    history::{Group, Step},
    sums::Sums,
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
    /// Whether the row was carried over a gap.
    OverGap,
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

    /// The columns of the stored schema among them.
    pub(super) fn stored(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().filter_map(|column| match column {
            ColumnSource::Stored(column) => Some(*column),
            _ => None,
        })
    }

    /// Whether a time is within the range.
    pub(super) fn holds(&self, time: Timestamp) -> bool {
        self.from <= time && time <= self.to
    }

    /// One batch of so many rows, of the source's columns and others that `special` makes.
    pub(super) fn batch_of(
        &self,
        group: &Group,
        rows: usize,
        special: impl Fn(ColumnSource) -> Option<Result<ArrayRef, DataFusionError>>,
    ) -> Result<RecordBatch, DataFusionError> {
        let one = |&column: &ColumnSource| match (special(column), column) {
            (Some(array), _) => array,
            (None, ColumnSource::Shared(shared)) => Ok(shared.array(group, rows)),
            (None, other) => Err(DataFusionError::Internal(format!("no column {other:?} here"))),
        };
        let columns = self.columns.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
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
        self.batch_of(group, places.len(), |column| Some(one(&column)))
    }
}

/// Rows that are still to be given out.
pub(super) enum Emitter {
    Spans(Spans),
    Places(Places),
    Changes(Changes),
    Sums(Box<Sums>),
}

impl Emitter {
    /// The next batch; `None` at the end.
    pub(super) fn next(&mut self, wanted: &Wanted) -> Result<Option<RecordBatch>, DataFusionError> {
        match self {
            Self::Spans(spans) => spans.next(wanted),
            Self::Places(places) => places.next(wanted),
            Self::Changes(changes) => changes.next(wanted),
            Self::Sums(sums) => sums.next(wanted),
        }
    }
}

/// A row that is live from one scrape to before another one.
struct Span {
    place: (u32, u32),
    scrapes: Range<u32>,
    /// How many cuts there were up to the row's scrape.
    cuts: u32,
}

/// The rows of a chunk, one for each scrape at which they are live.
pub(super) struct Spans {
    group: Arc<Group>,
    chunk: Arc<Decoded>,
    sources: Sources,
    cuts: Cuts,
    spans: std::vec::IntoIter<Span>,
    current: Option<Span>,
}

impl Spans {
    pub(super) fn new(step: Step, wanted: &Wanted) -> Self {
        let Step { group, chunk, runs, carried, cuts, .. } = step;
        let mut sources = Sources::default();
        let own = sources.number(&chunk);
        let range = wanted.scrapes(&chunk.scrapes);
        let mut spans = Vec::new();
        let mut add = |place, scrapes: Range<u32>, cuts| {
            let scrapes = scrapes.start.max(range.start)..scrapes.end.min(range.end);
            if !scrapes.is_empty() {
                spans.push(Span { place, scrapes, cuts });
            }
        };
        for row in &carried {
            add((sources.number(&row.chunk), row.row), 0..row.until, row.cuts);
        }
        for start in &runs {
            if let Some(before) = start.before.as_ref().filter(|_| start.until > 0) {
                add((sources.number(&before.chunk), before.row), 0..start.until, before.cuts);
            }
            let Some(run) = chunk.keys.runs.get(start.run as usize) else { continue };
            for row in run.start..run.end {
                if !chunk.keys.is_gone(row) {
                    let next = if row + 1 < run.end { chunk.scrape_of(row + 1) } else { u32::MAX };
                    let scrape = chunk.scrape_of(row);
                    add((own, row), scrape..next, cuts.count(scrape));
                }
            }
        }
        Self { group, chunk, sources, cuts, spans: spans.into_iter(), current: None }
    }

    fn next(&mut self, wanted: &Wanted) -> Result<Option<RecordBatch>, DataFusionError> {
        let mut places = Vec::with_capacity(wanted.batch_rows);
        let mut at = Vec::with_capacity(wanted.batch_rows);
        let mut over_gap = Vec::with_capacity(wanted.batch_rows);
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
                over_gap.push(self.cuts.is_doubtful(scrape, span.cuts));
            }
        }
        if places.is_empty() {
            return Ok(None);
        }
        wanted.batch(&self.group, &self.sources, &places, || at.clone(), |column| flags(column, &over_gap)).map(Some)
    }
}

/// The column that says of each row whether it was carried over a gap.
fn flags(column: ColumnSource, over_gap: &[bool]) -> Option<Result<ArrayRef, DataFusionError>> {
    (column == ColumnSource::OverGap).then(|| Ok(Arc::new(BooleanArray::from(over_gap.to_vec())) as ArrayRef))
}

/// Rows with a time each.
pub(super) struct Places {
    group: Arc<Group>,
    sources: Sources,
    places: Vec<(u32, u32)>,
    times: Vec<i64>,
    over_gap: Vec<bool>,
    given: usize,
}

impl Places {
    pub(super) fn new<'a>(
        group: Arc<Group>,
        rows: impl Iterator<Item = (&'a Arc<Decoded>, u32, Timestamp, bool)>,
        wanted: &Wanted,
    ) -> Self {
        let mut sources = Sources::default();
        let (mut places, mut times, mut over_gap) = (Vec::new(), Vec::new(), Vec::new());
        for (chunk, row, time, carried) in rows.filter(|(_, _, time, _)| wanted.holds(*time)) {
            over_gap.push(carried);
            places.push((sources.number(chunk), row));
            times.push(time.as_micros());
        }
        Self { group, sources, places, times, over_gap, given: 0 }
    }

    fn next(&mut self, wanted: &Wanted) -> Result<Option<RecordBatch>, DataFusionError> {
        let end = self.places.len().min(self.given + wanted.batch_rows);
        let range = self.given..end;
        self.given = end;
        let (Some(places), Some(times)) = (self.places.get(range.clone()), self.times.get(range.clone())) else {
            return Ok(None);
        };
        if places.is_empty() {
            return Ok(None);
        }
        let over_gap = self.over_gap.get(range).unwrap_or_default();
        wanted.batch(&self.group, &self.sources, places, || times.to_vec(), |column| flags(column, over_gap)).map(Some)
    }
}

//! Makes record batches of `m_delta`: what each row did since the one before.

use std::{ops::Range, sync::Arc};

use datafusion::{
    arrow::{
        array::{
            Array as _, ArrayRef, ArrowPrimitiveType, AsArray as _, Float64Array, NullBufferBuilder, PrimitiveArray,
            RecordBatch, StringViewArray,
        },
        datatypes::{DataType, Float64Type, Int64Type},
    },
    common::DataFusionError,
};
use pganalytics_core::{
    CounterFamily, Scrape, Timestamp,
    epoch::Continuity,
    increase::{self, Before, Now, Quality, Rule, Verdict},
};

use super::{
    cuts::Cuts,
    decoded::{Decoded, fell},
    facts::{ValueFacts, bits_of},
    gather::Sources,
    history::{Earlier, Group, Step, remembered},
    rows::{ColumnSource, Wanted},
    stamps::Stamps,
};

/// The rows of a chunk that changed, each with the row before it.
pub(super) struct Changes {
    group: Arc<Group>,
    chunk: Arc<Decoded>,
    previous: Option<Scrape>,
    sources: Sources,
    places: Vec<(u32, u32)>,
    before: Vec<(u32, u32)>,
    changes: Vec<RowChange>,
    given: usize,
}

/// What became of a row's counters.
#[derive(Clone, Copy)]
pub(super) struct RowChange {
    pub(super) rule: Rule,
    /// The rule of counters that other objects keep: a reset of this row's own
    /// ones says nothing of them.
    derived: Rule,
    quality: Quality,
}

impl From<Verdict> for RowChange {
    fn from(Verdict { rule, quality }: Verdict) -> Self {
        Self { rule, derived: rule, quality }
    }
}

impl Changes {
    pub(super) fn new(step: Step, wanted: &Wanted) -> Result<Self, DataFusionError> {
        let Step { group, chunk, previous, complete_from, runs, cuts, .. } = step;
        let mut sources = Sources::default();
        let own = sources.number(&chunk);
        let comparison = Comparison::new(&chunk, previous, complete_from, &cuts)?;
        let range = wanted.scrapes(&chunk.scrapes);
        let (mut places, mut before, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for start in &runs {
            let Some(run) = chunk.keys.runs.get(start.run as usize) else { continue };
            let mut last = start.before.as_ref().map(Last::Earlier);
            let mut gone_at = start.before.as_ref().and_then(|before| before.gone_at);
            for row in run.start..run.end {
                let scrape = chunk.scrape_of(row);
                if chunk.keys.is_gone(row) {
                    gone_at = gone_at.or_else(|| last.is_some().then(|| chunk.time_of(scrape)));
                    continue;
                }
                if range.contains(&scrape) {
                    let known = last.filter(|_| gone_at.is_none_or(|gone| remembered(gone, chunk.time_of(scrape))));
                    if let Some(change) = comparison.row(start.run, row, scrape, known, gone_at.is_some())? {
                        places.push((own, row));
                        before.push(match known {
                            Some(Last::Own(before)) => (own, before),
                            Some(Last::Earlier(known)) => (sources.number(&known.chunk), known.row),
                            None => (own, row),
                        });
                        changes.push(change);
                    }
                }
                (last, gone_at) = (Some(Last::Own(row)), None);
            }
        }
        Ok(Self { group, chunk, previous, sources, places, before, changes, given: 0 })
    }

    pub(super) fn next(&mut self, wanted: &Wanted) -> Result<Option<RecordBatch>, DataFusionError> {
        let end = self.places.len().min(self.given + wanted.batch_rows);
        let range = self.given..end;
        self.given = end;
        let Some(places) = self.places.get(range.clone()).filter(|places| !places.is_empty()) else {
            return Ok(None);
        };
        let times = || places.iter().map(|(_, row)| self.time(*row).as_micros()).collect();
        let special = |column| match column {
            ColumnSource::Stored(column) if self.chunk.shape.counters.contains(&column) => {
                Some(self.increases(column, range.clone()))
            }
            ColumnSource::DeltaSeconds => {
                let seconds = places.iter().map(|(_, row)| self.seconds(*row));
                Some(Ok(Arc::new(Float64Array::from_iter(seconds)) as ArrayRef))
            }
            ColumnSource::DeltaQuality => {
                let changes = self.changes.get(range.clone()).unwrap_or_default();
                let words = changes.iter().map(|change| change.quality.as_str());
                Some(Ok(Arc::new(StringViewArray::from_iter_values(words)) as ArrayRef))
            }
            _ => None,
        };
        wanted.batch(&self.group, &self.sources, places, times, special).map(Some)
    }

    fn time(&self, row: u32) -> Timestamp {
        self.chunk.time_of(self.chunk.scrape_of(row))
    }

    /// Seconds since the scrape before.
    fn seconds(&self, row: u32) -> Option<f64> {
        let scrape = self.chunk.scrape_of(row);
        let before = match (scrape as usize).checked_sub(1) {
            Some(before) => self.chunk.scrapes.get(before).copied(),
            None => self.previous,
        }?;
        let before = before.collected_at;
        #[expect(clippy::cast_precision_loss, reason = "an interval has few digits")]
        let micros = self.chunk.time_of(scrape).micros_since(before) as f64;
        Some(micros / 1e6)
    }

    fn increases(&self, column: usize, range: Range<usize>) -> Result<ArrayRef, DataFusionError> {
        let get = |places: &[(u32, u32)]| self.sources.column(column, places);
        let now = get(self.places.get(range.clone()).unwrap_or_default())?;
        let before = get(self.before.get(range.clone()).unwrap_or_default())?;
        let own = self.chunk.shape.own_counters.contains(&column);
        let rules = self.changes.get(range).unwrap_or_default().iter();
        let rules = rules.map(|change| if own { change.rule } else { change.derived });
        match now.data_type() {
            DataType::Int64 => {
                Ok(gains(rules, before.as_primitive::<Int64Type>(), now.as_primitive(), increase::of_int))
            }
            DataType::Float64 => {
                Ok(gains(rules, before.as_primitive::<Float64Type>(), now.as_primitive(), increase::of_float))
            }
            // Nothing else counts.
            _ => Ok(now),
        }
    }
}

/// A counter's increases, row by row.
fn gains<T: ArrowPrimitiveType>(
    rules: impl Iterator<Item = Rule>,
    before: &PrimitiveArray<T>,
    now: &PrimitiveArray<T>,
    of: impl Fn(Rule, Option<T::Native>, Option<T::Native>) -> Option<T::Native>,
) -> ArrayRef {
    let rows = now.len().min(before.len());
    let value = |array: &PrimitiveArray<T>, row| array.is_valid(row).then(|| array.value(row));
    let (mut values, mut nulls) = (Vec::with_capacity(rows), NullBufferBuilder::new(rows));
    for (row, rule) in (0..rows).zip(rules) {
        let gain = of(rule, value(before, row), value(now, row));
        values.push(gain.unwrap_or_default());
        nulls.append(gain.is_some());
    }
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls.finish()))
}

/// The row before: in an earlier chunk, or in the same one.
#[derive(Clone, Copy)]
pub(super) enum Last<'a> {
    Earlier(&'a Earlier),
    Own(u32),
}

/// Compares each row with the one before it: what became of its counters.
pub(super) struct Comparison<'a> {
    chunk: &'a Arc<Decoded>,
    facts: &'a ValueFacts,
    family: CounterFamily,
    /// For each scrape the time of the one before and what happened since.
    since: Vec<Option<(Timestamp, Continuity)>>,
    complete_from: u32,
    cuts: &'a Cuts,
    stamps: Stamps<'a>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(
        chunk: &'a Arc<Decoded>,
        previous: Option<Scrape>,
        complete_from: u32,
        cuts: &'a Cuts,
    ) -> Result<Self, DataFusionError> {
        let family = chunk.shape.schema.family();
        let before = std::iter::once(previous).chain(chunk.scrapes.iter().copied().map(Some));
        let since = before
            .zip(chunk.scrapes.iter())
            .map(|(before, now)| before.map(|before| (before.collected_at, before.epoch.until(&now.epoch, family))))
            .collect();
        let stamps = Stamps::of(chunk)?;
        Ok(Self { chunk, facts: chunk.values()?, family, since, complete_from, cuts, stamps })
    }

    /// `None` when the row is as it was.
    pub(super) fn row(
        &self,
        run: u32,
        row: u32,
        scrape: u32,
        last: Option<Last<'_>>,
        was_gone: bool,
    ) -> Result<Option<RowChange>, DataFusionError> {
        let unknown = Verdict { rule: Rule::Unknown, quality: Quality::Unknown };
        let Some((previous_scrape, continuity)) = self.since.get(scrape as usize).copied().flatten() else {
            return Ok(Some(unknown.into()));
        };
        let family = self.family;
        let now = |row_stamp| Now { row_stamp, previous_scrape };
        let Some(last) = last else {
            if scrape < self.complete_from || self.clock_stepped(scrape) {
                return Ok(Some(unknown.into()));
            }
            let now = now(self.stamps.of_row(run, row)?);
            let verdict = increase::judge(family, continuity, Before::Absent, now, || false);
            return Ok(Some(verdict.bounded_if(self.cuts.may_have_come_before(scrape)).into()));
        };
        // What was learned of neighbours beforehand is enough for most rows.
        let changed = match last {
            Last::Own(before) if before + 1 == row => self.facts.changed(row),
            Last::Own(before) => differs((self.chunk, before), (self.chunk, row))?,
            Last::Earlier(last) if self.is_first(run, row) && ends_its_run(last) => {
                self.facts.first(run) != last.chunk.values()?.last(last.run)
            }
            Last::Earlier(last) => differs((&last.chunk, last.row), (self.chunk, row))?,
        };
        if !changed {
            return Ok(None);
        }
        if self.clock_stepped(scrape) {
            return Ok(Some(unknown.into()));
        }
        let now = now(self.stamps.of_row(run, row)?);
        let stamp = match last {
            Last::Own(before) => self.stamps.of_row(run, before)?,
            Last::Earlier(last) => Stamps::of(&last.chunk)?.of_row(last.run, last.row)?,
        };
        let asked = || continuity != Continuity::BeganAnew && !increase::stamp_decides(family, stamp, now.row_stamp);
        let fallen = match last {
            Last::Own(before) if before + 1 == row => self.facts.fell(row),
            Last::Own(before) => asked() && fell((self.chunk, before), (self.chunk, row))?,
            Last::Earlier(last) if self.is_first(run, row) && ends_its_run(last) => {
                asked() && self.chunk.ends()?.fell_since(run, last.chunk.ends()?, last.run)
            }
            Last::Earlier(last) => asked() && fell((&last.chunk, last.row), (self.chunk, row))?,
        };
        let before = Before::Row { stamp, was_gone };
        let cuts_before = match last {
            Last::Own(before) => self.cuts.count(self.chunk.scrape_of(before)),
            Last::Earlier(last) => last.cuts,
        };
        let verdict = increase::judge(family, continuity, before, now, || fallen);
        let verdict = verdict.bounded_if(self.cuts.count(scrape) > cuts_before);
        let derived = increase::rule_of_derived(continuity, before, verdict);
        Ok(Some(RowChange { derived, ..verdict.into() }))
    }

    /// Whether nobody knows how long ago the scrape before was.
    fn clock_stepped(&self, scrape: u32) -> bool {
        self.chunk.scrapes.get(scrape as usize).is_some_and(|scrape| scrape.clock.stepped)
    }

    fn is_first(&self, run: u32, row: u32) -> bool {
        self.chunk.keys.runs.get(run as usize).is_some_and(|run| run.start == row)
    }
}

/// Whether a row is the last one of its key in its chunk.
fn ends_its_run(last: &Earlier) -> bool {
    last.chunk.keys.runs.get(last.run as usize).is_some_and(|run| run.end == last.row + 1)
}

/// Whether two rows differ in what they measured.
fn differs(last: (&Decoded, u32), now: (&Decoded, u32)) -> Result<bool, DataFusionError> {
    for &column in &now.0.shape.measured {
        let (before, after) = (last.0.column(column)?, now.0.column(column)?);
        if bits_of(before)(last.1 as usize) != bits_of(after)(now.1 as usize) {
            return Ok(true);
        }
    }
    Ok(false)
}

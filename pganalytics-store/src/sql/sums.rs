//! What a block's counters gained in all of its time, one row for each key: enough for
//! sums, and made without the block's rows.
//!
//! A block has noted the values of the first and the last row of each key. Where a key's
//! counters simply went on between the two, what they gained is the difference; to it comes
//! what the first row gained since the row before it, in an earlier chunk. Keys whose counters
//! did anything else go row by row, as [`Changes`] does.

use std::{collections::HashMap, ops::Range, sync::Arc};

use datafusion::{
    arrow::{
        array::{
            Array as _, ArrayRef, ArrowPrimitiveType, AsArray as _, PrimitiveArray, RecordBatch, UInt32Array,
            new_null_array,
        },
        compute::take,
        datatypes::{DataType, Float64Type, Int64Type},
    },
    common::DataFusionError,
};
use pganalytics_core::{
    CounterFamily, Scrape,
    epoch::Continuity,
    increase::{self, Rule},
};

use super::{
    arrays::{corrupt, read_as},
    changes::{Changes, Comparison, Last, RowChange},
    decoded::Decoded,
    history::{Earlier, RunStart, Step, remembered},
    rows::{ColumnSource, Wanted},
};

/// Whether counters can be followed over all of these scrapes without looking at rows.
pub(super) fn go_on(family: CounterFamily, scrapes: &[Scrape]) -> bool {
    let goes_on = |pair: &[Scrape]| match pair {
        [before, now] => {
            let continuity = before.epoch.until(&now.epoch, family);
            !now.clock.stepped && matches!(continuity, Continuity::Continues | Continuity::Evicting)
        }
        _ => false,
    };
    scrapes.windows(2).all(goes_on)
}

/// What became of a key in a block.
struct Gain {
    run: u32,
    /// How its first row comes to its increases; `None`: it is as the row before.
    first: Option<RowChange>,
    before: Option<Earlier>,
    /// Whether any row behind the first has changed.
    later: bool,
}

/// The gains of a block's keys, and the rows of those that must be looked at.
pub(super) struct Sums {
    step: Step,
    gains: Vec<Gain>,
    given: usize,
    rest: Option<Changes>,
}

/// How many blocks were answered so, for tests.
#[cfg(test)]
pub(super) static MADE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

impl Sums {
    pub(super) fn new(mut step: Step, wanted: &Wanted) -> Result<Self, DataFusionError> {
        #[cfg(test)]
        MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let runs = std::mem::take(&mut step.runs);
        let (regular, others): (Vec<RunStart>, Vec<RunStart>) =
            runs.into_iter().partition(|start| step.chunk.is_regular(start.run));
        let rest = if others.is_empty() { None } else { Some(Changes::new(step.with_runs(others), wanted)?) };
        let gains = Self::gains_of(&step, regular)?;
        Ok(Self { step, gains, given: 0, rest })
    }

    fn gains_of(step: &Step, runs: Vec<RunStart>) -> Result<Vec<Gain>, DataFusionError> {
        let chunk = &step.chunk;
        let comparison = Comparison::new(chunk, step.previous, step.complete_from, &step.cuts)?;
        let facts = chunk.values()?;
        let mut gains = Vec::with_capacity(runs.len());
        for start in runs {
            let Some(run) = chunk.keys.runs.get(start.run as usize) else { continue };
            let scrape = chunk.first_scrape(start.run, run);
            let gone_at = start.before.as_ref().and_then(|before| before.gone_at);
            let known = |before: &Earlier| before.gone_at.is_none_or(|gone| remembered(gone, chunk.time_of(scrape)));
            let before = start.before.filter(known);
            let last = before.as_ref().map(Last::Earlier);
            let first = comparison.row(start.run, run.start, scrape, last, gone_at.is_some())?;
            let later = (run.start + 1..run.end).any(|row| facts.changed(row));
            if first.is_some() || later {
                gains.push(Gain { run: start.run, first, before, later });
            }
        }
        Ok(gains)
    }

    pub(super) fn next(&mut self, wanted: &Wanted) -> Result<Option<RecordBatch>, DataFusionError> {
        let end = self.gains.len().min(self.given + wanted.batch_rows);
        let range = self.given..end;
        self.given = end;
        if range.is_empty() {
            return match &mut self.rest {
                Some(rest) => rest.next(wanted),
                None => Ok(None),
            };
        }
        let special = |column| match column {
            ColumnSource::Stored(column) if self.step.chunk.shape.counters.contains(&column) => {
                Some(self.sums(column, range.clone()))
            }
            ColumnSource::Stored(column) => Some(self.keys(column, range.clone())),
            _ => None,
        };
        wanted.batch_of(&self.step.group, range.len(), special).map(Some)
    }

    fn gains(&self, range: Range<usize>) -> &[Gain] {
        self.gains.get(range).unwrap_or_default()
    }

    fn keys(&self, column: usize, range: Range<usize>) -> Result<ArrayRef, DataFusionError> {
        let chunk = &self.step.chunk;
        let runs = self.gains(range).iter().map(|gain| gain.run);
        match chunk.directory_column(column)? {
            Some(all) => Ok(take(&all, &runs.collect::<UInt32Array>(), None)?),
            None => {
                let rows = runs.filter_map(|run| chunk.keys.runs.get(run as usize)).map(|run| run.start);
                Ok(take(chunk.column(column)?, &rows.collect::<UInt32Array>(), None)?)
            }
        }
    }

    fn sums(&self, column: usize, range: Range<usize>) -> Result<ArrayRef, DataFusionError> {
        let chunk = &self.step.chunk;
        let Some([first, last]) = chunk.end_values(column)? else {
            return Err(DataFusionError::Internal("a block without what it should have noted".to_owned()));
        };
        let gains = self.gains(range);
        let before = Before::of(gains, column)?;
        match first.data_type() {
            DataType::Int64 => {
                Ok(Self::add::<Int64Type>(gains, [&first, &last], &before, increase::of_int, |a: i64, b: i64| {
                    a.wrapping_add(b)
                }))
            }
            DataType::Float64 => {
                Ok(Self::add::<Float64Type>(gains, [&first, &last], &before, increase::of_float, |a: f64, b: f64| {
                    a + b
                }))
            }
            ty => Ok(new_null_array(ty, gains.len())),
        }
    }

    fn add<T: ArrowPrimitiveType>(
        gains: &[Gain],
        [first, last]: [&ArrayRef; 2],
        before: &Before,
        of: impl Fn(Rule, Option<T::Native>, Option<T::Native>) -> Option<T::Native>,
        plus: impl Fn(T::Native, T::Native) -> T::Native,
    ) -> ArrayRef {
        let (first, last) = (first.as_primitive::<T>(), last.as_primitive::<T>());
        let at = |array: &PrimitiveArray<T>, row: u32| {
            let row = row as usize;
            (row < array.len() && array.is_valid(row)).then(|| array.value(row))
        };
        let sum = |(number, gain): (usize, &Gain)| {
            let begin = at(first, gain.run);
            let since = gain.first.and_then(|change| {
                let place = before.places.get(number).copied().flatten();
                let place = place.and_then(|(array, row)| Some((before.arrays.get(array)?, row)));
                let was = place.and_then(|(array, row)| at(array.as_primitive_opt::<T>()?, row));
                of(change.rule, was, begin)
            });
            let later = if gain.later { of(Rule::Subtract, begin, at(last, gain.run)) } else { None };
            match (since, later) {
                (Some(a), Some(b)) => Some(plus(a, b)),
                (a, b) => a.or(b),
            }
        };
        Arc::new(gains.iter().enumerate().map(sum).collect::<PrimitiveArray<T>>())
    }
}

/// The values of a column in the rows before.
struct Before {
    arrays: Vec<ArrayRef>,
    /// For each gain the array and the row in it.
    places: Vec<Option<(usize, u32)>>,
}

impl Before {
    fn of(gains: &[Gain], column: usize) -> Result<Self, DataFusionError> {
        let mut arrays: Vec<ArrayRef> = Vec::new();
        let mut numbers: HashMap<(*const Decoded, bool), usize> = HashMap::new();
        let mut places = Vec::with_capacity(gains.len());
        for gain in gains {
            let Some(before) = &gain.before else {
                places.push(None);
                continue;
            };
            let ends_its_run =
                before.chunk.keys.runs.get(before.run as usize).is_some_and(|run| run.end == before.row + 1);
            let noted = ends_its_run && before.chunk.has_noted();
            let place = match numbers.get(&(Arc::as_ptr(&before.chunk), noted)) {
                Some(&place) => place,
                None => {
                    let ends = if noted { before.chunk.end_values(column)? } else { None };
                    let array = match ends {
                        Some([_, last]) => last,
                        None if noted => return Err(DataFusionError::Internal("no ends of a counter".to_owned())),
                        None => Arc::clone(before.chunk.column(column)?),
                    };
                    arrays.push(array);
                    numbers.insert((Arc::as_ptr(&before.chunk), noted), arrays.len() - 1);
                    arrays.len() - 1
                }
            };
            places.push(Some((place, if noted { before.run } else { before.row })));
        }
        Ok(Self { arrays, places })
    }
}

impl Decoded {
    /// A key column as the directory of keys has it: a row for each key.
    fn directory_column(&self, column: usize) -> Result<Option<ArrayRef>, DataFusionError> {
        let Some(frame) = self.whole_block() else { return Ok(None) };
        let Some(directory) = frame.head().keys(frame.rest()).map_err(corrupt)? else { return Ok(None) };
        let distinct = |position: usize| {
            let found = directory.columns().iter().find(|(at, _)| *at == position);
            Ok(found.map(|(_, data)| data.clone()))
        };
        read_as(frame.schema(), &self.shape, column, directory.len(), distinct)
    }
}

//! What is learned of a chunk by looking at all of it: which rows belong to one
//! key, which of them differ from the row before.
//!
//! Looking costs more than all else that a query does with a chunk, and a chunk
//! never changes; so facts are kept, see [`fact_cache`](super::fact_cache).

use std::{collections::HashSet, ops::Range, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array as _, ArrayRef, AsArray as _},
        datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType},
    },
    common::DataFusionError,
};
use pganalytics_core::{
    Mask,
    frame::{BlockFacts, Frame, KeyDirectory},
    increase::mark,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{
    arrays::{corrupt, read_column},
    decoded::Decoded,
    narrow::{directory_of, hashed},
    shape::Shape,
};

/// A key: a hash of its values, long enough to stand for them.
pub(super) type Key = u128;

/// All rows of one key, in order of their scrapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) key: Key,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Which rows belong to one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct KeyFacts {
    /// For each row, in the order of runs, its place in the chunk; `None` when
    /// the chunk is in that order already.
    pub(super) order: Option<Box<[u32]>>,
    pub(super) runs: Box<[Run]>,
    pub(super) scrape_of_row: Box<[u32]>,
    pub(super) gone: Option<Mask>,
}

/// Of which rows the scrapes are learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Rows {
    All,
    /// Of none: the block has noted those of the first and the last row of each key, and no key
    /// was gone.
    Ends,
}

impl KeyFacts {
    /// Looks at the keys of a frame: at each once, where it has a directory of
    /// them.
    pub(super) fn of_frame(
        frame: &Frame,
        shape: &Shape,
        known: Option<Arc<KeyDirectory>>,
    ) -> Result<Self, DataFusionError> {
        match Self::of_directory(frame, shape, Rows::All, known)? {
            Some(facts) => Ok(facts),
            None => Self::of_rows(frame, shape),
        }
    }

    /// Looks at the key of each row.
    pub(super) fn of_rows(frame: &Frame, shape: &Shape) -> Result<Self, DataFusionError> {
        let columns =
            shape.keys.iter().map(|&column| read_column(frame, shape, column)).collect::<Result<Vec<_>, _>>()?;
        let keys = keys_of(shape, &columns, frame.rows());
        Ok(Self::of_keys(&keys, frame.scrape_of_row().map_err(corrupt)?, frame.gone().map_err(corrupt)?))
    }

    /// `None` where there is no directory, or rows are not what it promises: each
    /// key once, its scrapes ascending.
    pub(super) fn of_directory(
        frame: &Frame,
        shape: &Shape,
        rows: Rows,
        known: Option<Arc<KeyDirectory>>,
    ) -> Result<Option<Self>, DataFusionError> {
        let Some(directory) = directory_of(frame, known)? else { return Ok(None) };
        let all = (0..directory.len()).filter_map(|key| u32::try_from(key).ok()).collect();
        // `None`: a key column was none when the block was made.
        let Some(keys) = hashed(frame.schema(), shape, &directory, all)? else { return Ok(None) };
        let run = |(at, key): (usize, Key)| {
            let rows = directory.rows(at);
            Some(Run { key, start: u32::try_from(rows.start).ok()?, end: u32::try_from(rows.end).ok()? })
        };
        let Some(runs) = keys.into_iter().enumerate().map(run).collect::<Option<Box<[Run]>>>() else { return Ok(None) };
        if rows == Rows::Ends {
            return Ok(Some(Self { order: None, runs, scrape_of_row: Box::default(), gone: None }));
        }
        let scrapes = frame.scrape_of_row().map_err(corrupt)?;
        if !are_each_of_one_key(&runs, &scrapes) {
            return Ok(None);
        }
        let gone = frame.gone().map_err(corrupt)?;
        Ok(Some(Self { order: None, runs, scrape_of_row: scrapes.into(), gone }))
    }

    /// Each row for itself: rows of events take nobody's place.
    pub(super) fn of_events(frame: &Frame) -> Result<Self, DataFusionError> {
        let gone = frame.gone().map_err(corrupt)?;
        let runs = (0..).zip(0..frame.rows()).map(|(row, _)| Run { key: Key::from(row), start: row, end: row + 1 });
        let scrape_of_row = frame.scrape_of_row().map_err(corrupt)?.into();
        Ok(Self { order: None, runs: runs.collect(), scrape_of_row, gone })
    }

    /// Puts rows in the order of runs. Of rows of one key in one scrape only
    /// the last stays.
    pub(super) fn of_keys(keys: &[Key], scrapes: Vec<u32>, gone: Option<Mask>) -> Self {
        if let Some(runs) = runs_as_they_are(keys, &scrapes) {
            return Self { order: None, runs, scrape_of_row: scrapes.into(), gone };
        }
        let mut rows: Vec<(Key, u32, u32)> =
            (0..).zip(keys.iter().zip(&scrapes)).map(|(row, (&key, &scrape))| (key, scrape, row)).collect();
        rows.sort_unstable();
        let superseded = |pair: &[(Key, u32, u32)]| matches!(pair, [a, b] if (a.0, a.1) == (b.0, b.1));
        let mut kept: Vec<(Key, u32, u32)> = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            if !rows.get(at..at + 2).is_some_and(superseded) {
                kept.push(*row);
            }
        }
        let mut runs: Vec<Run> = Vec::new();
        for (row, (key, _, _)) in (0..).zip(&kept) {
            match runs.last_mut() {
                Some(run) if run.key == *key => run.end = row + 1,
                _ => runs.push(Run { key: *key, start: row, end: row + 1 }),
            }
        }
        let order: Box<[u32]> = kept.iter().map(|(_, _, row)| *row).collect();
        let gone = gone.map(|gone| gone.take(&order)).filter(Mask::any);
        let scrape_of_row = kept.iter().map(|(_, scrape, _)| *scrape).collect();
        Self { order: Some(order), runs: runs.into(), scrape_of_row, gone }
    }

    /// Whether a row only says that its key is gone.
    pub(super) fn is_gone(&self, row: u32) -> bool {
        self.gone.as_ref().is_some_and(|gone| gone.get(row as usize))
    }

    pub(super) fn bytes(&self) -> usize {
        let order = self.order.as_ref().map_or(0, |order| order.len() * 4);
        let gone = self.gone.as_ref().map_or(0, |gone| gone.len() / 8);
        order + gone + self.scrape_of_row.len() * 4 + self.runs.len() * size_of::<Run>()
    }
}

/// The runs, when the rows are in their order: each key in one place, its
/// scrapes ascending. Compacted blocks and good batches are.
fn runs_as_they_are(keys: &[Key], scrapes: &[u32]) -> Option<Box<[Run]>> {
    let mut runs: Vec<Run> = Vec::new();
    let mut last_scrape = 0;
    for (row, (key, scrape)) in (0..).zip(keys.iter().zip(scrapes)) {
        match runs.last_mut() {
            Some(run) if run.key == *key => {
                if *scrape <= last_scrape {
                    return None;
                }
                run.end = row + 1;
            }
            _ => runs.push(Run { key: *key, start: row, end: row + 1 }),
        }
        last_scrape = *scrape;
    }
    let mut seen = HashSet::with_capacity(runs.len());
    runs.iter().all(|run| seen.insert(run.key)).then(|| runs.into())
}

/// Whether each run has a key of its own, and its rows are in order of their scrapes, one of each.
pub(super) fn are_each_of_one_key(runs: &[Run], scrapes: &[u32]) -> bool {
    let mut seen = HashSet::with_capacity(runs.len());
    runs.iter().all(|run| {
        let scrapes = scrapes.get(run.start as usize..run.end as usize).unwrap_or_default();
        scrapes.is_sorted_by(|a, b| a < b) && seen.insert(run.key)
    })
}

/// Two hashes with different multipliers; together they are long enough.
#[derive(Debug, Clone, Copy, Default)]
struct Lanes(u64, u64);

impl Lanes {
    fn add(&mut self, value: u64) {
        self.0 = mix(self.0 ^ value, 0x9e37_79b9_7f4a_7c15).wrapping_add(value.rotate_left(17));
        self.1 = mix(self.1 ^ value, 0xd6e8_feb8_6659_fd93).wrapping_add(value.rotate_left(41));
    }

    fn key(self) -> Key {
        let (a, b) = (mix(self.0, 0xa076_1d64_78bd_642f), mix(self.1, 0xe703_7ed1_a0b4_28db));
        u128::from(a) << 64 | u128::from(b)
    }
}

fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are wanted")]
    let folded = (product >> 64) as u64 ^ product as u64;
    folded
}

/// The keys of rows, by their key columns in the order of the shape.
pub(super) fn keys_of(shape: &Shape, columns: &[ArrayRef], rows: usize) -> Vec<Key> {
    let mut hashes = vec![Lanes::default(); rows];
    for (&column, array) in shape.keys.iter().zip(columns) {
        let name = shape.schema.columns().get(column).map_or("", |column| column.name.as_str());
        add_hashes(array, name, &mut hashes);
    }
    hashes.into_iter().map(Lanes::key).collect()
}

/// Mixes a key column into the rows' hashes. NULLs add nothing, so that a key
/// stays itself when its measurement gets another key column.
fn add_hashes(array: &ArrayRef, name: &str, hashes: &mut [Lanes]) {
    let name = xxh3_64(name.as_bytes());
    let nulls = array.logical_nulls();
    let nulls = nulls.as_ref();
    let mut each = |value: &dyn Fn(usize) -> u64| {
        for (row, hash) in hashes.iter_mut().enumerate() {
            if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                hash.add(name);
                hash.add(value(row));
            }
        }
    };
    match array.data_type() {
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>();
            each(&|row| values.value(row).cast_unsigned());
        }
        DataType::Timestamp(..) => {
            let values = array.as_primitive::<TimestampMicrosecondType>();
            each(&|row| values.value(row).cast_unsigned());
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            each(&|row| values.value(row).to_bits());
        }
        DataType::Boolean => {
            let values = array.as_boolean();
            each(&|row| u64::from(values.value(row)));
        }
        _ => {
            let Some(values) = array.as_string_view_opt() else { return };
            for (row, hash) in hashes.iter_mut().enumerate() {
                if values.is_valid(row) {
                    let text = xxh3_128(values.value(row).as_bytes());
                    hash.add(name);
                    #[expect(clippy::cast_possible_truncation, reason = "both halves are added")]
                    [text as u64, (text >> 64) as u64].into_iter().for_each(|half| hash.add(half));
                }
            }
        }
    }
}

/// What a row's values say of the row before it in its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ValueFacts {
    changed: Mask,
    fell: Mask,
    /// For each run a mark of what its first and its last row measured.
    first: Box<[u64]>,
    last: Box<[u64]>,
}

const FELL: u8 = 1;
const CHANGED: u8 = 2;

impl ValueFacts {
    /// Looks at all counters and gauges of a chunk, one after the other; each `look` is
    /// called with a column that was looked at.
    pub(super) fn of(chunk: &Decoded, mut look: impl FnMut(usize, &ArrayRef)) -> Result<Self, DataFusionError> {
        let runs = &chunk.keys.runs;
        let mut flags = vec![0_u8; chunk.keys.scrape_of_row.len()];
        let mut first = vec![0_u64; runs.len()];
        let mut last = first.clone();
        for &column in &chunk.shape.measured {
            let counter = chunk.shape.own_counters.contains(&column);
            let name = mark::of_name(chunk.shape.schema.columns().get(column).map_or("", |column| &column.name));
            chunk.look_at(column, |array| {
                compare_neighbours(array, counter, &mut flags);
                let bits = bits_of(array);
                for (run, (first, last)) in runs.iter().zip(first.iter_mut().zip(last.iter_mut())) {
                    mark::add(first, name, bits(run.start as usize));
                    mark::add(last, name, bits(run.end.saturating_sub(1) as usize));
                }
                look(column, array);
            })?;
        }
        let changed = flags.iter().map(|flags| flags & CHANGED != 0).collect();
        let fell = flags.iter().map(|flags| flags & FELL != 0).collect();
        Ok(Self { changed, fell, first: first.into(), last: last.into() })
    }

    /// What a block has noted.
    pub(super) fn of_block(facts: &BlockFacts) -> Self {
        let BlockFacts { changed, fell, first, last, .. } = facts;
        Self { changed: changed.clone(), fell: fell.clone(), first: first.clone(), last: last.clone() }
    }

    /// What it has noted of some keys, given their numbers, and of these rows.
    pub(super) fn of_part(facts: &BlockFacts, keys: &[u32], rows: &[Range<usize>]) -> Self {
        let some = |flags: &Mask| rows.iter().cloned().flatten().map(|row| flags.get(row)).collect();
        let marks = |all: &[u64]| keys.iter().map(|&key| all.get(key as usize).copied().unwrap_or_default()).collect();
        let (first, last) = (marks(&facts.first), marks(&facts.last));
        Self { changed: some(&facts.changed), fell: some(&facts.fell), first, last }
    }

    /// Whether one of the row's own counters is lower than in the row before.
    pub(super) fn fell(&self, row: u32) -> bool {
        self.fell.get(row as usize)
    }

    /// Whether a counter or gauge differs from the row before.
    pub(super) fn changed(&self, row: u32) -> bool {
        self.changed.get(row as usize)
    }

    /// A mark of what the first row of a run measured.
    pub(super) fn first(&self, run: u32) -> u64 {
        self.first.get(run as usize).copied().unwrap_or_default()
    }

    /// A mark of what the last row of a run measured.
    pub(super) fn last(&self, run: u32) -> u64 {
        self.last.get(run as usize).copied().unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> usize {
        self.changed.len() / 4 + self.first.len() * 16
    }
}

/// Marks rows that differ from the row before them; across runs it means
/// nothing and is not asked.
fn compare_neighbours(array: &ArrayRef, counter: bool, flags: &mut [u8]) {
    fn mark<T: Copy>(
        values: &[T],
        flags: &mut [u8],
        counter: bool,
        less: impl Fn(T, T) -> bool,
        bits: impl Fn(T) -> u64,
    ) {
        let flags = flags.iter_mut().skip(1);
        if counter {
            for ((&before, &now), flag) in values.iter().zip(values.iter().skip(1)).zip(flags) {
                *flag |= (u8::from(less(now, before)) * FELL) | (u8::from(bits(now) != bits(before)) * CHANGED);
            }
        } else {
            for ((&before, &now), flag) in values.iter().zip(values.iter().skip(1)).zip(flags) {
                *flag |= u8::from(bits(now) != bits(before)) * CHANGED;
            }
        }
    }
    if array.null_count() > 0 || !matches!(array.data_type(), DataType::Int64 | DataType::Float64) {
        return compare_slowly(array, counter, flags);
    }
    match array.data_type() {
        DataType::Int64 => {
            mark(array.as_primitive::<Int64Type>().values(), flags, counter, |a, b| a < b, i64::cast_unsigned);
        }
        _ => mark(array.as_primitive::<Float64Type>().values(), flags, counter, |a, b| a < b, f64::to_bits),
    }
}

fn compare_slowly(array: &ArrayRef, counter: bool, flags: &mut [u8]) {
    let bits = bits_of(array);
    let less: Box<dyn Fn(usize, usize) -> bool> = match array.data_type() {
        DataType::Int64 if counter => {
            let values = array.as_primitive::<Int64Type>();
            Box::new(move |a, b| values.value(a) < values.value(b))
        }
        DataType::Float64 if counter => {
            let values = array.as_primitive::<Float64Type>();
            Box::new(move |a, b| values.value(a) < values.value(b))
        }
        _ => Box::new(|_, _| false),
    };
    for (row, flag) in flags.iter_mut().enumerate().skip(1) {
        if bits(row) != bits(row - 1) {
            *flag |= CHANGED;
        }
        if array.is_valid(row) && array.is_valid(row - 1) && less(row, row - 1) {
            *flag |= FELL;
        }
    }
}

/// A number for each value that tells it from others; `None` for NULL.
pub(super) fn bits_of(array: &ArrayRef) -> Box<dyn Fn(usize) -> Option<u64> + '_> {
    let valid = move |row| array.is_valid(row);
    match array.data_type() {
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>();
            Box::new(move |row| valid(row).then(|| values.value(row).cast_unsigned()))
        }
        DataType::Timestamp(..) => {
            let values = array.as_primitive::<TimestampMicrosecondType>();
            Box::new(move |row| valid(row).then(|| values.value(row).cast_unsigned()))
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            Box::new(move |row| valid(row).then(|| values.value(row).to_bits()))
        }
        DataType::Boolean => {
            let values = array.as_boolean();
            Box::new(move |row| valid(row).then(|| u64::from(values.value(row))))
        }
        _ => {
            let values = array.as_string_view_opt();
            Box::new(move |row| values.filter(|_| valid(row)).map(|values| mark::of_text(values.value(row))))
        }
    }
}

#[cfg(test)]
mod unit {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_in_order_stay_as_they_are() {
        let facts = KeyFacts::of_keys(&[7, 7, 3], vec![0, 2, 1], None);
        assert_eq!(facts.order, None);
        assert_eq!(*facts.runs, [Run { key: 7, start: 0, end: 2 }, Run { key: 3, start: 2, end: 3 }]);
    }

    #[test]
    fn rows_out_of_order_are_sorted_and_the_last_of_a_scrape_stays() {
        let mut gone = Mask::unset(5);
        gone.set(4);
        let facts = KeyFacts::of_keys(&[7, 3, 7, 3, 3], vec![1, 1, 0, 0, 1], Some(gone));
        assert_eq!(facts.order.as_deref().unwrap(), [3, 4, 2, 0]);
        assert_eq!(*facts.scrape_of_row, [0, 1, 0, 1]);
        assert_eq!(*facts.runs, [Run { key: 3, start: 0, end: 2 }, Run { key: 7, start: 2, end: 4 }]);
        assert!(facts.is_gone(1) && !facts.is_gone(0));
    }
}

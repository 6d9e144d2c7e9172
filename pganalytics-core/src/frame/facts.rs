//! What a block says about its own rows, so that no reader has to look at all of
//! them: two sections that stores put behind the pages of large blocks.
//!
//! ```text
//! facts    rows that changed, rows that fell (masks, with their lengths);
//!          keys that are irregular (the same); of each key the scrape of its first
//!          row, and how many scrapes later its last one is (lists); of each
//!          key a mark of its first row (8 bytes); keys whose last row has
//!          another mark (mask); those marks (8 bytes each)
//! ends     columns (count); each: its number; for the first and the last row of each
//!          key: which are NULL (a mask, with its length; empty: none), the values
//!          (a list, with its length; of floats as `paged` has them). Integers of the last
//!          row are what they have more than those of the first
//! ```
//! Numbers are as in [`number`](super::number). Columns of `ends` are the counters that are the
//! measurement's own, and the row stamp.
//!
//! # Invariants
//! * Both say nothing that the rows do not say: a block is read the same with and without.
//! * A frame that comes from elsewhere has neither: what is stored is made from its rows.

use super::{
    FrameError,
    keys::Runs,
    mask,
    number::{Effort, decode_ints, put_int_section},
    paged,
    paged_read::Floats,
    wire::{Reader, put_slice, put_varint},
};
use crate::{
    batch::Block,
    increase::mark,
    mask::Mask,
    schema::{ColumnKind, ColumnType, Presence, Schema},
    value::{ColumnData, Values},
};

/// Their numbers among the sections.
pub(super) const FACTS: u64 = 2;
pub(super) const ENDS: u64 = 3;

/// What the rows of a block that is sorted by key say of each other. A row *before* is one of
/// the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockFacts {
    /// Rows of which a counter or gauge differs from that of the row before, and the first row
    /// of each key.
    pub changed: Mask,
    /// Rows of which one of the measurement's own counters is lower than in the row before.
    pub fell: Mask,
    /// Keys whose counters did not simply go on from their first row to their last: some fell, began
    /// anew by the row's stamp, were gone for some time, or were not always known.
    pub irregular: Mask,
    /// For each key the scrape of its first row.
    pub first_scrape: Box<[u32]>,
    /// For each key the scrape of its last row.
    pub last_scrape: Box<[u32]>,
    /// For each key a [`mark`] of what its first row measured.
    pub first: Box<[u64]>,
    /// The same of its last row.
    pub last: Box<[u64]>,
}

/// The values of a column in the first and the last row of each key.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnEnds {
    /// Its position in the schema.
    pub column: usize,
    /// In the first rows.
    pub first: ColumnData,
    /// In the last ones.
    pub last: ColumnData,
}

/// The sections of a block; none where it is not sorted by key.
pub(super) fn sections(block: &Block, effort: Effort) -> Result<Vec<(u64, Vec<u8>)>, FrameError> {
    let (schema, rows) = (block.schema(), block.rows());
    if schema.presence() != Presence::State {
        return Ok(Vec::new());
    }
    let Some(runs) = Runs::of(schema, rows) else { return Ok(Vec::new()) };
    let ends = Ends::of(&runs);
    let facts = of_block(block, &ends);
    Ok(vec![(FACTS, facts.encode(effort)?), (ENDS, encode_ends(schema, rows.columns(), &ends, effort)?)])
}

/// The first and the last row of each key.
struct Ends {
    first: Vec<u32>,
    last: Vec<u32>,
}

impl Ends {
    fn of(runs: &Runs) -> Self {
        let last = |(&first, &len): (&u32, &i64)| first + u32::try_from(len - 1).unwrap_or_default();
        let last = runs.first_rows.iter().zip(&runs.lens).map(last).collect();
        Self { first: runs.first_rows.clone(), last }
    }
}

fn is_measured(kind: ColumnKind) -> bool {
    matches!(kind, ColumnKind::Counter | ColumnKind::Gauge)
}

fn of_block(block: &Block, ends: &Ends) -> BlockFacts {
    let (schema, rows) = (block.schema(), block.rows());
    let keys = ends.first.len();
    let mut changed = vec![false; rows.len()];
    let mut fell = vec![false; rows.len()];
    let mut irregular = vec![false; keys];
    let (mut first, mut last) = (vec![0_u64; keys], vec![0_u64; keys]);
    let own: Vec<usize> = schema.own_counters().collect();
    for (at, (column, data)) in schema.columns().iter().zip(rows.columns()).enumerate() {
        if schema.row_stamp() == Some(at) || own.contains(&at) {
            mark_breaks(data, ends, schema.row_stamp() == Some(at), &mut irregular);
        }
        if !is_measured(column.kind) {
            continue;
        }
        let bits = bits_of(data);
        let name = mark::of_name(&column.name);
        for (marks, rows) in [(&mut first, &ends.first), (&mut last, &ends.last)] {
            for (mark, &row) in marks.iter_mut().zip(rows) {
                mark::add(mark, name, bits(row as usize));
            }
        }
        let mut before = bits(0);
        for (row, changed) in changed.iter_mut().enumerate().skip(1) {
            let now = bits(row);
            *changed |= now != before;
            before = now;
        }
        if own.contains(&at) {
            mark_falls(data, &mut fell);
        }
    }
    // Across keys it means nothing; so it is what takes the fewest bytes.
    for &row in &ends.first {
        for (flags, usual) in [(&mut changed, true), (&mut fell, false)] {
            if let Some(flag) = flags.get_mut(row as usize) {
                *flag = usual;
            }
        }
    }
    for (irregular, (&first, &last)) in irregular.iter_mut().zip(ends.first.iter().zip(&ends.last)) {
        let gone = |row: u32| rows.gone().is_some_and(|gone| gone.get(row as usize));
        let falls = |row: u32| fell.get(row as usize).copied().unwrap_or_default();
        *irregular |= (first..=last).any(|row| gone(row) || falls(row));
    }
    let scrapes = |rows: &[u32]| {
        let of_row = |&row: &u32| block.scrape_of_row().get(row as usize).copied().unwrap_or_default();
        rows.iter().map(of_row).collect()
    };
    BlockFacts {
        changed: changed.into_iter().collect(),
        fell: fell.into_iter().collect(),
        irregular: irregular.into_iter().collect(),
        first_scrape: scrapes(&ends.first),
        last_scrape: scrapes(&ends.last),
        first: first.into(),
        last: last.into(),
    }
}

/// Marks keys whose values of a column are NULL in some rows only, are no numbers, or, of a
/// stamp, differ.
fn mark_breaks(data: &ColumnData, ends: &Ends, is_stamp: bool, irregular: &mut [bool]) {
    let null = |row: u32| data.nulls().is_some_and(|nulls| nulls.get(row as usize));
    let bits = is_stamp.then(|| bits_of(data));
    let floats = match data.values() {
        Values::Float(values) => values.as_slice(),
        _ => &[],
    };
    if data.nulls().is_none() && bits.is_none() && floats.iter().all(|value| value.is_finite()) {
        return;
    }
    for (irregular, (&first, &last)) in irregular.iter_mut().zip(ends.first.iter().zip(&ends.last)) {
        let differs = |row: u32| {
            null(row) != null(first)
                || bits.as_ref().is_some_and(|bits| bits(row as usize) != bits(first as usize))
                || floats.get(row as usize).is_some_and(|value| !value.is_finite())
        };
        *irregular = *irregular || (first..=last).any(differs);
    }
}

fn mark_falls(data: &ColumnData, fell: &mut [bool]) {
    let null = |row: usize| data.nulls().is_some_and(|nulls| nulls.get(row));
    let mut mark = |lower: &dyn Fn(usize) -> bool| {
        for (row, fell) in fell.iter_mut().enumerate().skip(1) {
            *fell |= lower(row) && !null(row) && !null(row - 1);
        }
    };
    match data.values() {
        Values::Int(values) => mark(&|row| values.get(row) < values.get(row - 1)),
        Values::Float(values) => mark(&|row| values.get(row) < values.get(row - 1)),
        _ => {}
    }
}

/// A number for each value that tells it from others; `None` for NULL.
fn bits_of(data: &ColumnData) -> Box<dyn Fn(usize) -> Option<u64> + '_> {
    let there = move |row: usize| !data.nulls().is_some_and(|nulls| nulls.get(row));
    match data.values() {
        Values::Int(values) | Values::Timestamp(values) => {
            Box::new(move |row| values.get(row).filter(|_| there(row)).map(|value| value.cast_unsigned()))
        }
        Values::Float(values) => {
            Box::new(move |row| values.get(row).filter(|_| there(row)).map(|value| value.to_bits()))
        }
        Values::Bool(values) => Box::new(move |row| values.get(row).filter(|_| there(row)).map(|&value| value.into())),
        Values::Text(values) => Box::new(move |row| there(row).then(|| mark::of_text(values.get(row)))),
    }
}

impl BlockFacts {
    fn encode(&self, effort: Effort) -> Result<Vec<u8>, FrameError> {
        let mut out = Vec::new();
        for flags in [&self.changed, &self.fell, &self.irregular] {
            put_mask(flags, &mut out);
        }
        let first: Vec<i64> = self.first_scrape.iter().map(|&scrape| i64::from(scrape)).collect();
        let later = self.first_scrape.iter().zip(&self.last_scrape);
        let later: Vec<i64> = later.map(|(&first, &last)| i64::from(last) - i64::from(first)).collect();
        put_int_section(&first, effort, &mut out)?;
        put_int_section(&later, effort, &mut out)?;
        out.extend(self.first.iter().flat_map(|mark| mark.to_le_bytes()));
        let differs = |(first, last): (&u64, &u64)| first != last;
        put_mask(&self.first.iter().zip(&self.last).map(differs).collect(), &mut out);
        let others = self.first.iter().zip(&self.last).filter(|pair| differs(*pair));
        out.extend(others.flat_map(|(_, last)| last.to_le_bytes()));
        Ok(out)
    }

    /// Reads the facts of so many rows, keys and scrapes.
    pub(super) fn decode(bytes: &[u8], rows: usize, keys: usize, scrapes: usize) -> Result<Self, FrameError> {
        let mut reader = Reader::new("facts", bytes);
        let mut flags = |len| mask::decode(reader.slice()?, len);
        let (changed, fell, irregular) = (flags(rows)?, flags(rows)?, flags(keys)?);
        let first_scrape = decode_ints(reader.slice()?, keys)?;
        let later = decode_ints(reader.slice()?, keys)?;
        let beyond = || FrameError::malformed("facts", "a scrape that is not there");
        let number = |scrape: i64| u32::try_from(scrape).ok().filter(|&scrape| (scrape as usize) < scrapes);
        let last = first_scrape.iter().zip(later).map(|(&first, later)| number(first.checked_add(later)?));
        let last_scrape = last.collect::<Option<Box<[u32]>>>().ok_or_else(beyond)?;
        let first_scrape = first_scrape.into_iter().map(number).collect::<Option<Box<[u32]>>>().ok_or_else(beyond)?;
        let first = (0..keys).map(|_| reader.array().map(u64::from_le_bytes)).collect::<Result<Box<[u64]>, _>>()?;
        let differs = mask::decode(reader.slice()?, keys)?;
        let mut last = first.clone();
        for (key, mark) in last.iter_mut().enumerate() {
            if differs.get(key) {
                *mark = u64::from_le_bytes(reader.array()?);
            }
        }
        Ok(Self { changed, fell, irregular, first_scrape, last_scrape, first, last })
    }
}

fn put_mask(flags: &Mask, out: &mut Vec<u8>) {
    let mut section = Vec::new();
    mask::encode(flags, &mut section);
    put_slice(out, &section);
}

fn encode_ends(schema: &Schema, columns: &[ColumnData], ends: &Ends, effort: Effort) -> Result<Vec<u8>, FrameError> {
    let wanted: Vec<usize> = schema.own_counters().chain(schema.row_stamp()).collect();
    let mut out = Vec::new();
    put_varint(&mut out, wanted.len() as u64);
    for column in wanted {
        put_varint(&mut out, column as u64);
        let Some(data) = columns.get(column) else { continue };
        let (first, last) = (data.take(&ends.first), data.take(&ends.last));
        let last = moved(last, &first, i64::wrapping_sub);
        for data in [&first, &last] {
            let mut section = Vec::new();
            put_values(data, effort, &mut section)?;
            put_slice(&mut out, &section);
        }
    }
    Ok(out)
}

/// Integers as what they have more than others, or the reverse.
fn moved(data: ColumnData, by: &ColumnData, step: impl Fn(i64, i64) -> i64) -> ColumnData {
    let (mut values, nulls) = data.into_parts();
    if let (Values::Int(values) | Values::Timestamp(values), Values::Int(by) | Values::Timestamp(by)) =
        (&mut values, by.values())
    {
        values.iter_mut().zip(by).for_each(|(value, &by)| *value = step(*value, by));
    }
    match nulls {
        Some(nulls) => ColumnData::with_nulls(values, nulls),
        None => ColumnData::new(values),
    }
}

fn put_values(data: &ColumnData, effort: Effort, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let mut nulls = Vec::new();
    if let Some(mask) = data.nulls() {
        mask::encode(mask, &mut nulls);
    }
    put_slice(out, &nulls);
    match data.values() {
        Values::Int(values) | Values::Timestamp(values) => put_int_section(values, effort, out),
        Values::Float(values) => {
            // Zeros are what most counters have.
            let zero = values.iter().all(|value| value.to_bits() == 0);
            out.push(u8::from(!zero));
            if !zero {
                let coded = paged::encode_floats(values, &[values.len()], effort)?;
                out.push(coded.code);
                out.extend_from_slice(&coded.meta);
                coded.pages.iter().for_each(|page| out.extend_from_slice(page));
            }
            Ok(())
        }
        // Nothing else counts.
        _ => Ok(()),
    }
}

fn read_values(bytes: &[u8], ty: ColumnType, keys: usize) -> Result<ColumnData, FrameError> {
    let mut reader = Reader::new("ends", bytes);
    let nulls = reader.slice()?;
    let nulls = if nulls.is_empty() { None } else { Some(mask::decode(nulls, keys)?) };
    let values = match ty {
        ColumnType::Int => Values::Int(decode_ints(reader.slice()?, keys)?),
        ColumnType::Timestamp => Values::Timestamp(decode_ints(reader.slice()?, keys)?),
        ColumnType::Float if reader.byte()? == 0 => Values::Float(vec![0.0; keys]),
        ColumnType::Float => {
            let code = reader.byte()?;
            let (mut floats, page) = Floats::open(code, reader.rest(), 1)?;
            let mut values = Vec::new();
            floats.read(0, page, keys, &mut values)?;
            Values::Float(values)
        }
        ColumnType::Text | ColumnType::Bool => return Err(FrameError::malformed("ends", "a column that never counts")),
    };
    Ok(match nulls.filter(Mask::any) {
        Some(nulls) => ColumnData::with_nulls(values, nulls),
        None => ColumnData::new(values),
    })
}

/// Reads the ends of these columns, those that are there, of so many keys.
pub(super) fn decode_ends(
    bytes: &[u8],
    schema: &Schema,
    keys: usize,
    wanted: &dyn Fn(usize) -> bool,
) -> Result<Vec<ColumnEnds>, FrameError> {
    let mut reader = Reader::new("ends", bytes);
    let mut all = Vec::new();
    for _ in 0..reader.count("columns", schema.columns().len())? {
        let column = reader.count("columns", schema.columns().len())?;
        let (first, last) = (reader.slice()?, reader.slice()?);
        if let Some(shape) = schema.columns().get(column).filter(|_| wanted(column)) {
            let first = read_values(first, shape.ty, keys)?;
            let last = moved(read_values(last, shape.ty, keys)?, &first, i64::wrapping_add);
            all.push(ColumnEnds { column, first, last });
        }
    }
    Ok(all)
}

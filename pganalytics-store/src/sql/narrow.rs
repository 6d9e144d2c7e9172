//! A filter over key columns is answered by a block's directory of keys, and of
//! the other columns only the pages are decoded in which those keys have rows.

use std::{ops::Range, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, UInt32Array, new_null_array},
        buffer::BooleanBuffer,
        compute::take,
        datatypes::DataType,
    },
    common::DataFusionError,
};
use pganalytics_core::{
    ColumnData, Mask, Schema,
    frame::{Frame, FrameHead, KeyDirectory, PAGE_ROWS},
};

use super::{
    arrays::{corrupt, read_as},
    facts::{Key, KeyFacts, Run, are_each_of_one_key, keys_of},
    reader::passes,
    rows::ColumnSource,
    shape::{Shape, arrow_type},
    table::Filter,
};

/// Of a block of fewer rows all is decoded. The random lives of the tests are
/// short, and go this way all the same.
pub(super) const FEW_ROWS: usize = if cfg!(test) { 2 } else { 2 * PAGE_ROWS };
/// Where more than this share of the rows is asked for all are decoded: pages
/// would hold one of them anyway, and what is learned of the block is kept.
const MOST_SHARE: usize = 4;

/// Some rows of a block, those of some keys.
pub(super) struct Part {
    frame: Frame,
    spans: Vec<Span>,
    rows: usize,
    /// The keys' numbers in the block, and the rows of each.
    pub(super) keys: Vec<u32>,
    pub(super) ranges: Vec<Range<usize>>,
}

/// Rows in neighbouring pages.
pub(super) struct Span {
    pub(super) pages: Range<usize>,
    /// Their places in those pages.
    rows: Vec<u32>,
}

/// The part of a block that passes a filter over keys, and which of its rows
/// belong to one key. `None` where narrowing is not worth it, or not possible:
/// the block has no directory, or not one to go by.
pub(super) fn narrow(
    frame: &Frame,
    shape: &Shape,
    filter: &Filter,
    known: Option<Arc<KeyDirectory>>,
) -> Result<Option<(Part, KeyFacts)>, DataFusionError> {
    if filter.all.is_empty() || frame.rows() < FEW_ROWS {
        return Ok(None);
    }
    let Some(directory) = directory_of(frame, known)? else { return Ok(None) };
    let Some(wanted) = wanted_keys(frame.schema(), shape, filter, &directory)? else { return Ok(None) };
    let (wanted, ranges) = ranges_of(&directory, &wanted);
    if !worth_it(frame.head(), &ranges) {
        return Ok(None);
    }
    let part = Part::new(frame, wanted, ranges);
    let Some(keys) = hashed(frame.schema(), shape, &directory, part.keys.clone())? else { return Ok(None) };
    let scrapes = part.scrapes()?;
    let mut start = 0;
    let run = |(key, rows): (&Key, &Range<usize>)| {
        let end = start + u32::try_from(rows.len()).ok()?;
        let run = Run { key: *key, start, end };
        start = end;
        Some(run)
    };
    let Some(runs) = keys.iter().zip(&part.ranges).map(run).collect::<Option<Box<[Run]>>>() else { return Ok(None) };
    if !are_each_of_one_key(&runs, &scrapes) {
        return Ok(None);
    }
    let gone = part.gone()?;
    Ok(Some((part, KeyFacts { order: None, runs, scrape_of_row: scrapes.into(), gone })))
}

/// The directory of keys, unless it is known.
pub(super) fn directory_of(
    frame: &Frame,
    known: Option<Arc<KeyDirectory>>,
) -> Result<Option<Arc<KeyDirectory>>, DataFusionError> {
    match known {
        Some(known) => Ok(Some(known)),
        None => Ok(frame.head().keys(frame.rest()).map_err(corrupt)?.map(Arc::new)),
    }
}

/// The numbers of wanted keys, and the rows of each.
pub(super) fn ranges_of(directory: &KeyDirectory, wanted: &BooleanBuffer) -> (Vec<u32>, Vec<Range<usize>>) {
    let wanted: Vec<u32> = wanted.set_indices().filter_map(|key| u32::try_from(key).ok()).collect();
    let ranges = wanted.iter().map(|&key| directory.rows(key as usize)).collect();
    (wanted, ranges)
}

/// Whether so few rows are asked for that their pages are read, and not all.
pub(super) fn worth_it(head: &FrameHead, ranges: &[Range<usize>]) -> bool {
    ranges.iter().map(Range::len).sum::<usize>() * MOST_SHARE <= head.rows()
}

/// A key column of the directory; `None` when the block knows it as no key.
fn key_column(
    schema: &Schema,
    shape: &Shape,
    directory: &KeyDirectory,
    column: usize,
) -> Result<Option<ArrayRef>, DataFusionError> {
    let distinct = |position: usize| {
        let found = directory.columns().iter().find(|(at, _)| *at == position);
        Ok(found.map(|(_, data)| data.clone()))
    };
    read_as(schema, shape, column, directory.len(), distinct)
}

pub(super) fn wanted_keys(
    schema: &Schema,
    shape: &Shape,
    filter: &Filter,
    directory: &KeyDirectory,
) -> Result<Option<BooleanBuffer>, DataFusionError> {
    let mut columns = Vec::with_capacity(filter.columns.len());
    for column in &filter.columns {
        if let ColumnSource::Stored(column) = column {
            let Some(array) = key_column(schema, shape, directory, *column)? else { return Ok(None) };
            columns.push(array);
        }
    }
    passes(filter, columns, directory.len())
}

/// The hashes of some keys.
pub(super) fn hashed(
    schema: &Schema,
    shape: &Shape,
    directory: &KeyDirectory,
    wanted: Vec<u32>,
) -> Result<Option<Vec<Key>>, DataFusionError> {
    let wanted = UInt32Array::from(wanted);
    let mut columns = Vec::with_capacity(shape.keys.len());
    for &column in &shape.keys {
        let Some(array) = key_column(schema, shape, directory, column)? else { return Ok(None) };
        columns.push(take(&array, &wanted, None)?);
    }
    Ok(Some(keys_of(shape, &columns, wanted.len())))
}

/// The pages that these rows are in.
pub(super) fn spans_of(head: &FrameHead, ranges: &[Range<usize>]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for rows in ranges.iter().filter(|rows| !rows.is_empty()) {
        let pages = head.pages_of(rows);
        let span = match spans.last_mut() {
            Some(last) if pages.start <= last.pages.end => {
                last.pages.end = last.pages.end.max(pages.end);
                last
            }
            _ => {
                spans.push(Span { pages, rows: Vec::new() });
                let Some(last) = spans.last_mut() else { continue };
                last
            }
        };
        let first = span.pages.start * PAGE_ROWS;
        span.rows.extend(rows.clone().filter_map(|row| u32::try_from(row - first).ok()));
    }
    spans
}

impl Part {
    fn new(frame: &Frame, keys: Vec<u32>, ranges: Vec<Range<usize>>) -> Self {
        let spans = spans_of(frame.head(), &ranges);
        let rows = ranges.iter().map(Range::len).sum();
        Self { frame: frame.clone(), spans, rows, keys, ranges }
    }

    /// A column, in the order of the part's rows.
    pub(super) fn column(&self, shape: &Shape, column: usize) -> Result<ArrayRef, DataFusionError> {
        let read = |position: usize| {
            let mut all: Option<ColumnData> = None;
            for span in &self.spans {
                let data = self.frame.head().pages_of_column(position, span.pages.clone(), self.frame.rest());
                let data = data.map_err(corrupt)?.take(&span.rows);
                match &mut all {
                    None => all = Some(data),
                    Some(all) => all.append(&data).map_err(|_| {
                        DataFusionError::ResourcesExhausted("more than 4 GiB of text in a column".to_owned())
                    })?,
                }
            }
            Ok(all)
        };
        let array = read_as(self.frame.schema(), shape, column, self.rows, read)?;
        let ty = shape.schema.columns().get(column).map_or(DataType::Null, |column| arrow_type(column.ty));
        Ok(array.unwrap_or_else(|| new_null_array(&ty, 0)))
    }

    fn scrapes(&self) -> Result<Vec<u32>, DataFusionError> {
        let mut all = Vec::with_capacity(self.rows);
        for span in &self.spans {
            let scrapes = self.frame.head().scrapes_of_pages(span.pages.clone(), self.frame.rest());
            let scrapes = scrapes.map_err(corrupt)?;
            all.extend(span.rows.iter().map(|&row| scrapes.get(row as usize).copied().unwrap_or_default()));
        }
        Ok(all)
    }

    fn gone(&self) -> Result<Option<Mask>, DataFusionError> {
        let mut all = Mask::default();
        for span in &self.spans {
            let gone = self.frame.head().gone_of_pages(span.pages.clone(), self.frame.rest());
            let gone = gone.map_err(corrupt)?;
            for &row in &span.rows {
                all.push(gone.as_ref().is_some_and(|gone| gone.get(row as usize)));
            }
        }
        Ok(Some(all).filter(Mask::any))
    }

    /// The block that it is a part of.
    pub(super) fn frame(&self) -> &Frame {
        &self.frame
    }
}

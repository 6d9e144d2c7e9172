//! What single pages promise, on blocks of several.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    batch::Block,
    schema::ColumnKind,
    testing::{blocks, same_block},
    value::{ColumnData, Value},
};

fn parse(bytes: &[u8]) -> Result<Frame, FrameError> {
    Frame::parse(Bytes::copy_from_slice(bytes), &Limits::default())
}

/// A block of so many rows that they fill several pages, some sorted by key.
fn large_blocks() -> impl Strategy<Value = Block> {
    (blocks(), 0_usize..4, any::<u64>(), any::<bool>()).prop_filter_map(
        "it has rows",
        |(block, pages, seed, sorted)| {
            if block.rows().is_empty() {
                return None;
            }
            let count = (pages * PAGE_ROWS + (seed % 700) as usize).max(1);
            let row = |number: usize| (seed | 1).wrapping_mul(number as u64 + 1) >> 32;
            let mut rows: Vec<u32> =
                (0..count).map(|number| (row(number) % block.rows().len() as u64) as u32).collect();
            if sorted {
                let keys = block.schema().positions_of(ColumnKind::Key).map(|at| &block.rows().columns()[at]);
                let keys: Vec<&ColumnData> = keys.collect();
                rows.sort_by(|&a, &b| keys::compare(&keys, a as usize, b as usize));
            }
            let scrapes = rows.iter().map(|&row| block.scrape_of_row()[row as usize]).collect();
            let (schema, source) = (Arc::clone(block.schema()), block.source().clone());
            Block::new(schema, source, block.scrapes().to_vec(), scrapes, block.rows().take(&rows)).ok()
        },
    )
}

fn slice(data: &ColumnData, rows: std::ops::Range<usize>) -> ColumnData {
    data.take(&rows.map(|row| row as u32).collect::<Vec<_>>())
}

fn same_values(a: &ColumnData, b: &ColumnData) -> bool {
    let bits = |value: Value<'_>| match value {
        Value::Float(value) => format!("{:x}", value.to_bits()),
        other => format!("{other:?}"),
    };
    a.len() == b.len() && (0..a.len()).all(|row| bits(a.get(row)) == bits(b.get(row)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn large_blocks_come_back_and_single_pages_equal_the_whole(block in large_blocks(), some in any::<prop::sample::Index>()) {
        let bytes = Bytes::from(encode_block(&block).unwrap());
        let frame = parse(&bytes).unwrap();
        prop_assert!(same_block(&frame.to_block().unwrap(), &block));
        // Only what the head names is ever asked for.
        let len = FrameHead::len_of(&bytes[..FrameHead::PREFIX]).unwrap();
        let known = |_| Some(Arc::clone(block.schema()));
        let head = FrameHead::parse(bytes.slice(..len), &Limits::default(), &known).unwrap();
        prop_assert_eq!(head.decoded_bytes(), decoded_bytes(&bytes).unwrap());
        let page = some.index(head.pages());
        let rows = page * PAGE_ROWS..head.rows().min((page + 1) * PAGE_ROWS);
        for (at, whole) in block.rows().columns().iter().enumerate() {
            let only = Only { bytes: &bytes, ranges: vec![head.ranges(at, &(page..page + 1)), head.key_ranges()] };
            let data = head.pages_of_column(at, page..page + 1, &only).unwrap();
            prop_assert!(same_values(&data, &slice(whole, rows.clone())));
            let part = rows.start + some.index(rows.len())..rows.end;
            let data = head.rows_of_column(at, part.clone(), &only).unwrap();
            prop_assert!(same_values(&data, &slice(whole, part)));
        }
        prop_assert_eq!(head.scrapes_of_pages(page..page + 1, &bytes).unwrap(), &block.scrape_of_row()[rows.clone()]);
        let gone: Vec<bool> = rows.clone().map(|row| block.rows().is_gone(row)).collect();
        let read = head.gone_of_pages(page..page + 1, &bytes).unwrap();
        prop_assert_eq!(read.is_some(), gone.contains(&true));
        prop_assert!(gone.iter().enumerate().all(|(row, gone)| read.as_ref().is_some_and(|read| read.get(row)) == *gone));
    }

    #[test]
    fn the_directory_finds_the_rows_of_each_key(block in large_blocks()) {
        let frame = parse(&encode_block(&block).unwrap()).unwrap();
        let Some(keys) = frame.head().keys(frame.bytes()).unwrap() else { return Ok(()) };
        let mut next = 0;
        for key in 0..keys.len() {
            prop_assert_eq!(keys.rows(key).start, next);
            next = keys.rows(key).end;
            let values: Vec<(usize, Value<'_>)> = keys.columns().iter().map(|(at, data)| (*at, data.get(key))).collect();
            for row in keys.rows(key) {
                for (at, data) in keys.columns() {
                    let (stored, row) = (data.take(&[key as u32]), block.rows().columns()[*at].take(&[row as u32]));
                    prop_assert!(same_values(&stored, &row));
                }
            }
            let nan = values.iter().any(|(_, value)| matches!(value, Value::Float(value) if value.is_nan()));
            prop_assert!(nan || keys.find(&values).contains(&key));
        }
        prop_assert_eq!(next, block.rows().len());
    }

    #[test]
    fn a_flipped_bit_costs_its_page_and_no_other(block in large_blocks(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let good = Bytes::from(encode_block(&block).unwrap());
        let whole = parse(&good).unwrap();
        let mut bytes = good.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let bytes = Bytes::from(bytes);
        let Ok(frame) = parse(&bytes) else { return Ok(()) };
        let len = FrameHead::len_of(&good[..FrameHead::PREFIX]).unwrap();
        prop_assert!(at >= len && at < whole.without_schema().len(), "damage of the head or the schema was not found");
        prop_assert!(frame.verify().is_err());
        let head = frame.head();
        let mut hit = 0;
        for column in 0..block.rows().columns().len() {
            for page in 0..head.pages() {
                let read = head.pages_of_column(column, page..page + 1, &bytes);
                let mut needed = vec![head.ranges(column, &(page..page + 1))];
                if block.schema().columns()[column].kind == ColumnKind::Key {
                    needed.push(head.key_ranges());
                }
                if needed.iter().any(|range| range.contains(&at)) {
                    hit += usize::from(read.is_err());
                    // Of a key column another part of the directory may be hit.
                    prop_assert!(read.is_err() || needed.len() == 2);
                } else {
                    let rows = page * PAGE_ROWS..head.rows().min((page + 1) * PAGE_ROWS);
                    prop_assert!(same_values(&read.unwrap(), &slice(&block.rows().columns()[column], rows)));
                }
            }
        }
        prop_assert!(hit > 0 || frame.scrape_of_row().is_err() || frame.gone().is_err());
    }

    #[test]
    fn sections_that_nobody_knows_are_skipped_and_their_damage_is_found(
        block in large_blocks(),
        number in 100_u64..1000,
        section in vec(any::<u8>(), 1..50),
    ) {
        let mut bytes = encode::encode_with_section(&block, number, &section).unwrap();
        let frame = parse(&bytes).unwrap();
        prop_assert!(same_block(&frame.to_block().unwrap(), &block));
        frame.verify().unwrap();
        // It stands at the end of the pages, or of the head.
        let end = frame.without_schema().len() - 5;
        bytes[end] ^= 1;
        prop_assert!(parse(&bytes).and_then(|frame| frame.verify()).is_err());
    }

    #[test]
    fn a_cut_block_is_an_error(block in large_blocks(), at in any::<prop::sample::Index>()) {
        let bytes = encode_block(&block).unwrap();
        prop_assert!(parse(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn changed_pages_under_good_checksums_do_no_harm(
        block in large_blocks(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let good = Bytes::from(encode_block(&block).unwrap());
        let frame = parse(&good).unwrap();
        let head = frame.head();
        for column in 0..block.rows().columns().len() {
            for page in 0..head.pages() {
                let range = head.ranges(column, &(page..page + 1));
                if range.is_empty() {
                    continue;
                }
                let mut bytes = good.to_vec();
                let body = range.start..range.end - 4;
                for (at, byte) in &changes {
                    bytes[range.start + at.index(body.len())] = *byte;
                }
                let checksum = crc32c::crc32c(&bytes[body.clone()]);
                bytes[body.end..range.end].copy_from_slice(&checksum.to_le_bytes());
                let _ = head.pages_of_column(column, page..page + 1, &Bytes::from(bytes));
            }
        }
    }
}

/// A source that has some ranges only.
struct Only<'a> {
    bytes: &'a Bytes,
    ranges: Vec<std::ops::Range<usize>>,
}

impl FrameBytes for Only<'_> {
    fn bytes(&self, range: std::ops::Range<usize>) -> Result<Bytes, FrameError> {
        let there = self.ranges.iter().any(|there| there.start <= range.start && range.end <= there.end);
        assert!(there, "{range:?} is not in {:?}", self.ranges);
        self.bytes.bytes(range)
    }
}

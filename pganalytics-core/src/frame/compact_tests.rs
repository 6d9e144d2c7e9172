//! Compaction against a naive model: the state after each scrape is the same
//! before and after.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    batch::{Batch, Block, Scrape, ScrapeClock, ScrapeKind},
    epoch::{CounterFamily, Epoch},
    id::{InstanceId, MeasurementName, ServerId},
    rows::{Rows, RowsBuilder},
    schema::{Column, ColumnKind, ColumnType, Presence, Schema},
    source::Source,
    testing::{blocks, scrapes},
    time::Timestamp,
    value::Value,
};

/// What a scrape says of a key: a value, or that it is gone.
type Reported = BTreeMap<u8, Option<Option<u8>>>;

#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) keyframe: bool,
    reported: Reported,
}

pub(super) fn visits() -> impl Strategy<Value = Vec<Visit>> {
    let reported =
        proptest::collection::btree_map(0_u8..5, option::weighted(0.85, option::weighted(0.9, 0_u8..3)), 0..6);
    let visit = (prop::bool::weighted(0.3), reported).prop_map(|(keyframe, mut reported)| {
        if keyframe {
            reported.retain(|_, value| value.is_some());
        }
        Visit { keyframe, reported }
    });
    vec(visit, 1..14)
}

pub(super) fn schema(presence: Presence) -> Arc<Schema> {
    let columns = vec![
        Column::new("name", ColumnKind::Key, ColumnType::Text),
        Column::new("value", ColumnKind::Gauge, ColumnType::Float),
        Column::new("number", ColumnKind::Key, ColumnType::Int),
        Column::new("twice", ColumnKind::Counter, ColumnType::Int),
    ];
    let name = MeasurementName::new("m_model").unwrap();
    Arc::new(Schema::new(name, CounterFamily::None, columns).unwrap().with_presence(presence))
}

fn source(database: &str) -> Source {
    let server_id = ServerId::of_cluster(1);
    let instance_id = InstanceId::of_address(server_id, "a");
    Source { server_id, instance_id, server: "a".into(), database: Some(database.into()) }
}

fn frame(schema: &Arc<Schema>, at: usize, visit: &Visit) -> Frame {
    let mut rows = RowsBuilder::new(schema);
    for (key, reported) in &visit.reported {
        // Two keys share a name, and two a number.
        let name = format!("key {}", key / 2);
        let number = Value::Int(i64::from(key % 2));
        match reported {
            None => rows.push_gone(&[Value::Text(&name), Value::Null, number, Value::Null]).unwrap(),
            Some(value) => {
                let float =
                    value.map_or(Value::Null, |value| Value::Float(if value == 2 { f64::NAN } else { value.into() }));
                let twice = value.map_or(Value::Null, |value| Value::Int(i64::from(value) * 2));
                rows.push(&[Value::Text(&name), float, number, twice]).unwrap();
            }
        }
    }
    let scrape = Scrape {
        collected_at: Timestamp::from_secs(1000 + 60 * at as i64),
        interval_micros: 60_000_000,
        kind: if visit.keyframe { ScrapeKind::Keyframe } else { ScrapeKind::Delta },
        epoch: Epoch::default(),
        clock: ScrapeClock::default(),
    };
    let batch = Batch { schema: Arc::clone(schema), source: source("d"), scrape, rows: rows.finish() };
    Frame::parse(encode(&batch).unwrap().into(), &Limits::default()).unwrap()
}

pub(super) fn frames(schema: &Arc<Schema>, visits: &[Visit]) -> Vec<Frame> {
    visits.iter().enumerate().map(|(at, visit)| frame(schema, at, visit)).collect()
}

/// The state after each visit, by the words of the model alone.
pub(super) fn expected(visits: &[Visit]) -> Vec<BTreeMap<u8, Option<u8>>> {
    let mut state = BTreeMap::new();
    let after = |visit: &Visit| {
        if visit.keyframe {
            state.clear();
        }
        for (key, reported) in &visit.reported {
            match reported {
                Some(value) => state.insert(*key, *value),
                None => state.remove(key),
            };
        }
        state.clone()
    };
    visits.iter().map(after).collect()
}

/// The key of a row, as the model numbers it. Keys are in the order of numbers.
fn key_of(rows: &Rows, row: usize) -> u8 {
    let (Value::Text(name), Value::Int(number)) = (rows.get(row, 0), rows.get(row, 2)) else { panic!("no key") };
    name.strip_prefix("key ").unwrap().parse::<u8>().unwrap() * 2 + u8::try_from(number).unwrap()
}

/// The state after each scrape of a block: a row that is missing is as it was.
pub(super) fn expand(block: &Block) -> Vec<BTreeMap<u8, Option<u8>>> {
    let rows = block.rows();
    let mut state = BTreeMap::new();
    let mut states = Vec::new();
    for scrape in 0..block.scrapes().len() {
        for row in (0..rows.len()).filter(|&row| block.scrape_of_row()[row] as usize == scrape) {
            let key = key_of(rows, row);
            let value = match (rows.get(row, 1), rows.get(row, 3)) {
                (Value::Float(value), Value::Int(twice)) if value.is_nan() => Some(u8::try_from(twice / 2).unwrap()),
                (Value::Float(value), Value::Int(twice)) => {
                    assert_eq!(value * 2.0, twice as f64);
                    Some(value as u8)
                }
                _ => None,
            };
            if rows.is_gone(row) {
                state.remove(&key);
            } else {
                state.insert(key, value);
            }
        }
        states.push(state.clone());
    }
    states
}

/// The state after each scrape of blocks, by the words of the module alone: a
/// keyframe takes away the keys of which its own block had no row so far.
pub(super) fn merged(parts: &[Frame]) -> Vec<BTreeMap<u8, Option<u8>>> {
    let blocks: Vec<Block> = parts.iter().map(|part| part.to_block().unwrap()).collect();
    let states: Vec<_> = blocks.iter().map(expand).collect();
    let rows: Vec<Vec<BTreeMap<u8, bool>>> = blocks.iter().map(rows_of_scrapes).collect();
    let mut scrapes: Vec<(Scrape, usize, usize)> = Vec::new();
    for (part, block) in blocks.iter().enumerate() {
        scrapes.extend(block.scrapes().iter().enumerate().map(|(local, scrape)| (*scrape, part, local)));
    }
    scrapes.sort_by_key(|(scrape, ..)| scrape.collected_at);
    let mut state: BTreeMap<u8, Option<u8>> = BTreeMap::new();
    let after = |(scrape, part, local): (Scrape, usize, usize)| {
        if scrape.kind == ScrapeKind::Keyframe {
            state.retain(|key, _| rows[part][..=local].iter().any(|rows| rows.contains_key(key)));
        }
        for (key, gone) in &rows[part][local] {
            match gone {
                true => state.remove(key),
                false => state.insert(*key, states[part][local][key]),
            };
        }
        state.clone()
    };
    scrapes.into_iter().map(after).collect()
}

/// For each scrape the keys of its rows, and whether they are gone.
fn rows_of_scrapes(block: &Block) -> Vec<BTreeMap<u8, bool>> {
    let mut rows = vec![BTreeMap::new(); block.scrapes().len()];
    for row in 0..block.rows().len() {
        let key = key_of(block.rows(), row);
        rows[block.scrape_of_row()[row] as usize].insert(key, block.rows().is_gone(row));
    }
    rows
}

/// A row and its scrape as text, floats by their bits.
fn described(scrape: &Scrape, rows: &Rows, row: usize) -> String {
    let value = |column| match rows.get(row, column) {
        Value::Float(value) => format!("{:x}", value.to_bits()),
        other => format!("{other:?}"),
    };
    let values: Vec<String> = (0..rows.columns().len()).map(value).collect();
    format!("{scrape:?} {values:?}")
}

fn check_invariants(block: &Block) {
    let key = |row| key_of(block.rows(), row);
    for row in 1..block.rows().len() {
        let (before, now) = ((key(row - 1), block.scrape_of_row()[row - 1]), (key(row), block.scrape_of_row()[row]));
        assert!(before < now, "sorted by key, then time");
        if before.0 == now.0 {
            let same = |column| match (block.rows().get(row - 1, column), block.rows().get(row, column)) {
                (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
                (a, b) => a == b,
            };
            let gone = (block.rows().is_gone(row - 1), block.rows().is_gone(row));
            assert!(gone.0 != gone.1 || !(same(1) && same(3)), "a row that says nothing new");
        }
    }
}

pub(super) fn reread(block: &Block) -> Frame {
    Frame::parse(encode_block(block).unwrap().into(), &Limits::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_state_after_each_scrape_stays_the_same(visits in visits()) {
        let block = compact(&frames(&schema(Presence::State), &visits)).unwrap();
        check_invariants(&block);
        prop_assert_eq!(expand(&block), expected(&visits));
        prop_assert!(crate::testing::same_block(&reread(&block).to_block().unwrap(), &block));
    }

    #[test]
    fn blocks_compact_further_as_their_frames_would(visits in visits(), cuts in vec(any::<prop::sample::Index>(), 0..4)) {
        let frames = frames(&schema(Presence::State), &visits);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(frames.len())).collect();
        cuts.extend([0, frames.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let parts: Vec<Frame> =
            cuts.windows(2).map(|ends| reread(&compact(&frames[ends[0]..ends[1]]).unwrap())).collect();
        let block = compact(&parts).unwrap();
        check_invariants(&block);
        prop_assert_eq!(expand(&block), expected(&visits));
        prop_assert!(crate::testing::same_block(&block, &compact(&frames).unwrap()));
    }

    #[test]
    fn the_order_of_frames_does_not_matter(
        (sorted, shuffled) in visits().prop_flat_map(|visits| {
            let frames = frames(&schema(Presence::State), &visits);
            (Just(frames.clone()), Just(frames).prop_shuffle())
        }),
    ) {
        prop_assert!(crate::testing::same_block(&compact(&shuffled).unwrap(), &compact(&sorted).unwrap()));
    }

    #[test]
    fn blocks_that_overlap_in_time_keep_what_each_of_them_says(visits in visits(), of_part in vec(0_usize..3, 14)) {
        let frames = frames(&schema(Presence::State), &visits);
        let part = |number| {
            let frames = frames.iter().zip(&of_part).filter(|(_, part)| **part == number);
            let frames: Vec<Frame> = frames.map(|(frame, _)| frame.clone()).collect();
            (!frames.is_empty()).then(|| reread(&compact(&frames).unwrap()))
        };
        let parts: Vec<Frame> = (0..3).filter_map(part).collect();
        let block = compact(&parts).unwrap();
        check_invariants(&block);
        prop_assert_eq!(expand(&block), merged(&parts));
    }

    #[test]
    fn every_scrape_is_kept_as_it_was(visits in visits(), append in any::<bool>()) {
        let frames = frames(&schema(if append { Presence::Append } else { Presence::State }), &visits);
        let block = compact(&frames).unwrap();
        let scrapes: Vec<Scrape> = frames.iter().flat_map(Frame::scrapes).copied().collect();
        prop_assert_eq!(block.scrapes(), &scrapes);
        if append {
            prop_assert_eq!(block.rows().len(), visits.iter().map(|visit| visit.reported.len()).sum::<usize>());
        }
    }

    #[test]
    fn any_rows_of_facts_are_kept_with_their_scrape(block in blocks(), scrapes in vec(scrapes(), 1..6)) {
        // Rows of any types, as facts, spread over single scrapes.
        let (rows, schema) = (block.rows(), block.schema());
        let schema = Schema::clone(schema).with_presence(Presence::Append);
        let columns = rows.columns().to_vec();
        let rows = Rows::new(&schema, columns, None).unwrap();
        let schema = Arc::new(schema);
        let mut written = Vec::new();
        let frames: Vec<Frame> = scrapes.iter().enumerate().map(|(at, scrape)| {
            let own: Vec<u32> = (0..rows.len() as u32).filter(|row| *row as usize % scrapes.len() == at).collect();
            let rows = rows.take(&own);
            written.extend((0..rows.len()).map(|row| described(scrape, &rows, row)));
            let batch = Batch { schema: Arc::clone(&schema), source: source("d"), scrape: *scrape, rows };
            Frame::parse(encode(&batch).unwrap().into(), &Limits::default()).unwrap()
        }).collect();
        let block = reread(&compact(&frames).unwrap()).to_block().unwrap();
        let scrape = |row: usize| &block.scrapes()[block.scrape_of_row()[row] as usize];
        let mut read: Vec<String> = (0..block.rows().len()).map(|row| described(scrape(row), block.rows(), row)).collect();
        read.sort();
        written.sort();
        prop_assert_eq!(read, written);
    }
}

#[test]
fn frames_that_do_not_belong_together_are_refused() {
    let visit = Visit { keyframe: true, reported: BTreeMap::new() };
    let one = frame(&schema(Presence::State), 0, &visit);
    let other_schema = frame(&schema(Presence::Append), 1, &visit);
    let mut batch = one.to_batch().unwrap();
    batch.source = source("another");
    let other_source = Frame::parse(encode(&batch).unwrap().into(), &Limits::default()).unwrap();
    for frames in [vec![], vec![one.clone(), other_schema], vec![one, other_source]] {
        assert_eq!(compact(&frames).unwrap_err().code(), "frames_mismatch");
    }
}

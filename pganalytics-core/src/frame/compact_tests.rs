//! Compaction against a naive model: the state after each scrape is the same
//! before and after.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    batch::{Batch, Block, Scrape, ScrapeKind},
    epoch::{CounterFamily, Epoch},
    id::{InstanceId, MeasurementName, ServerId},
    rows::RowsBuilder,
    schema::{Column, ColumnKind, ColumnType, Presence, Schema},
    source::Source,
    time::Timestamp,
    value::Value,
};

/// What a scrape says of a key: a value, or that it is gone.
type Said = BTreeMap<u8, Option<Option<u8>>>;

#[derive(Debug, Clone)]
struct Visit {
    keyframe: bool,
    said: Said,
}

fn visits() -> impl Strategy<Value = Vec<Visit>> {
    let said = proptest::collection::btree_map(0_u8..5, option::weighted(0.85, option::weighted(0.9, 0_u8..3)), 0..6);
    let visit = (prop::bool::weighted(0.3), said).prop_map(|(keyframe, mut said)| {
        if keyframe {
            said.retain(|_, value| value.is_some());
        }
        Visit { keyframe, said }
    });
    vec(visit, 1..14)
}

fn schema(presence: Presence) -> Arc<Schema> {
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
    for (key, said) in &visit.said {
        // Two keys share a name, and two a number.
        let name = format!("key {}", key / 2);
        let number = Value::Int(i64::from(key % 2));
        match said {
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
    };
    let batch = Batch { schema: Arc::clone(schema), source: source("d"), scrape, rows: rows.finish() };
    Frame::parse(encode(&batch).unwrap().into(), &Limits::default()).unwrap()
}

fn frames(schema: &Arc<Schema>, visits: &[Visit]) -> Vec<Frame> {
    visits.iter().enumerate().map(|(at, visit)| frame(schema, at, visit)).collect()
}

/// The state after each visit, by the words of the model alone.
fn expected(visits: &[Visit]) -> Vec<BTreeMap<u8, Option<u8>>> {
    let mut state = BTreeMap::new();
    let after = |visit: &Visit| {
        if visit.keyframe {
            state.clear();
        }
        for (key, said) in &visit.said {
            match said {
                Some(value) => state.insert(*key, *value),
                None => state.remove(key),
            };
        }
        state.clone()
    };
    visits.iter().map(after).collect()
}

/// The state after each scrape of a block: a row that is missing is as it was.
fn expand(block: &Block) -> Vec<BTreeMap<u8, Option<u8>>> {
    let rows = block.rows();
    let mut state = BTreeMap::new();
    let mut states = Vec::new();
    for scrape in 0..block.scrapes().len() {
        for row in (0..rows.len()).filter(|&row| block.scrape_of_row()[row] as usize == scrape) {
            let (Value::Text(name), Value::Int(number)) = (rows.get(row, 0), rows.get(row, 2)) else {
                panic!("no key")
            };
            let key = name.strip_prefix("key ").unwrap().parse::<u8>().unwrap() * 2 + u8::try_from(number).unwrap();
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

fn check_invariants(block: &Block) {
    let key = |row: usize| {
        let (Value::Text(name), Value::Int(number)) = (block.rows().get(row, 0), block.rows().get(row, 2)) else {
            panic!("no key")
        };
        (name, number)
    };
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

fn reread(block: &Block) -> Frame {
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
    fn appended_rows_are_all_kept(visits in visits()) {
        let block = compact(&frames(&schema(Presence::Append), &visits)).unwrap();
        prop_assert_eq!(block.rows().len(), visits.iter().map(|visit| visit.said.len()).sum::<usize>());
        prop_assert_eq!(block.scrapes().len(), visits.len());
    }
}

#[test]
fn frames_that_do_not_belong_together_are_refused() {
    let visit = Visit { keyframe: true, said: BTreeMap::new() };
    let one = frame(&schema(Presence::State), 0, &visit);
    let other_schema = frame(&schema(Presence::Append), 1, &visit);
    let mut batch = one.to_batch().unwrap();
    batch.source = source("another");
    let other_source = Frame::parse(encode(&batch).unwrap().into(), &Limits::default()).unwrap();
    for frames in [vec![], vec![one.clone(), other_schema], vec![one, other_source]] {
        assert_eq!(compact(&frames).unwrap_err().code(), "frames_mismatch");
    }
}

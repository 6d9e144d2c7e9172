//! What a block notes of its rows is what they say.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    Block, Column, ColumnKind, ColumnType, CounterFamily, Epoch, InstanceId, MeasurementName, RowsBuilder, Schema,
    Scrape, ScrapeClock, ScrapeKind, ServerId, Source, Timestamp, Value, increase::mark, testing::same_block,
};

/// Rows of a key: counter, float counter, gauge, whether it is gone.
type Line = (Option<i64>, Option<f64>, i64, bool);

fn block(keys: &[Vec<Line>]) -> Block {
    let columns = vec![
        Column::new("id", ColumnKind::Key, ColumnType::Int),
        Column::new("calls", ColumnKind::Counter, ColumnType::Int),
        Column::new("ms", ColumnKind::Counter, ColumnType::Float),
        Column::new("size", ColumnKind::Gauge, ColumnType::Int),
        Column::new("since", ColumnKind::Info, ColumnType::Timestamp),
    ];
    let schema = Schema::new(MeasurementName::new("m").unwrap(), CounterFamily::Statements, columns).unwrap();
    let schema = std::sync::Arc::new(schema.with_row_stamp("since").unwrap());
    let mut rows = RowsBuilder::new(&schema);
    let mut scrape_of_row = Vec::new();
    for (key, lines) in (0..).zip(keys) {
        for (number, (calls, ms, size, gone)) in (0..).zip(lines) {
            let calls = calls.map_or(Value::Null, Value::Int);
            let row = [
                Value::Int(key),
                calls,
                ms.map_or(Value::Null, Value::Float),
                Value::Int(*size),
                Value::Timestamp(key),
            ];
            if *gone {
                rows.push_gone(&row).unwrap();
            } else {
                rows.push(&row).unwrap();
            }
            scrape_of_row.push(number);
        }
    }
    let scrapes = (0..20).map(|minute| Scrape {
        collected_at: Timestamp::from_secs(60 * minute),
        interval_micros: 60_000_000,
        kind: ScrapeKind::Delta,
        epoch: Epoch::default(),
        clock: ScrapeClock::default(),
    });
    let server_id = ServerId::of_cluster(1);
    let source =
        Source { server_id, instance_id: InstanceId::of_address(server_id, "a"), server: "a".into(), database: None };
    let rows = rows.finish();
    Block::new(schema, source, scrapes.collect(), scrape_of_row, rows).unwrap()
}

/// Enough rows for facts, whatever else there is.
fn idle(count: usize) -> Vec<Vec<Line>> {
    vec![vec![(Some(7), Some(0.5), 3, false), (Some(7), Some(0.5), 4, false)]; count]
}

fn line() -> impl Strategy<Value = Line> {
    let ms = prop_oneof![8 => (0_u32..9).prop_map(|ms| Some(f64::from(ms) / 4.0)), 1 => Just(None), 1 => Just(Some(f64::NAN))];
    (option::weighted(0.95, 0_i64..50), ms, 0_i64..3, prop::bool::weighted(0.05))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn facts_say_what_the_rows_say(
        random in vec(vec(line(), 1..20), 1..12),
        count in prop::sample::select(vec![0, 600]),
    ) {
        let mut keys = random;
        // In pages, or all in the head.
        keys.extend(idle(count));
        let block = block(&keys);
        let frame = Frame::parse(encode_stored(&block, 0).unwrap().into(), &Limits::default()).unwrap();
        prop_assert!(same_block(&frame.to_block().unwrap(), &block));
        prop_assert!(frame.head().knows_facts());
        let source = frame.without_schema();
        let facts = frame.head().facts(source).unwrap().unwrap();
        let directory = frame.head().keys(source).unwrap().unwrap();
        let columns = block.rows().columns();
        let gone = |row: usize| block.rows().gone().is_some_and(|gone| gone.get(row));
        let bits = |value: Value<'_>| match value {
            Value::Int(value) | Value::Timestamp(value) => Some(value.cast_unsigned()),
            Value::Float(value) => Some(value.to_bits()),
            _ => None,
        };
        for key in 0..directory.len() {
            let rows = directory.rows(key);
            let (first, last) = (rows.start, rows.end - 1);
            let fell = |row: usize| {
                let lower = match (columns[1].get(row), columns[1].get(row - 1)) {
                    (Value::Int(now), Value::Int(before)) => now < before,
                    _ => false,
                };
                lower || matches!((columns[2].get(row), columns[2].get(row - 1)),
                    (Value::Float(now), Value::Float(before)) if now < before)
            };
            for row in first + 1..=last {
                let changed = (1..4).any(|column| bits(columns[column].get(row)) != bits(columns[column].get(row - 1)));
                prop_assert_eq!(facts.changed.get(row), changed);
                prop_assert_eq!(facts.fell.get(row), fell(row));
            }
            let known = |row: usize| columns[1..3].iter().map(|column| column.get(row) == Value::Null).collect::<Vec<_>>();
            let odd = |row: usize| {
                gone(row) || row > first && fell(row) || known(row) != known(first)
                    || bits(columns[4].get(row)) != bits(columns[4].get(first))
                    || matches!(columns[2].get(row), Value::Float(value) if !value.is_finite())
            };
            prop_assert_eq!(facts.irregular.get(key), (first..=last).any(odd));
            prop_assert_eq!(facts.first_scrape[key], block.scrape_of_row()[first]);
            prop_assert_eq!(facts.last_scrape[key], block.scrape_of_row()[last]);
            for (row, mark) in [(first, facts.first[key]), (last, facts.last[key])] {
                let mut expected = 0;
                for (column, name) in [(1, "calls"), (2, "ms"), (3, "size")] {
                    mark::add(&mut expected, mark::of_name(name), bits(columns[column].get(row)));
                }
                prop_assert_eq!(mark, expected);
            }
        }
        let ends = frame.head().ends(&|_| true, source).unwrap().unwrap();
        prop_assert_eq!(ends.iter().map(|ends| ends.column).collect::<Vec<_>>(), [1, 2, 4]);
        for ends in &ends {
            for key in 0..directory.len() {
                let rows = directory.rows(key);
                let all = &columns[ends.column];
                prop_assert_eq!(bits(ends.first.get(key)), bits(all.get(rows.start)));
                prop_assert_eq!(bits(ends.last.get(key)), bits(all.get(rows.end - 1)));
            }
        }
        let some = frame.head().ends(&|column| column == 2, source).unwrap().unwrap();
        prop_assert_eq!(some.len(), 1);
    }
}

#[test]
fn facts_of_others_are_refused() {
    let block = block(&idle(600));
    let verify = |bytes: Vec<u8>| VerifiedFrame::verify(crate::Seq(1), bytes.into(), &Limits::default());
    assert!(verify(encode_block(&block).unwrap()).is_ok());
    let refused = verify(encode_stored(&block, PAGE_ROWS).unwrap()).unwrap_err();
    assert!(refused.to_string().contains("comes from no one else"), "{refused}");
}

#[test]
fn small_blocks_have_none() {
    let block = block(&idle(2));
    assert_eq!(encode_stored(&block, PAGE_ROWS).unwrap(), encode_block(&block).unwrap());
}

#[test]
fn a_flipped_bit_in_facts_is_found() {
    let block = block(&idle(600));
    let good = encode_stored(&block, PAGE_ROWS).unwrap();
    let frame = Frame::parse(good.clone().into(), &Limits::default()).unwrap();
    let bare = frame.without_schema().len();
    // The sections stand last.
    let mut bad = good;
    bad[bare - 20] ^= 4;
    let frame = Frame::parse(bad.into(), &Limits::default()).unwrap();
    let source = frame.without_schema();
    assert!(frame.head().ends(&|_| true, source).is_err());
    assert!(frame.head().facts(source).is_ok());
    assert_eq!(frame.to_block().unwrap(), block);
}

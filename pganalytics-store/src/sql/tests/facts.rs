//! What is learned of a block by its directory of keys is what its rows say.

use std::sync::Arc;

use pganalytics_core::{
    Batch, Column, ColumnKind, ColumnType, CounterFamily, Epoch, InstanceId, MeasurementName, RowsBuilder, Schema,
    Scrape, ScrapeClock, ScrapeKind, ServerId, Source, Timestamp, Value,
    frame::{self, Frame, Limits},
};

use super::super::{
    facts::{KeyFacts, Rows},
    shape::Shape,
};

/// A block of some hundred keys over some scrapes; which of them come, change
/// and go is chosen by `seed`.
fn block(seed: u64) -> Frame {
    let columns = vec![
        Column::new("name", ColumnKind::Key, ColumnType::Text),
        Column::new("calls", ColumnKind::Counter, ColumnType::Int),
        Column::new("id", ColumnKind::Key, ColumnType::Int),
        Column::new("ratio", ColumnKind::Key, ColumnType::Float),
    ];
    let schema = Schema::new(MeasurementName::new("m").unwrap(), CounterFamily::None, columns).unwrap();
    let schema = Arc::new(schema);
    let server_id = ServerId::of_cluster(1);
    let source =
        Source { server_id, instance_id: InstanceId::of_address(server_id, "a"), server: "a".into(), database: None };
    let frames = (0..12_i64).map(|minute| {
        let mut rows = RowsBuilder::new(&schema);
        for key in 0..200_i64 {
            let chance = (seed ^ (minute * 1_000 + key).unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61;
            let name = format!("key {}", key % 50);
            let name = if key % 7 == 0 { Value::Null } else { Value::Text(&name) };
            let ratio = if key % 5 == 0 { f64::NAN } else { 0.5 };
            let values = [name, Value::Int(minute), Value::Int(key), Value::Float(ratio)];
            match chance {
                0..3 => rows.push(&values).unwrap(),
                3 if minute > 0 => rows.push_gone(&values).unwrap(),
                _ => {}
            }
        }
        let scrape = Scrape {
            collected_at: Timestamp::from_secs(60 * minute),
            interval_micros: 60_000_000,
            kind: if minute == 0 { ScrapeKind::Keyframe } else { ScrapeKind::Delta },
            epoch: Epoch::default(),
            clock: ScrapeClock::default(),
        };
        let batch = Batch { rows: rows.finish(), schema: Arc::clone(&schema), source: source.clone(), scrape };
        Frame::parse(frame::encode(&batch).unwrap().into(), &Limits::default()).unwrap()
    });
    let block = frame::compact(&frames.collect::<Vec<_>>()).unwrap();
    Frame::parse(frame::encode_block(&block).unwrap().into(), &Limits::default()).unwrap()
}

#[test]
fn the_directory_of_keys_tells_what_the_rows_tell() {
    for seed in 0..20 {
        let block = block(seed);
        let shape = Shape::new(Arc::clone(block.schema()));
        let told = KeyFacts::of_directory(&block, &shape, Rows::All, None).unwrap().expect("blocks are sorted by key");
        assert_eq!(told, KeyFacts::of_rows(&block, &shape).unwrap());
        assert!(told.runs.len() > 100, "{}", told.runs.len());
    }
}

#[test]
fn a_key_column_that_the_block_knows_as_no_key_is_looked_up_in_the_rows() {
    let block = block(1);
    let mut columns = block.schema().columns().to_vec();
    columns[1].kind = ColumnKind::Key;
    let schema = Schema::new(MeasurementName::new("m").unwrap(), CounterFamily::None, columns).unwrap();
    let shape = Shape::new(Arc::new(schema));
    assert_eq!(KeyFacts::of_directory(&block, &shape, Rows::All, None).unwrap(), None);
    assert_eq!(KeyFacts::of_frame(&block, &shape, None).unwrap(), KeyFacts::of_rows(&block, &shape).unwrap());
}

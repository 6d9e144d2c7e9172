//! The sizes that frames are promised to have. They are the same on every run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss)]

use bytes::Bytes;
use pganalytics_benches::{VALUES, batches, small::SmallServer};
use pganalytics_core::{
    Batch, ColumnKind, Mask, Position, Rows, Seq, StreamId,
    frame::{self, Frame, Limits, encode_push},
};

fn frames(batches: &[Batch]) -> Vec<Frame> {
    batches
        .iter()
        .map(|batch| Frame::parse(frame::encode(batch).unwrap().into(), &Limits::default()).unwrap())
        .collect()
}

/// Without their schemas, which are sent once.
fn bytes_per_value(frames: &[Frame]) -> f64 {
    frames.iter().map(|frame| frame.without_schema().len()).sum::<usize>() as f64 / VALUES as f64
}

fn bare(batch: &Batch) -> Bytes {
    frame::split_schema(&frame::encode(batch).unwrap().into()).unwrap().0
}

#[test]
fn frames_on_the_wire_take_at_most_0_44_bytes_a_value() {
    let size = bytes_per_value(&frames(&batches(None)));
    println!("wire, one keyframe: {size:.4} bytes a value");
    assert!(size <= 0.44, "{size}");
    let lens: Vec<usize> = frames(&batches(None)).iter().map(|frame| frame.bytes().len()).collect();
    println!("keyframe: {} bytes, a delta: {} bytes", lens[0], lens[1..].iter().sum::<usize>() / (lens.len() - 1));
}

#[test]
fn a_keyframe_every_ten_scrapes_costs_less_than_half_as_much_again() {
    let size = bytes_per_value(&frames(&batches(Some(10))));
    println!("wire, a keyframe every 10 scrapes: {size:.4} bytes a value");
    assert!(size <= 0.65, "{size}");
}

#[test]
fn a_compacted_block_takes_at_most_0_25_bytes_a_value() {
    let block = frame::compact(&frames(&batches(None))).unwrap();
    let size = frame::encode_block(&block).unwrap().len() as f64 / VALUES as f64;
    println!("at rest: {size:.4} bytes a value");
    assert!(size <= 0.25, "{size}");
    for keyframe_every in [10, 1] {
        let with_keyframes = frame::compact(&frames(&batches(Some(keyframe_every)))).unwrap();
        assert_eq!(with_keyframes.rows(), block.rows(), "keyframes leave nothing behind in a block");
    }
}

#[test]
fn a_dropped_table_costs_less_than_30_bytes() {
    let batches = batches(None);
    let (keyframe, delta) = (&batches[0], &batches[1]);
    let gone = 20;
    // Every hundredth table, of which only the key is said.
    let dropped: Vec<u32> = (0..gone).map(|number| number * 100).collect();
    let columns = keyframe.rows.columns().iter().zip(delta.rows.columns()).zip(delta.schema.columns());
    let columns = columns.map(|((all, changed), column)| {
        let mut data = changed.clone();
        let rows = if column.kind == ColumnKind::Key { dropped.clone() } else { vec![u32::MAX; dropped.len()] };
        data.append(&all.take(&rows)).unwrap();
        data
    });
    let mask: Mask = (0..delta.rows.len() + dropped.len()).map(|row| row >= delta.rows.len()).collect();
    let rows = Rows::new(&delta.schema, columns.collect(), Some(mask)).unwrap();
    let with = frame::encode(&Batch { rows, ..delta.clone() }).unwrap().len();
    let without = frame::encode(delta).unwrap().len();
    let each = (with - without) as f64 / f64::from(gone);
    println!("a dropped table: {each:.1} bytes");
    assert!(each < 30.0, "{each}");
}

#[test]
fn a_frame_without_rows_costs_less_than_110_bytes_and_its_schema_less_than_300() {
    let mut batch = batches(None).remove(0);
    batch.rows = batch.rows.take(&[]);
    let (bare, schema) = (bare(&batch), frame::encode_schema(&batch.schema));
    println!("a frame without rows: {} bytes, a schema of 28 columns: {} bytes", bare.len(), schema.len());
    assert!(bare.len() < 110, "{}", bare.len());
    assert!(schema.len() < 300, "{}", schema.len());
}

#[test]
fn pushes_of_a_small_server_take_at_most_0_6_bytes_a_value() {
    let mut server = SmallServer::default();
    let stream = StreamId::random();
    let (mut pushed, mut framed, mut sent, mut keyframes) = (0, 0, 0, 0);
    let mut seq = 0;
    for scrape in 0..60 {
        let batches = server.scrape();
        let frames: Vec<(Position, Bytes)> = batches
            .iter()
            .map(|batch| {
                seq += 1;
                (Seq(seq).into(), bare(batch))
            })
            .collect();
        let schemas: Vec<_> = batches.iter().map(|batch| batch.schema.clone()).collect();
        // Schemas go with the first push only.
        let body = encode_push(stream, if scrape == 0 { &schemas } else { &[] }, &frames);
        keyframes += if scrape == 0 { body.len() } else { 0 };
        pushed += body.len();
        framed += frames.iter().map(|(_, frame)| frame.len()).sum::<usize>();
        sent += batches.iter().map(|batch| batch.rows.len() * batch.schema.columns().len()).sum::<usize>();
    }
    let of = |bytes: usize| bytes as f64 / server.values() as f64;
    println!(
        "small server: {} frames, {} values, {sent} sent; frames {:.4}, pushes {:.4} bytes a value, {:.3} a value sent; \
         first push {keyframes} bytes",
        seq,
        server.values(),
        of(framed),
        of(pushed),
        pushed as f64 / sent as f64
    );
    assert!(of(pushed) <= 0.6, "{}", of(pushed));
}

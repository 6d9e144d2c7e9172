//! The sizes that frames are promised to have. They are the same on every run.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use pganalytics_benches::{VALUES, batches};
use pganalytics_core::{
    Batch,
    frame::{self, Frame, Limits},
};

fn frames(batches: &[Batch]) -> Vec<Frame> {
    batches
        .iter()
        .map(|batch| Frame::parse(frame::encode(batch).unwrap().into(), &Limits::default()).unwrap())
        .collect()
}

fn bytes_per_value(frames: &[Frame]) -> f64 {
    frames.iter().map(|frame| frame.bytes().len()).sum::<usize>() as f64 / VALUES as f64
}

#[test]
fn frames_on_the_wire_take_at_most_0_45_bytes_a_value() {
    let size = bytes_per_value(&frames(&batches(None)));
    println!("wire, one keyframe: {size:.4} bytes a value");
    assert!(size <= 0.45, "{size}");
}

#[test]
fn a_keyframe_every_ten_scrapes_costs_less_than_half_as_much_again() {
    let size = bytes_per_value(&frames(&batches(Some(10))));
    println!("wire, a keyframe every 10 scrapes: {size:.4} bytes a value");
    assert!(size <= 0.65, "{size}");
}

#[test]
fn a_compacted_block_takes_at_most_0_30_bytes_a_value() {
    let block = frame::compact(&frames(&batches(None))).unwrap();
    let size = frame::encode_block(&block).unwrap().len() as f64 / VALUES as f64;
    println!("at rest: {size:.4} bytes a value");
    assert!(size <= 0.30, "{size}");
    let with_keyframes = frame::compact(&frames(&batches(Some(10)))).unwrap();
    assert_eq!(with_keyframes.rows(), block.rows(), "keyframes leave nothing behind in a block");
}

#[test]
fn a_schema_of_28_columns_costs_less_than_450_bytes() {
    let mut batch = batches(None).remove(0);
    batch.rows = batch.rows.take(&[]);
    let bytes = frame::encode(&batch).unwrap();
    println!("a frame without rows: {} bytes", bytes.len());
    assert!(bytes.len() < 450, "{}", bytes.len());
}

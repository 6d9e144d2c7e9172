//! Speed of the frame codec on the data set of this crate, in values that the
//! scrapes would have had without the change filter.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{hint::black_box, io::Write};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pganalytics_benches::{VALUES, batches};
use pganalytics_core::{
    Batch,
    frame::{self, Frame, Limits},
    json,
};

fn frames_of(batches: &[Batch]) -> Vec<Bytes> {
    batches.iter().map(|batch| frame::encode(batch).unwrap().into()).collect()
}

fn parse(frames: &[Bytes]) -> Vec<Frame> {
    frames.iter().map(|bytes| Frame::parse(bytes.clone(), &Limits::default()).unwrap()).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a printed ratio")]
fn print_sizes(name: &str, bytes: usize) {
    println!("size: {name}: {bytes} bytes, {:.4} a value", bytes as f64 / VALUES as f64);
}

fn gzip_of_json(batches: &[Batch]) -> usize {
    let mut total = 0;
    for batch in batches {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(json::push_document("col_001", std::slice::from_ref(batch)).as_bytes()).unwrap();
        total += gzip.finish().unwrap().len();
    }
    total
}

fn frames(criterion: &mut Criterion) {
    let deltas = batches(None);
    let keyframes = batches(Some(10));
    let all = batches(Some(1));
    let wire = frames_of(&deltas);
    let parsed = parse(&wire);
    let block = frame::compact(&parsed).unwrap();
    let at_rest = Bytes::from(frame::encode_block(&block).unwrap());
    print_sizes("wire, one keyframe", wire.iter().map(Bytes::len).sum());
    print_sizes("wire, a keyframe every 10 scrapes", frames_of(&keyframes).iter().map(Bytes::len).sum());
    print_sizes("wire, keyframes only", frames_of(&all).iter().map(Bytes::len).sum());
    print_sizes("at rest, one block", at_rest.len());
    print_sizes("JSON + gzip, one keyframe", gzip_of_json(&deltas));
    print_sizes("JSON + gzip, every row of every scrape", gzip_of_json(&all));

    let mut group = criterion.benchmark_group("frames");
    group.throughput(Throughput::Elements(VALUES)).sample_size(20);
    group.bench_function("encode/wire", |bench| bench.iter(|| frames_of(black_box(&deltas))));
    group.bench_function("encode/wire keyframe every 10", |bench| bench.iter(|| frames_of(black_box(&keyframes))));
    group.bench_function("encode/wire keyframes only", |bench| bench.iter(|| frames_of(black_box(&all))));
    group.bench_function("encode/at rest", |bench| bench.iter(|| frame::encode_block(black_box(&block)).unwrap()));
    group.bench_function("decode/wire", |bench| {
        bench.iter(|| {
            for frame in parse(black_box(&wire)) {
                black_box(frame.to_rows().unwrap());
            }
        });
    });
    // What a chart of one counter asks for.
    let chosen = [0, 1, 2, 3];
    group.bench_function("decode/wire keys and one counter", |bench| {
        bench.iter(|| {
            for frame in parse(black_box(&wire)) {
                chosen.iter().for_each(|&column| drop(black_box(frame.column(column).unwrap())));
            }
        });
    });
    group.bench_function("decode/at rest", |bench| {
        bench.iter(|| Frame::parse(black_box(&at_rest).clone(), &Limits::default()).unwrap().to_block().unwrap());
    });
    group.bench_function("compact", |bench| bench.iter(|| frame::compact(black_box(&parsed)).unwrap()));
    let all_frames = parse(&frames_of(&all));
    group.bench_function("compact keyframes only", |bench| {
        bench.iter(|| frame::compact(black_box(&all_frames)).unwrap());
    });
    group.sample_size(10);
    group.bench_function("encode/JSON + gzip", |bench| bench.iter(|| gzip_of_json(black_box(&deltas))));
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);

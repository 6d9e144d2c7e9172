//! Speed of reading logs: entries, their classes and numbers, redacted texts.
//! `cargo run --release -p pganalytics-collect --example log_speed` measures the
//! same beside pgbadger.
#![allow(missing_docs)]

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pganalytics_collect::logs::{Entry, Format, Options, Parser, Prefix, Redaction, Zone, classify, redact_texts};

#[path = "../../pganalytics-collect/examples/log_lines/mod.rs"]
mod log_lines;

use log_lines::Written;

const BYTES: usize = 8 << 20;

fn read(log: &[u8], format: &Format, each: &mut dyn FnMut(&Entry<'_>)) {
    let mut parser = Parser::new(format.clone(), Options::default().zone(Zone::named("UTC")), 0);
    for piece in log.chunks(256 * 1024) {
        parser.push(piece, each);
    }
    parser.finish(each);
}

fn bench(criterion: &mut Criterion) {
    let stderr = Format::Stderr(Prefix::new(log_lines::PREFIX));
    let formats = [(Written::Stderr, stderr), (Written::Csv, Format::Csv), (Written::Json, Format::Json)];
    for (written, format) in formats {
        let log = log_lines::log(written, BYTES);
        let mut group = criterion.benchmark_group(format!("logs, {written:?}"));
        group.throughput(Throughput::Bytes(log.len() as u64)).sample_size(20).measurement_time(Duration::from_secs(5));
        group.bench_function("read", |bencher| {
            bencher.iter(|| read(&log, &format, &mut |entry| _ = black_box(entry.clone())));
        });
        group.bench_function("told apart, redacted", |bencher| {
            bencher.iter(|| {
                read(&log, &format, &mut |entry| {
                    let (class, facts) = classify(entry);
                    drop(black_box(redact_texts(entry, class, &facts, Redaction::Literals)));
                });
            });
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);

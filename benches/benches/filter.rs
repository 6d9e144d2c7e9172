//! Speed of the change filter on the data set of this crate: full scrapes in,
//! keyframes and deltas out. Values are all that the scrapes have.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pganalytics_benches::{SCRAPES, Tables, VALUES};
use pganalytics_collect::ChangeFilter;
use pganalytics_core::{Batch, ScrapeKind, frame};
use tokio::time::Instant;

/// All scrapes as a collector brings them: every row in each.
fn scrapes() -> Vec<Batch> {
    let mut tables = Tables::default();
    (0..SCRAPES).map(|_| tables.scrape(ScrapeKind::Keyframe)).collect()
}

/// Filters scrapes a minute apart and hands over what is left of each.
fn filter(scrapes: Vec<Batch>, mut each: impl FnMut(Batch)) {
    let (mut filter, mut now) = (ChangeFilter::new(), Instant::now());
    for scrape in scrapes {
        each(filter.apply(scrape, now).unwrap().batch);
        now += Duration::from_secs(60);
    }
}

fn bench(criterion: &mut Criterion) {
    let active = scrapes();
    let idle = vec![active.first().unwrap().clone(); SCRAPES];
    let mut group = criterion.benchmark_group("filter");
    group.throughput(Throughput::Elements(VALUES)).sample_size(20);
    for (name, scrapes) in [("15 % of tables active", &active), ("nothing active", &idle)] {
        group.bench_function(name, |bencher| {
            let pass = |scrapes| filter(scrapes, |batch| drop(black_box(batch)));
            bencher.iter_batched(|| scrapes.clone(), pass, BatchSize::PerIteration);
        });
    }
    group.bench_function("15 % of tables active, then encoded", |bencher| {
        let pass = |scrapes| filter(scrapes, |batch| drop(black_box(frame::encode(&batch).unwrap())));
        bencher.iter_batched(|| active.clone(), pass, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);

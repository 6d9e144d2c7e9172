//! How fast the embedded store takes frames, each checked as a server does and
//! acknowledged after its sync, in values that the scrapes would have had
//! without the change filter.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pganalytics_benches::{COUNTERS, TABLES, Tables};
use pganalytics_core::{
    CollectorId, ScrapeKind, Seq, StreamId, TenantId, Timestamp,
    frame::{Limits, VerifiedFrame},
};
use pganalytics_store::{
    MetricStore, Origin,
    sqlite::{SqliteOptions, SqliteStore},
};
use tokio::runtime::Runtime;

/// A collector and what it has sent so far.
struct Sender {
    origin: Origin,
    stream: StreamId,
    seq: AtomicU64,
}

impl Sender {
    fn new() -> Self {
        let origin = Origin::new(TenantId::DEFAULT, CollectorId::random(), Timestamp::from_secs(1_769_860_800));
        Self { origin, stream: StreamId::random(), seq: AtomicU64::new(1) }
    }

    /// Checks and appends a frame.
    async fn push(&self, store: &SqliteStore, frame: Bytes) {
        let seq = Seq(self.seq.fetch_add(1, Ordering::Relaxed));
        let frame = VerifiedFrame::verify(seq, frame, &Limits::default()).unwrap();
        let outcome = store.append(&self.origin, self.stream, vec![frame]).await.unwrap();
        assert_eq!(outcome.accepted(), 1);
    }
}

fn appends(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut tables = Tables::default();
    let keyframe = VerifiedFrame::of_batch(Seq(1), &tables.scrape(ScrapeKind::Keyframe)).unwrap();
    let delta = VerifiedFrame::of_batch(Seq(1), &tables.scrape(ScrapeKind::Delta)).unwrap();
    let mut group = criterion.benchmark_group("append to sqlite");
    group.sample_size(20);
    for (name, frame) in [("keyframes of 50,000 values", &keyframe), ("deltas of 50,000 values", &delta)] {
        for senders in [1_u64, 16] {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
            let all: Arc<Vec<Sender>> = Arc::new((0..senders).map(|_| Sender::new()).collect());
            let values = (TABLES * COUNTERS) as u64;
            println!(
                "{name}: {} values physically, {} bytes",
                frame.frame().unwrap().value_count(),
                frame.frame().unwrap().bytes().len()
            );
            group.throughput(Throughput::Elements(values * senders));
            group.bench_function(format!("{name}, {senders} at once"), |bencher| {
                bencher.iter(|| {
                    runtime.block_on(async {
                        let pushes: Vec<_> = (0..all.len())
                            .map(|sender| {
                                let (store, all, frame) =
                                    (store.clone(), Arc::clone(&all), frame.frame().unwrap().bytes().clone());
                                tokio::spawn(async move { all[sender].push(&store, frame).await })
                            })
                            .collect();
                        for push in pushes {
                            push.await.unwrap();
                        }
                    });
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, appends);
criterion_main!(benches);

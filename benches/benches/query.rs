//! A dashboard's question to the embedded store: the top 20 statements by time
//! over 24 hours, of a server with 5,000 statements that is scraped once a
//! minute. Blocks are compacted, the file is in the page cache.
//!
//! `ACTIVE` statements of the 5,000 run in each minute; all of them is the worst
//! that can be.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{hint::black_box, path::Path, sync::Arc, time::Instant};

use criterion::{Criterion, criterion_group};
use pganalytics_benches::statements::{START, Statements};
use pganalytics_core::{CollectorId, Seq, StreamId, TenantId, Timestamp, frame::VerifiedFrame};
use pganalytics_store::{
    Job, MetricStore, Origin, StoreError,
    sql::{InProcess, SqlGuard, SqlPrincipal, SqlRunner},
    sqlite::{SqliteOptions, SqliteStore},
};
use tokio::runtime::Runtime;

const STATEMENTS: usize = 5_000;
/// Of 100.
const ACTIVE: [usize; 2] = [20, 100];
const MINUTES: i64 = 26 * 60;

const TOP: &str = "SELECT queryid, sum(total_exec_time) AS ms, sum(calls) AS calls FROM pg_stat_statements_delta
     WHERE time > timestamp '2026-01-31T14:00:00' GROUP BY queryid ORDER BY ms DESC LIMIT 20";
const SERIES: &str = "SELECT date_bin(interval '5 minutes', time, timestamp '2000-01-01') AS at, sum(total_exec_time)
     FROM pg_stat_statements_delta WHERE time > timestamp '2026-01-31T14:00:00' GROUP BY 1 ORDER BY 1";
const LATEST_HOUR: &str = "SELECT queryid, sum(total_exec_time) AS ms FROM pg_stat_statements_delta
     WHERE time > timestamp '2026-02-01T13:00:00' GROUP BY queryid ORDER BY ms DESC LIMIT 20";

/// An answer that must be carried.
const MANY: &str = "SELECT * FROM pg_stat_statements_delta WHERE time > timestamp '2026-02-01T13:40:00' LIMIT 50000";
#[cfg(target_os = "linux")]
const WORKER: &str = "sql-worker";

/// A store of 26 hours, compacted but for the last two.
async fn fill(folder: &Path, active: usize) -> SqliteStore {
    let store = SqliteStore::open(folder, SqliteOptions::default()).unwrap();
    let origin = Origin::new(TenantId::DEFAULT, CollectorId::random(), Timestamp::from_secs(START));
    let (mut server, stream) = (Statements::new(STATEMENTS, active), StreamId::random());
    let begun = Instant::now();
    for minute in 0..MINUTES {
        let frame = VerifiedFrame::of_batch(Seq(minute.unsigned_abs() + 1), &server.scrape(minute)).unwrap();
        store.append(&origin, stream, vec![frame]).await.unwrap();
    }
    let filled = begun.elapsed();
    let before = Timestamp::from_secs(START + 60 * (MINUTES - 30));
    let report = store.maintain(Job::Compact { before }).await.unwrap();
    println!("{active} % active: filled in {filled:?}, compacted in {:?}: {report:?}", begun.elapsed() - filled);
    store
}

async fn try_to_ask(runner: &dyn SqlRunner, sql: &str) -> Result<usize, StoreError> {
    let query = SqlGuard::default().check(sql, Vec::new(), SqlPrincipal::new(TenantId::DEFAULT)).unwrap();
    Ok(runner.run(query).await?.into_answer().await?.rows())
}

async fn ask(runner: &dyn SqlRunner, sql: &str) -> usize {
    try_to_ask(runner, sql).await.unwrap()
}

/// The store's own engine, and workers, which are this program with the name of a
/// folder.
async fn runners(store: SqliteStore, folder: &Path) -> Vec<(&'static str, Box<dyn SqlRunner>)> {
    let here: (_, Box<dyn SqlRunner>) = ("", Box::new(InProcess::new(Arc::new(store))));
    #[cfg(target_os = "linux")]
    {
        use pganalytics_store::sql::worker::{WorkerOptions, WorkerPool};
        let mut options = WorkerOptions::new("/proc/self/exe", [WORKER.as_ref(), folder.as_os_str()]);
        options.workers = 1;
        vec![here, (", in a worker", Box::new(WorkerPool::start(options).await.unwrap()))]
    }
    #[cfg(not(target_os = "linux"))]
    vec![here]
}

fn queries(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    for active in ACTIVE {
        let folder = tempfile::tempdir().unwrap();
        let store = runtime.block_on(fill(folder.path(), active));
        let runners = runtime.block_on(runners(store, folder.path()));
        // A worker has less memory: what needs more of it there is told, and not measured.
        let answers = |(place, runner): &(&str, Box<dyn SqlRunner>)| {
            let begun = Instant::now();
            let rows = runtime.block_on(try_to_ask(&**runner, TOP));
            println!("{active} % active{place}: first answer, cold, in {:?}: {rows:?}", begun.elapsed());
            rows.is_ok()
        };
        let runners: Vec<_> = runners.into_iter().filter(answers).collect();
        let mut group = criterion.benchmark_group(format!("statements {active} % active"));
        group.sample_size(10);
        let asked = [
            ("select 1", "SELECT 1"),
            ("top 20 of 24 h", TOP),
            ("time line of 24 h", SERIES),
            ("top 20 of 1 h", LATEST_HOUR),
            ("many rows", MANY),
        ];
        for (name, sql) in asked {
            for (place, runner) in &runners {
                group.bench_function(format!("{name}{place}"), |bencher| {
                    bencher.iter(|| black_box(runtime.block_on(ask(&**runner, sql))));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, queries);

fn main() {
    #[cfg(target_os = "linux")]
    if let [_, first, folder] = std::env::args().collect::<Vec<_>>().as_slice()
        && first == WORKER
    {
        use pganalytics_store::{sql::worker, sqlite::SqliteReader};
        worker::serve(Arc::new(SqliteReader::open(folder).unwrap())).unwrap();
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}

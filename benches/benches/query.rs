//! A dashboard's question to the embedded store: the top 20 statements by time
//! over 24 hours, of a server with 5,000 statements that is scraped once a
//! minute. Blocks are compacted, the file is in the page cache.
//!
//! `ACTIVE` statements of the 5,000 run in each minute; all of them is the worst
//! that can be.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{hint::black_box, path::Path, sync::Arc, time::Instant};

use criterion::{Criterion, criterion_group};
use pganalytics_benches::Random;
use pganalytics_core::{
    Batch, CollectorId, ColumnKind, ColumnType, Epoch, InstanceId, RowsBuilder, Schema, Scrape, ScrapeClock,
    ScrapeKind, Seq, ServerId, Source, StreamId, TenantId, Timestamp, Value, catalog::Catalog, frame::VerifiedFrame,
};
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
const START: i64 = 1_769_860_800;

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

struct Statement {
    keys: [i64; 3],
    values: Vec<f64>,
    cost: f64,
}

struct Server {
    schema: Arc<Schema>,
    source: Source,
    random: Random,
    statements: Vec<Statement>,
    active: f64,
}

impl Server {
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn new(active: usize) -> Self {
        let schema = Arc::clone(Catalog::builtin().get("pg_stat_statements").unwrap().schema());
        let mut random = Random::new(7);
        let width = schema.columns().len();
        let statement = |_| Statement {
            keys: [5, 10 + random.below(4) as i64, random.bits().cast_signed()],
            values: (0..width).map(|_| random.decades(7.0) as f64).collect(),
            cost: random.decades(4.0) as f64,
        };
        let statements = (0..STATEMENTS).map(statement).collect();
        let server_id = ServerId::of_cluster(1);
        let source = Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, "db1:5432"),
            server: "db1".into(),
            database: None,
        };
        Self { schema, source, random, statements, active: active as f64 / 100.0 }
    }

    #[expect(clippy::cast_possible_truncation, reason = "whole numbers")]
    fn scrape(&mut self, minute: i64) -> Batch {
        let kind = if minute % 60 == 0 { ScrapeKind::Keyframe } else { ScrapeKind::Delta };
        let start = Timestamp::from_secs(START);
        let columns = self.schema.columns();
        let mut rows = RowsBuilder::new(&self.schema);
        for statement in &mut self.statements {
            let ran = self.random.unit() < self.active;
            if ran {
                let calls = self.random.decades(3.0) as f64;
                for (value, column) in statement.values.iter_mut().zip(columns) {
                    *value += match (column.kind, column.ty) {
                        (ColumnKind::Counter, ColumnType::Float) => calls * statement.cost * self.random.unit() / 100.0,
                        (ColumnKind::Counter, _) => calls,
                        (ColumnKind::Gauge, _) => self.random.unit(),
                        _ => 0.0,
                    };
                }
            }
            if ran || kind == ScrapeKind::Keyframe {
                let mut keys = statement.keys.iter();
                let value = |(column, value): (&pganalytics_core::Column, &f64)| match (column.kind, column.ty) {
                    (ColumnKind::Key, ColumnType::Int) => Value::Int(keys.next().copied().unwrap_or_default()),
                    (_, ColumnType::Int) => Value::Int(*value as i64),
                    (_, ColumnType::Float) => Value::Float(*value),
                    (_, ColumnType::Bool) => Value::Bool(true),
                    (_, ColumnType::Timestamp) => Value::Timestamp(start.as_micros() - 1),
                    (_, ColumnType::Text) => Value::Text("shop"),
                };
                let row: Vec<Value<'_>> = columns.iter().zip(&statement.values).map(value).collect();
                rows.push(&row).unwrap();
            }
        }
        let scrape = Scrape {
            collected_at: start.plus_micros(minute * 60_000_000 + self.random.below(40_000) as i64),
            interval_micros: 60_000_000,
            kind,
            epoch: Epoch { stamp: Some(start), started: Some(start), evictions: Some(0) },
            clock: ScrapeClock::default(),
        };
        Batch { schema: Arc::clone(&self.schema), source: self.source.clone(), scrape, rows: rows.finish() }
    }
}

/// A store of 26 hours, compacted but for the last two.
async fn fill(folder: &Path, active: usize) -> SqliteStore {
    let store = SqliteStore::open(folder, SqliteOptions::default()).unwrap();
    let origin = Origin::new(TenantId::DEFAULT, CollectorId::random(), Timestamp::from_secs(START));
    let (mut server, stream) = (Server::new(active), StreamId::random());
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

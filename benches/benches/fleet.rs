//! A dashboard's questions to the embedded store: 5,000 statements of a server that is
//! scraped once a minute for 26 hours, of which `ACTIVE` of 100 run in each minute.
//!
//! Each question is asked of frames as they came and of compacted blocks, in process and
//! in a worker; `first` is the first answer of a store that was just opened, its file in
//! the page cache, the others are the median of some.
//!
//! `cargo bench -p pganalytics-benches --bench fleet -- [FOLDER]`; what is in FOLDER
//! already is used again.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

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
const ACTIVE: [usize; 2] = [100, 20];
const MINUTES: i64 = 26 * 60;
const TIMES: usize = 9;
#[cfg(target_os = "linux")]
const WORKER: &str = "sql-worker";

/// The questions, by name.
fn questions(query_id: i64) -> Vec<(&'static str, String)> {
    let day = "time > timestamp '2026-01-31T14:00:00' AND time <= timestamp '2026-02-01T14:00:00'";
    let bins = "date_bin(interval '5 minutes', time, timestamp '2000-01-01')";
    let table = "pg_stat_statements_delta";
    vec![
        ("select 1", "SELECT 1".to_owned()),
        (
            "one statement, 24 h by 5 minutes",
            format!(
                "SELECT {bins} AS at, sum(total_exec_time), sum(calls) FROM {table}
                 WHERE queryid = {query_id} AND {day} GROUP BY 1 ORDER BY 1"
            ),
        ),
        (
            "top 20 of 24 h",
            format!(
                "SELECT queryid, sum(total_exec_time) AS ms, sum(calls) AS calls FROM {table}
                 WHERE {day} GROUP BY 1 ORDER BY 2 DESC LIMIT 20"
            ),
        ),
        (
            "24 h by 5 minutes, all",
            format!("SELECT {bins} AS at, sum(total_exec_time) FROM {table} WHERE {day} GROUP BY 1 ORDER BY 1"),
        ),
        (
            "last 5 minutes by database",
            format!(
                "SELECT dbid, sum(total_exec_time), sum(calls) FROM {table}
                 WHERE time > timestamp '2026-02-01T13:55:00' GROUP BY 1 ORDER BY 1"
            ),
        ),
        (
            "last 2 hours, top 20",
            format!(
                "SELECT queryid, sum(total_exec_time) AS ms FROM {table}
                 WHERE time > timestamp '2026-02-01T12:00:00' GROUP BY 1 ORDER BY 2 DESC LIMIT 20"
            ),
        ),
    ]
}

async fn fill(folder: &Path, active: usize) {
    if folder.join("filled").exists() {
        return;
    }
    std::fs::create_dir_all(folder).unwrap();
    let store = SqliteStore::open(folder, SqliteOptions::default()).unwrap();
    let origin = Origin::new(TenantId::DEFAULT, CollectorId::random(), Timestamp::from_secs(START));
    let (mut server, stream) = (Statements::new(STATEMENTS, active), StreamId::random());
    let begun = Instant::now();
    for minute in 0..MINUTES {
        let frame = VerifiedFrame::of_batch(Seq(minute.unsigned_abs() + 1), &server.scrape(minute)).unwrap();
        store.append(&origin, stream, vec![frame]).await.unwrap();
    }
    println!("filled in {:?}", begun.elapsed());
    std::fs::write(folder.join("filled"), "").unwrap();
}

async fn compact(folder: &Path) {
    let store = SqliteStore::open(folder, SqliteOptions::default()).unwrap();
    let begun = Instant::now();
    let before = Timestamp::from_secs(START + 60 * (MINUTES - 30));
    let report = store.maintain(Job::Compact { before }).await.unwrap();
    println!("compacted in {:?}: {report:?}", begun.elapsed());
}

async fn try_to_ask(runner: &dyn SqlRunner, sql: &str) -> Result<usize, StoreError> {
    let query = SqlGuard::default().check(sql, Vec::new(), SqlPrincipal::new(TenantId::DEFAULT)).unwrap();
    Ok(runner.run(query).await?.into_answer().await?.rows())
}

/// A runner of a store that was just opened.
async fn open(folder: &Path, place: &str) -> Box<dyn SqlRunner> {
    #[cfg(target_os = "linux")]
    if place == "worker" {
        use pganalytics_store::sql::worker::{WorkerOptions, WorkerPool};
        let mut options = WorkerOptions::new("/proc/self/exe", [WORKER.as_ref(), folder.as_os_str()]);
        options.workers = 1;
        return Box::new(WorkerPool::start(options).await.unwrap());
    }
    let _ = place;
    Box::new(InProcess::new(Arc::new(SqliteStore::open(folder, SqliteOptions::default()).unwrap())))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn ask_all(folder: &Path, active: usize, state: &str) {
    let query_id = Statements::new(STATEMENTS, active).query_id(STATEMENTS / 2);
    let only = std::env::var("FLEET_ONLY").unwrap_or_default();
    for place in ["process", "worker"] {
        for (name, sql) in questions(query_id).iter().filter(|(name, _)| name.contains(&only)) {
            let runner = open(folder, place).await;
            // The process itself has begun.
            try_to_ask(&*runner, "SELECT 1").await.unwrap();
            let begun = Instant::now();
            let rows = match try_to_ask(&*runner, sql).await {
                Ok(rows) => rows,
                Err(error) => {
                    println!("{active:>3} % {state:<9} {place:<7} {name:<33} {error}");
                    continue;
                }
            };
            let first = begun.elapsed();
            let mut times = Vec::new();
            while times.len() < TIMES && begun.elapsed() < Duration::from_secs(20) {
                let begun = Instant::now();
                try_to_ask(&*runner, sql).await.unwrap();
                times.push(begun.elapsed());
            }
            times.sort();
            let median = times.get(times.len() / 2).copied().unwrap_or_default();
            println!(
                "{active:>3} % {state:<9} {place:<7} {name:<33} first {:>8.1} ms, then {:>8.1} ms ({rows} rows)",
                milliseconds(first),
                milliseconds(median)
            );
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    #[cfg(target_os = "linux")]
    if let [_, first, folder] = arguments.as_slice()
        && first == WORKER
    {
        use pganalytics_store::{sql::worker, sqlite::SqliteReader};
        worker::serve(Arc::new(SqliteReader::open(folder).unwrap())).unwrap();
        return;
    }
    let given = arguments.iter().skip(1).find(|argument| !argument.starts_with("--")).map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let folder = given.unwrap_or_else(|| temporary.path().to_owned());
    let runtime = Runtime::new().unwrap();
    for active in ACTIVE {
        let loose = folder.join(format!("{active}-loose"));
        let compacted = folder.join(format!("{active}-compacted"));
        runtime.block_on(async {
            fill(&loose, active).await;
            if std::env::var("FLEET_LOOSE").is_ok() {
                ask_all(&loose, active, "loose").await;
            }
            if !compacted.join("filled").exists() {
                std::fs::create_dir_all(&compacted).unwrap();
                for file in std::fs::read_dir(&loose).unwrap() {
                    let file = file.unwrap();
                    std::fs::copy(file.path(), compacted.join(file.file_name())).unwrap();
                }
                compact(&compacted).await;
            }
            ask_all(&compacted, active, "compacted").await;
        });
    }
}

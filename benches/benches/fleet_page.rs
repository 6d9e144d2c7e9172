//! The UI's first page over a fleet: `SERVERS` servers with a day of data, a scrape a minute.
//!
//! The page's own queries (`ui/queries`) are asked at once, as the page does, of a store that was
//! just opened (its file in the page cache), and then again.
//!
//! `cargo bench -p pganalytics-benches --bench fleet_page -- [FOLDER [SERVERS]]`; what is in FOLDER
//! already is used again, and a server started on it (`PGANALYTICS_DATA_DIR`) shows it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use pganalytics_benches::Random;
use pganalytics_core::{
    Batch, CollectorId, Column, ColumnKind, ColumnType, Epoch, InstanceId, RowsBuilder, Schema, Scrape, ScrapeClock,
    ScrapeKind, Seq, ServerId, Source, StreamId, TenantId, Timestamp, Value, catalog::Catalog, frame::VerifiedFrame,
};
use pganalytics_store::{
    Job, MetricStore, Origin,
    sql::{InProcess, SqlGuard, SqlPrincipal, SqlRunner},
    sqlite::{SqliteOptions, SqliteStore, backup},
};

const SERVERS: u64 = 50;
const MINUTES: i64 = 24 * 60;
const MINUTE: i64 = 60_000_000;
const TIMES: usize = 9;
/// What the page reads, and how many rows of it there are.
const MEASUREMENTS: [(&str, usize); 6] = [
    ("pg_up", 1),
    ("pg_server", 1),
    ("agent_sampling", 1),
    ("pg_wait_sampling", 12),
    ("pg_stat_database", 5),
    ("pg_database_wraparound", 5),
];
const QUERIES: [(&str, &str); 3] = [
    ("fleet_now", include_str!("../../ui/queries/fleet_now.sql")),
    ("fleet_load", include_str!("../../ui/queries/fleet_load.sql")),
    ("fleet_events", include_str!("../../ui/queries/fleet_events.sql")),
];

/// One measurement of one server.
struct Series {
    schema: Arc<Schema>,
    /// The counters and gauges of each row.
    rows: Vec<Vec<i64>>,
}

/// A server that is scraped.
struct Server {
    source: Source,
    origin: Origin,
    stream: StreamId,
    seq: u64,
    random: Random,
    series: Vec<Series>,
}

impl Server {
    fn new(number: u64, at: Timestamp) -> Self {
        let server_id = ServerId::of_cluster(number.cast_signed() + 1);
        let source = Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, &format!("db{number}:5432")),
            server: format!("db{number}").into(),
            database: None,
        };
        let series = MEASUREMENTS.map(|(name, rows)| {
            let schema = Arc::clone(Catalog::builtin().get(name).unwrap().schema());
            let rows = vec![vec![0; schema.columns().len()]; rows];
            Series { schema, rows }
        });
        Self {
            source,
            origin: Origin::new(TenantId::DEFAULT, CollectorId::random(), at),
            stream: StreamId::random(),
            seq: 0,
            random: Random::new(number),
            series: series.into(),
        }
    }

    /// What is sent of a minute.
    fn frames(&mut self, at: Timestamp, kind: ScrapeKind) -> Vec<VerifiedFrame> {
        let Self { source, seq, random, series, .. } = self;
        let frame = |series: &mut Series| {
            let mut rows = RowsBuilder::new(&series.schema);
            for (number, row) in series.rows.iter_mut().enumerate() {
                for (value, column) in row.iter_mut().zip(series.schema.columns()) {
                    match column.kind {
                        ColumnKind::Counter => *value += random.decades(3.0),
                        ColumnKind::Gauge => *value = random.decades(2.0),
                        _ => {}
                    }
                }
                let values: Vec<Value<'_>> = series
                    .schema
                    .columns()
                    .iter()
                    .zip(row.iter())
                    .map(|(column, &value)| cell(column, number, value, at))
                    .collect();
                rows.push(&values).unwrap();
            }
            let scrape = Scrape {
                collected_at: at,
                interval_micros: MINUTE.unsigned_abs(),
                kind,
                epoch: Epoch {
                    stamp: Some(Timestamp::default()),
                    started: Some(Timestamp::default()),
                    evictions: None,
                },
                clock: ScrapeClock::default(),
            };
            *seq += 1;
            let batch =
                Batch { schema: Arc::clone(&series.schema), source: source.clone(), scrape, rows: rows.finish() };
            VerifiedFrame::of_batch(Seq(*seq), &batch).unwrap()
        };
        series.iter_mut().map(frame).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn cell<'a>(column: &'a Column, row: usize, value: i64, at: Timestamp) -> Value<'a> {
    let waits = ["CPU", "IO", "Lock", "LWLock"];
    match (column.kind, column.ty, column.name.as_str()) {
        (ColumnKind::Key, ColumnType::Text, "state") => Value::Text("active"),
        (ColumnKind::Key, ColumnType::Text, "backend_type") => Value::Text("client backend"),
        (ColumnKind::Key, ColumnType::Text, "wait_event_type") => Value::Text(waits[row % waits.len()]),
        (ColumnKind::Key, ColumnType::Text, _) => Value::Text(["app", "shop", "postgres", "a", "b"][row % 5]),
        (ColumnKind::Key, _, _) => Value::Int(row as i64),
        (_, ColumnType::Bool, name) => Value::Bool(name != "in_recovery"),
        (_, ColumnType::Int, "server_version_num") => Value::Int(180_001),
        (_, ColumnType::Int, "max_connections") => Value::Int(500),
        (ColumnKind::Info, ColumnType::Int, _) => Value::Int(1),
        (_, ColumnType::Int, _) => Value::Int(value),
        // A minute was observed in each minute; ratios are below one.
        (_, ColumnType::Float, "observed_time") => Value::Float((at.as_micros() / MINUTE % 1_000_000 * 60) as f64),
        (_, ColumnType::Float, name) if name.ends_with("_ratio") => Value::Float(value as f64 / 200.0),
        (_, ColumnType::Float, _) => Value::Float(value as f64 / 100.0),
        (_, ColumnType::Timestamp, _) => Value::Timestamp(0),
        (_, ColumnType::Text, _) => Value::Text("x"),
    }
}

async fn fill(folder: &Path, servers: u64, end: Timestamp) {
    let store = SqliteStore::open(folder, SqliteOptions::default()).unwrap();
    let begun = Instant::now();
    let start = end.plus_micros(-MINUTES * MINUTE);
    for number in 0..servers {
        let mut server = Server::new(number, end);
        for hour in 0..MINUTES / 60 {
            let mut frames = Vec::new();
            for minute in 0..60 {
                let kind = if minute == 0 { ScrapeKind::Keyframe } else { ScrapeKind::Delta };
                frames.extend(server.frames(start.plus_micros((hour * 60 + minute) * MINUTE), kind));
            }
            store.append(&server.origin, server.stream, frames).await.unwrap();
        }
    }
    println!("{servers} servers: filled in {:?}", begun.elapsed());
    let before = end.plus_micros(-60 * MINUTE);
    let report = store.maintain(Job::Compact { before }).await.unwrap();
    println!("and compacted after {:?}: {report:?}", begun.elapsed());
}

/// The text as the page sends it, over the last day.
fn written(text: &str, end: Timestamp) -> String {
    let time = |at: Timestamp| format!("timestamp '{}'", at.to_string().trim_end_matches('Z'));
    let body: String = text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    let range = format!("time >= {} and time < {}", time(end.plus_micros(-MINUTES * MINUTE)), time(end));
    body.replace("{R}", &range).replace("{T}", "date_bin(interval '120 seconds', time, timestamp '2000-01-01')")
}

async fn ask<'a>(runner: &dyn SqlRunner, name: &'a str, sql: &str) -> (&'a str, usize, Duration) {
    let begun = Instant::now();
    let query = SqlGuard::default().check(sql, Vec::new(), SqlPrincipal::new(TenantId::DEFAULT)).unwrap();
    let rows = runner.run(query).await.unwrap().into_answer().await.unwrap().rows();
    (name, rows, begun.elapsed())
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let kept = words.first().map(PathBuf::from);
    let servers = words.get(1).map_or(SERVERS, |count| count.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let folder = kept.unwrap_or_else(|| temporary.path().to_owned());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let end = Timestamp::from_micros(i64::try_from(now.as_micros()).unwrap() / MINUTE * MINUTE);
    if !backup::files(&folder).iter().all(|file| file.exists()) {
        fill(&folder, servers, end).await;
    }
    let runner = InProcess::new(Arc::new(SqliteStore::open(&folder, SqliteOptions::default()).unwrap()));
    let queries = QUERIES.map(|(name, text)| (name, written(text, end)));
    for round in 0..TIMES {
        let begun = Instant::now();
        let [now, load, events] = queries.each_ref().map(|(name, sql)| ask(&runner, name, sql));
        let answers = tokio::join!(now, load, events);
        println!("{} page: {:?}: {answers:?}", if round == 0 { "cold" } else { "warm" }, begun.elapsed());
    }
}

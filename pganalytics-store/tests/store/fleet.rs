//! Pushes do not wait for tidying, at the size of a fleet.
//!
//! `FLEET_SERVERS=500 cargo test --workspace --test store -- fleet --nocapture` makes the
//! size that the design speaks of (250 series a server) and prints the figures.

use std::{
    env,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use pganalytics_core::{
    Batch, CollectorId, Column, ColumnKind, ColumnType, CounterFamily, Epoch, InstanceId, MeasurementName, RowsBuilder,
    Schema, Scrape, ScrapeClock, ScrapeKind, Seq, ServerId, Source, StreamId, TenantId, Timestamp, Value,
    frame::VerifiedFrame,
};
use pganalytics_store::{
    Job, JobReport, MetricStore, Origin,
    sql::{SqlGuard, SqlPrincipal},
    sqlite::{SqliteOptions, SqliteStore},
};
use uuid::Uuid;

/// 2026-01-31T12:00:00Z, a full hour.
const START: i64 = 1_769_860_800;
const DATABASES: usize = 10;
const MEASUREMENTS: usize = 25;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(START + seconds)
}

struct Server {
    origin: Origin,
    stream: StreamId,
    sources: Vec<Source>,
    schemas: Arc<Vec<Arc<Schema>>>,
    next: u64,
}

impl Server {
    fn new(number: usize, schemas: &Arc<Vec<Arc<Schema>>>) -> Self {
        let name = format!("db{number}");
        let server_id = ServerId::of_host(&name);
        let source = |database| Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, "10.0.0.1:5432"),
            server: name.as_str().into(),
            database: Some(format!("app{database}").into()),
        };
        let collector = CollectorId::from_uuid(Uuid::from_u128(0xf1ee_0000 + number as u128));
        Self {
            origin: Origin::new(TenantId::DEFAULT, collector, at(0)),
            stream: StreamId::from_uuid(Uuid::from_u128(0x57e4_0000 + number as u128)),
            sources: (0..DATABASES).map(source).collect(),
            schemas: Arc::clone(schemas),
            next: 0,
        }
    }

    /// A scrape of every series of the server.
    fn scrape(&mut self, seconds: i64) -> Vec<VerifiedFrame> {
        let mut frames = Vec::with_capacity(DATABASES * MEASUREMENTS);
        let (sources, schemas) = (self.sources.clone(), Arc::clone(&self.schemas));
        for source in &sources {
            for schema in schemas.iter() {
                frames.push(self.frame(source, schema, seconds));
            }
        }
        frames
    }

    fn frame(&mut self, source: &Source, schema: &Arc<Schema>, seconds: i64) -> VerifiedFrame {
        let mut rows = RowsBuilder::new(schema);
        for id in 0..4 {
            rows.push(&[Value::Int(id), Value::Int(seconds * (id + 1))]).unwrap();
        }
        let scrape = Scrape {
            collected_at: at(seconds),
            interval_micros: 60_000_000,
            kind: if seconds % 3600 == 0 { ScrapeKind::Keyframe } else { ScrapeKind::Delta },
            epoch: Epoch::default(),
            clock: ScrapeClock::default(),
        };
        let batch = Batch { schema: Arc::clone(schema), source: source.clone(), scrape, rows: rows.finish() };
        self.next += 1;
        VerifiedFrame::of_batch(Seq(self.next), &batch).unwrap()
    }
}

fn schemas() -> Arc<Vec<Arc<Schema>>> {
    let schema = |number| {
        let columns = vec![
            Column::new("id", ColumnKind::Key, ColumnType::Int),
            Column::new("calls", ColumnKind::Counter, ColumnType::Int),
        ];
        let name = MeasurementName::new(&format!("fleet_{number:02}")).unwrap();
        Arc::new(Schema::new(name, CounterFamily::Cumulative, columns).unwrap())
    };
    Arc::new((0..MEASUREMENTS).map(schema).collect())
}

/// Pushes small frames all the time until told to stop; says how long each took.
async fn push(store: SqliteStore, mut server: Server, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let (source, schema) = (server.sources[0].clone(), Arc::clone(&server.schemas[0]));
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let frame = server.frame(&source, &schema, 40 * 3600 + i64::try_from(took.len()).unwrap());
        let begun = Instant::now();
        assert_eq!(store.append(&server.origin, server.stream, vec![frame]).await.unwrap().accepted(), 1);
        took.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    took.sort_unstable();
    took
}

/// Does a job while somebody pushes; prints how long it and the pushes took.
async fn during(store: &SqliteStore, what: &str, server: Server, job: Option<Job>) -> (JobReport, Vec<Duration>) {
    let stop = Arc::new(AtomicBool::new(false));
    let pushes = tokio::spawn(push(store.clone(), server, Arc::clone(&stop)));
    let begun = Instant::now();
    let report = match job {
        Some(job) => store.maintain(job).await.unwrap(),
        None => {
            tokio::time::sleep(Duration::from_secs(2)).await;
            JobReport::default()
        }
    };
    let elapsed = begun.elapsed();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.store(true, Ordering::Relaxed);
    let took = pushes.await.unwrap();
    let (count, slowest) = (took.len(), took[took.len() - 1]);
    println!(
        "{what}: {elapsed:?}; {count} pushes, median {:?}, p99 {:?}, slowest {slowest:?}; {report:?}",
        took[count / 2],
        took[count * 99 / 100]
    );
    (report, took)
}

fn sizes(folder: &Path) -> String {
    let size = |entry: std::fs::DirEntry| format!("{:?} {}", entry.file_name(), entry.metadata().unwrap().len());
    std::fs::read_dir(folder).unwrap().map(|entry| size(entry.unwrap())).collect::<Vec<_>>().join(", ")
}

/// Some minutes later: who looks at the present reads heads, once they are made.
async fn the_present(store: &SqliteStore, servers: usize, schemas: &Arc<Vec<Arc<Schema>>>) {
    let scrapes: i64 = env::var("FLEET_SCRAPES").map_or(12, |count| count.parse().unwrap());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let begin = (i64::try_from(now.as_secs()).unwrap() - START) / 3600 * 3600 - 3600;
    let begun = Instant::now();
    for number in 0..servers {
        let mut server = Server::new(1_000_000 + number, schemas);
        let frames = (0..scrapes).flat_map(|scrape| server.scrape(begin + 60 * scrape)).collect();
        store.append(&server.origin, server.stream, frames).await.unwrap();
    }
    println!("{scrapes} scrapes more made in {:?}", begun.elapsed());
    let ask = async |what: &str, sql: &str| {
        let query = SqlGuard::default().check(sql, Vec::new(), SqlPrincipal::new(TenantId::DEFAULT)).unwrap();
        let mut took = Vec::new();
        let mut rows = 0;
        for _ in 0..5 {
            let begun = Instant::now();
            rows = store.query(query.clone()).await.unwrap().into_answer().await.unwrap().rows();
            took.push(begun.elapsed());
        }
        println!("{what}: {rows} rows, first {:?}, then {:?}", took[0], took.iter().skip(1).min().unwrap());
        rows
    };
    let latest = "SELECT server, database_name, id, calls FROM fleet_00_latest";
    let before = ask("the present from frames", latest).await;
    let (report, _) = during(store, "heads", Server::new(2_000_000, schemas), Some(Job::Heads)).await;
    assert!(report.chunks_out >= (servers * DATABASES * MEASUREMENTS) as u64, "{report:?}");
    let after = ask("the present from heads", latest).await;
    // The pusher's own source is there by now, too.
    assert!(before >= 4 * servers * DATABASES && (before..=before + 4).contains(&after), "{before} {after}");
    ask("select 1", "SELECT 1").await;
    let begun = Instant::now();
    let measurements = store.measurements(TenantId::DEFAULT).await.unwrap().len();
    println!("{measurements} measurements in {:?}", begun.elapsed());
    let begun = Instant::now();
    println!("{} sources in {:?}", store.sources(TenantId::DEFAULT).await.unwrap().len(), begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_do_not_wait_for_tidying() {
    let servers: usize = env::var("FLEET_SERVERS").map_or(6, |count| count.parse().unwrap());
    let (folder, schemas) = (tempfile::tempdir().unwrap(), schemas());
    let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    let begun = Instant::now();
    for number in 0..servers {
        let mut server = Server::new(number, &schemas);
        let mut frames = server.scrape(0);
        frames.extend(server.scrape(60));
        frames.extend(server.scrape(30 * 3600));
        store.append(&server.origin, server.stream, frames).await.unwrap();
    }
    let series = (servers * DATABASES * MEASUREMENTS) as u64;
    println!("{series} series, 3 frames each, made in {:?}: {}", begun.elapsed(), sizes(folder.path()));

    let pusher = |number| Server::new(servers + number, &schemas);
    during(&store, "nothing else", pusher(0), None).await;
    let compact = Job::Compact { before: at(100 * 3600) };
    let (report, _) = during(&store, "compaction", pusher(1), Some(compact)).await;
    assert!(report.chunks_in >= 3 * series, "{report:?}");
    let retain = Job::Retain { now: at(25 * 3600), default: Duration::from_secs(7200), retention: Vec::new() };
    let (report, _) = during(&store, "retention", pusher(2), Some(retain.clone())).await;
    assert_eq!(report.dropped, series);
    let (report, _) = during(&store, "retention of nothing", pusher(3), Some(retain)).await;
    assert_eq!(report.dropped, 0);
    println!("{}", sizes(folder.path()));
    the_present(&store, servers, &schemas).await;
    drop(store);
    println!("closed: {}", sizes(folder.path()));
    let log = std::fs::metadata(folder.path().join("metrics.db-wal")).map_or(0, |file| file.len());
    assert_eq!(log, 0, "a log is left behind");
}

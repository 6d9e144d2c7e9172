//! Heads of series: what is live at present is the same with them and without, whatever
//! came late, was dropped, renamed, joined, or opened anew.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use pganalytics_core::{
    Batch, CollectorId, Column, ColumnKind, ColumnType, CounterFamily, Epoch, Incarnation, InstanceId, MeasurementName,
    Position, RowsBuilder, Schema, Scrape, ScrapeClock, ScrapeKind, Seq, ServerId, Source, StreamId, TenantId,
    Timestamp, Value, frame::VerifiedFrame,
};
use pganalytics_store::{
    Job, MetricStore, Origin, StoreError,
    memory::MemoryStore,
    sql::{EngineOptions, SqlGuard, SqlPrincipal, to_json_rows},
    sqlite::{SqliteOptions, SqliteStore},
};
use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

/// 2026-01-31T12:00:00Z, a full hour.
const START: i64 = 1_769_860_800;
const KEYS: i64 = 4;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_secs(START + 60 * minute)
}

fn options() -> EngineOptions {
    let mut options = EngineOptions::default();
    (options.threads, options.latest_lookback) = (1, Duration::from_secs(200 * 366 * 86_400));
    options
}

fn open(folder: &Path) -> SqliteStore {
    let mut sqlite = SqliteOptions::default();
    sqlite.engine = options();
    SqliteStore::open(folder, sqlite).unwrap()
}

/// What happens next.
#[derive(Debug, Clone)]
enum Act {
    /// A scrape of a source, with the new values of its keys; `None`: it is gone.
    Scrape {
        source: usize,
        keyframe: bool,
        values: Vec<(i64, Option<i64>)>,
        late: bool,
        lost: bool,
    },
    /// The server is called otherwise, the schema has another column: keyframes.
    Rename(usize),
    Grow(usize),
    /// All keys are gone, and no more comes.
    Drop(usize),
    Heads,
    Compact,
    Retain(i64),
    Reopen,
    Look,
}

fn act() -> impl Strategy<Value = Act> {
    let values = vec((0..KEYS, prop::option::weighted(0.8, 0_i64..50)), 0..4);
    let rarely = |one_in: u32| prop::bool::weighted(1.0 / f64::from(one_in));
    prop_oneof![
        60 => (0_usize..3, rarely(25), values, rarely(20), rarely(25))
            .prop_map(|(source, keyframe, values, late, lost)| Act::Scrape { source, keyframe, values, late, lost }),
        1 => (0_usize..3).prop_map(Act::Rename),
        1 => (0_usize..3).prop_map(Act::Grow),
        1 => (0_usize..3).prop_map(Act::Drop),
        6 => Just(Act::Heads),
        2 => Just(Act::Compact),
        1 => (60_i64..400).prop_map(Act::Retain),
        1 => Just(Act::Reopen),
        4 => Just(Act::Look),
    ]
}

struct Watched {
    origin: Origin,
    stream: StreamId,
    name: String,
    database: String,
    wide: bool,
    minute: i64,
    /// Number of the next frame, and of the last one that this source sent.
    next: u64,
    base: Option<u64>,
    live: BTreeMap<i64, i64>,
    wants_keyframe: bool,
    dropped: bool,
    /// A frame that comes after the next one.
    held: Option<VerifiedFrame>,
}

impl Watched {
    fn new(number: usize) -> Self {
        let collector = CollectorId::from_uuid(Uuid::from_u128(number as u128 / 2 + 1));
        Self {
            origin: Origin::new(TenantId::DEFAULT, collector, at(0)),
            stream: StreamId::from_uuid(Uuid::from_u128(0x57e4 + number as u128)),
            name: format!("db{number}"),
            database: format!("app{number}"),
            wide: false,
            minute: number as i64,
            next: 1,
            base: None,
            live: BTreeMap::new(),
            wants_keyframe: true,
            dropped: false,
            held: None,
        }
    }

    fn schema(&self) -> Arc<Schema> {
        let mut columns = vec![
            Column::new("id", ColumnKind::Key, ColumnType::Int),
            Column::new("value", ColumnKind::Gauge, ColumnType::Int),
        ];
        if self.wide {
            columns.push(Column::new("more", ColumnKind::Info, ColumnType::Text));
        }
        Arc::new(Schema::new(MeasurementName::new("m").unwrap(), CounterFamily::None, columns).unwrap())
    }

    fn scrape(&mut self, keyframe: bool, values: &[(i64, Option<i64>)]) -> VerifiedFrame {
        let schema = self.schema();
        let keyframe = keyframe || std::mem::take(&mut self.wants_keyframe);
        let mut rows = RowsBuilder::new(&schema);
        let line = |id: i64, value: i64| {
            let line = [Value::Int(id), Value::Int(value), Value::Text("a text")];
            line[..schema.columns().len()].to_vec()
        };
        let changed: BTreeMap<i64, Option<i64>> = values.iter().copied().collect();
        for (id, value) in &changed {
            match value {
                Some(value) => drop(self.live.insert(*id, *value)),
                None if self.live.remove(id).is_some() && !keyframe => {
                    rows.push_gone(&[vec![Value::Int(*id)], vec![Value::Null; schema.columns().len() - 1]].concat())
                        .unwrap();
                }
                None => {}
            }
        }
        for (id, value) in &self.live {
            if keyframe || changed.contains_key(id) {
                rows.push(&line(*id, *value)).unwrap();
            }
        }
        self.minute += 1;
        let server_id = ServerId::of_host(&self.database);
        let source = Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, "a:5432"),
            server: self.name.as_str().into(),
            database: Some(self.database.as_str().into()),
        };
        let scrape = Scrape {
            collected_at: at(self.minute),
            interval_micros: 60_000_000,
            kind: if keyframe { ScrapeKind::Keyframe } else { ScrapeKind::Delta },
            epoch: Epoch::default(),
            clock: ScrapeClock::default(),
        };
        let position = Position { seq: Seq(self.next), base: self.base.map(Seq), incarnation: Incarnation::UNKNOWN };
        (self.base, self.next) = (Some(self.next), self.next + 1);
        let batch = Batch { rows: rows.finish(), schema, source, scrape };
        VerifiedFrame::of_batch(position, &batch).unwrap()
    }
}

async fn rows(store: &impl MetricStore, sql: &str) -> Vec<String> {
    let query = SqlGuard::default().check(sql, Vec::new(), SqlPrincipal::new(TenantId::DEFAULT)).unwrap();
    let answer = store.query(query).await.unwrap().into_answer().await.unwrap();
    let mut lines: Vec<String> = Vec::new();
    for batch in &answer.batches {
        lines.extend(to_json_rows(batch).iter().map(|row| serde_json::to_string(row).unwrap()));
    }
    lines.sort();
    lines
}

/// The present as a scan of all there is tells it: the rows of each source's last scrape.
const SCANNED: &str = "
    SELECT m.time, m.server, m.database_name, m.id, m.value, m.carried_over_gap FROM m
    JOIN (SELECT collector_id, server, database_name, max(time) AS newest FROM m GROUP BY 1, 2, 3) last
      ON m.collector_id = last.collector_id AND m.server = last.server AND m.database_name = last.database_name
     AND m.time = last.newest";
const LATEST: &str = "SELECT time, server, database_name, id, value, carried_over_gap FROM m_latest";

async fn run(acts: &[Act]) -> Result<usize, TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    // It has no heads, and joins nothing.
    let plain = MemoryStore::new(options()).unwrap();
    let mut all: Vec<Watched> = (0..3).map(Watched::new).collect();
    let mut heads = 0;
    for act in acts.iter().chain([&Act::Heads, &Act::Look]) {
        match act {
            Act::Scrape { source, keyframe, values, late, lost } => {
                let watched = &mut all[*source];
                if watched.dropped {
                    continue;
                }
                let frame = watched.scrape(*keyframe, values);
                if *lost {
                    continue;
                }
                if *late && watched.held.is_none() {
                    watched.held = Some(frame);
                    continue;
                }
                let frames = [Some(frame), watched.held.take()].into_iter().flatten();
                for frame in frames {
                    for outcome in [
                        store.append(&watched.origin, watched.stream, vec![frame.clone()]).await.unwrap(),
                        plain.append(&watched.origin, watched.stream, vec![frame]).await.unwrap(),
                    ] {
                        prop_assert_eq!(outcome.accepted(), 1);
                    }
                }
            }
            Act::Rename(source) => {
                all[*source].name.push('x');
                all[*source].wants_keyframe = true;
            }
            Act::Grow(source) => {
                all[*source].wide = !all[*source].wide;
                all[*source].wants_keyframe = true;
            }
            Act::Drop(source) => {
                let watched = &mut all[*source];
                if !watched.dropped {
                    watched.dropped = true;
                    watched.live.clear();
                    let frame = watched.scrape(true, &[]);
                    store.append(&watched.origin, watched.stream, vec![frame.clone()]).await.unwrap();
                    plain.append(&watched.origin, watched.stream, vec![frame]).await.unwrap();
                }
            }
            Act::Heads => heads += store.maintain(Job::Heads).await.unwrap().chunks_out,
            Act::Compact => {
                let now = all.iter().map(|watched| watched.minute).min().unwrap_or_default();
                store.maintain(Job::Compact { before: at(now) }).await.unwrap();
            }
            Act::Retain(keep) => {
                let now = all.iter().map(|watched| watched.minute).max().unwrap_or_default();
                let keep = Duration::from_secs(60 * keep.unsigned_abs());
                let job = Job::Retain { now: at(now), default: keep, retention: Vec::new() };
                store.maintain(job.clone()).await.unwrap();
                plain.maintain(job).await.unwrap();
            }
            Act::Reopen => {
                drop(store);
                store = open(folder.path());
            }
            Act::Look => {
                if store.measurements(TenantId::DEFAULT).await.unwrap().is_empty() {
                    continue;
                }
                let found = rows(&store, LATEST).await;
                prop_assert_eq!(&found, &rows(&plain, LATEST).await);
                // A source that lost its keyframe to retention, or whose last rows are gone, has no
                // row at its last scrape.
                let scanned = rows(&plain, SCANNED).await;
                let missing: Vec<_> = found.iter().filter(|row| !scanned.contains(row)).collect();
                prop_assert!(missing.is_empty(), "not in a scan: {:?} of {:?}", missing, scanned);
            }
        }
    }
    Ok(usize::try_from(heads).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn heads_and_what_follows_say_what_a_scan_says(acts in vec(act(), 20..220)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(run(&acts))?;
    }
}

/// Heads are made, or the property above says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn heads_are_made_of_what_many_frames_say_and_of_little_else() {
    let change = |minute: i64, keyframe| Act::Scrape {
        source: 0,
        keyframe,
        values: vec![(minute % KEYS, Some(minute))],
        late: false,
        lost: false,
    };
    let mut acts: Vec<Act> = (0..30).map(|minute| change(minute, minute == 0)).collect();
    assert_eq!(run(&acts).await.unwrap(), 1);
    // Made anew where as much has come again, not before.
    acts.push(Act::Heads);
    acts.extend((30..34).map(|minute| change(minute, false)));
    assert_eq!(run(&acts).await.unwrap(), 1);
    acts.push(Act::Heads);
    acts.extend((34..44).map(|minute| change(minute, false)));
    assert_eq!(run(&acts).await.unwrap(), 2);
}

fn seldom(minutes_ago: i64, hours: u64, name: &str) -> VerifiedFrame {
    let columns = vec![
        Column::new("id", ColumnKind::Key, ColumnType::Int),
        Column::new("value", ColumnKind::Gauge, ColumnType::Int),
    ];
    let schema = Schema::new(MeasurementName::new(name).unwrap(), CounterFamily::None, columns).unwrap();
    let mut rows = RowsBuilder::new(&schema);
    rows.push(&[Value::Int(1), Value::Int(minutes_ago)]).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let server_id = ServerId::of_host("db1");
    let batch = Batch {
        rows: rows.finish(),
        schema: Arc::new(schema),
        source: Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, "db1"),
            server: "db1".into(),
            database: None,
        },
        scrape: Scrape {
            collected_at: Timestamp::from_secs(i64::try_from(now.as_secs()).unwrap() - 60 * minutes_ago),
            interval_micros: hours * 3_600_000_000,
            kind: ScrapeKind::Keyframe,
            epoch: Epoch::default(),
            clock: ScrapeClock::default(),
        },
    };
    VerifiedFrame::of_batch(Seq(1), &batch).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_seldom_is_present_all_the_time_and_what_is_silent_is_not() {
    async fn check(store: &impl MetricStore) -> Result<(), StoreError> {
        let frames = [
            (seldom(5 * 60, 0, "each_minute_silent"), 0),
            (seldom(60, 0, "each_minute"), 1),
            (seldom(5 * 60 - 1, 1, "hourly"), 1),
            (seldom(5 * 60 + 10, 1, "hourly_silent"), 0),
            (seldom(70 * 60, 24, "daily"), 1),
            (seldom(75 * 60, 24, "daily_silent"), 0),
        ];
        for (number, (frame, _)) in frames.iter().enumerate() {
            let stream = StreamId::from_uuid(Uuid::from_u128(number as u128 + 1));
            let origin = Origin::new(TenantId::DEFAULT, CollectorId::from_uuid(Uuid::from_u128(1)), at(0));
            assert_eq!(store.append(&origin, stream, vec![frame.clone()]).await?.accepted(), 1);
        }
        store.maintain(Job::Heads).await?;
        for (frame, expected) in &frames {
            let name = frame.frame().unwrap().schema().measurement().clone();
            let found = rows(store, &format!("SELECT id, value FROM {name}_latest")).await;
            assert_eq!(found.len(), *expected, "{name}: {found:?}");
        }
        Ok(())
    }
    let folder = tempfile::tempdir().unwrap();
    check(&SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap()).await.unwrap();
    check(&MemoryStore::new(EngineOptions::default()).unwrap()).await.unwrap();
}

//! Random lives of sources: what SQL answers equals the model, whatever was
//! filtered, lost, reordered or compacted.

use std::{collections::BTreeMap, sync::Arc};

use pganalytics_core::{
    CounterFamily, Schema, Scrape, ScrapeClock, ScrapeKind, Timestamp, Value, frame::VerifiedFrame,
};
use proptest::{collection::vec, option, prelude::*};
use serde_json::Value as Json;

use super::{
    fixture::{Feed, at, epoch, options, schema, sorted, source, tenant},
    model::{self, Moment, Origin, Row},
};
use crate::{Job, MetricStore, memory::MemoryStore};

const FAMILY: CounterFamily = CounterFamily::Cumulative;
const KEYS: usize = 5;

/// What happens to a key between two scrapes.
#[derive(Debug, Clone)]
enum Change {
    Nothing,
    Rise(i64, Option<f64>),
    Resize(Option<i64>),
    Note(u8),
    Extra(Option<i64>),
    /// Its counters are set to zero, alone.
    Reset,
    Vanish,
    Return(i64),
}

#[derive(Debug, Clone)]
struct Step {
    minutes: i64,
    keyframe: bool,
    lost: bool,
    /// All counters begin anew.
    wiped: bool,
    changes: Vec<Change>,
    flush: bool,
    backwards: bool,
    compact: bool,
}

#[derive(Debug, Clone)]
struct Life {
    steps: Vec<Step>,
    /// From this step on the schema has one column more.
    grows_at: usize,
}

/// A condition as SQL and as what it means.
#[derive(Debug, Clone)]
enum Condition {
    Since(i64),
    Between(i64, i64),
    Key(i64),
    OddKeys,
    Server(&'static str),
    Database(Option<&'static str>),
    Calls(i64),
}

impl Condition {
    fn sql(&self) -> String {
        let time = |seconds| jiff::Timestamp::from_microsecond(at(seconds).as_micros()).unwrap();
        match self {
            Self::Since(from) => format!("time >= '{}'", time(*from)),
            Self::Between(from, to) => format!("time > '{}' AND time <= '{}'", time(*from), time(*to)),
            Self::Key(key) => format!("id IN ({key}, 99)"),
            Self::OddKeys => "id % 2 = 1".to_owned(),
            Self::Server(name) => format!("server = '{name}'"),
            Self::Database(Some(name)) => format!("database_name = '{name}'"),
            Self::Database(None) => "database_name IS NULL".to_owned(),
            Self::Calls(least) => format!("calls >= {least}"),
        }
    }

    fn holds(&self, origin: &Origin, time: Timestamp, key: i64, line: &[Json]) -> bool {
        match self {
            Self::Since(from) => time >= at(*from),
            Self::Between(from, to) => time > at(*from) && time <= at(*to),
            Self::Key(wanted) => key == *wanted,
            Self::OddKeys => key % 2 == 1,
            Self::Server(name) => origin.server == *name,
            Self::Database(name) => origin.database.as_deref() == *name,
            Self::Calls(least) => line[4].as_i64().is_some_and(|calls| calls >= *least),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => Just(Change::Nothing),
        6 => (0_i64..50, option::of((0_u32..40).prop_map(|quarters| f64::from(quarters) / 4.0)))
            .prop_map(|(calls, ms)| Change::Rise(calls, ms)),
        2 => option::of(0_i64..5).prop_map(Change::Resize),
        1 => (0_u8..3).prop_map(Change::Note),
        1 => option::of(0_i64..5).prop_map(Change::Extra),
        1 => Just(Change::Reset),
        2 => Just(Change::Vanish),
        2 => (0_i64..30).prop_map(Change::Return),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let rarely = |one_in: u32| prop::bool::weighted(1.0 / f64::from(one_in));
    (
        prop_oneof![4 => 1_i64..3, 1 => 3_i64..20],
        rarely(8),
        rarely(12),
        rarely(15),
        vec(change(), KEYS),
        any::<bool>(),
        any::<bool>(),
        rarely(10),
    )
        .prop_map(|(minutes, keyframe, lost, wiped, changes, flush, backwards, compact)| Step {
            minutes,
            keyframe,
            lost,
            wiped,
            changes,
            flush,
            backwards,
            compact,
        })
}

fn life() -> impl Strategy<Value = Life> {
    (vec(step(), 1..60), 0_usize..40).prop_map(|(steps, grows_at)| Life { steps, grows_at })
}

fn condition() -> impl Strategy<Value = Condition> {
    let seconds = || -600_i64..5 * 3600;
    prop_oneof![
        3 => seconds().prop_map(Condition::Since),
        3 => (seconds(), 0_i64..3600).prop_map(|(from, length)| Condition::Between(from, from + length)),
        2 => (0..KEYS as i64).prop_map(Condition::Key),
        1 => Just(Condition::OddKeys),
        1 => prop::sample::select(vec!["db1", "db2", "db3"]).prop_map(Condition::Server),
        1 => prop::sample::select(vec![None, Some("app")]).prop_map(Condition::Database),
        1 => (0_i64..60).prop_map(Condition::Calls),
    ]
}

fn schemas() -> [Arc<Schema>; 2] {
    let old = [("id", "key:int"), ("calls", "counter:int"), ("ms", "counter:float"), ("size", "gauge:int")];
    let new = [("id", "key:int"), ("extra", "gauge:int"), ("calls", "counter:int"), ("ms", "counter:float")];
    let of = |columns: [(&str, &str); 4], more: &[(&str, &str)]| {
        let columns: Vec<_> = columns.iter().chain(more).copied().collect();
        Arc::new(schema("m", FAMILY, &columns))
    };
    [of(old, &[("note", "info:text")]), of(new, &[("note", "info:text"), ("size", "gauge:int")])]
}

/// A source that is watched: what there is, what was sent, what was stored.
struct Watched {
    feed: Feed,
    schemas: [Arc<Schema>; 2],
    rows: BTreeMap<i64, Row>,
    minute: i64,
    wiped_at: i64,
    /// What the change filter compares with; `None` asks for a keyframe.
    sent: Option<BTreeMap<i64, Row>>,
    last_keyframe: Option<i64>,
    grown: bool,
    pending: Vec<VerifiedFrame>,
    moments: Vec<Moment>,
}

fn values<'a>(schema: &Schema, key: i64, row: Option<&'a Row>) -> Vec<Value<'a>> {
    let one = |name: &str| match (name, row) {
        ("id", _) => Value::Int(key),
        ("calls", Some(row)) => Value::Int(row.calls),
        ("ms", Some(row)) => row.ms.map_or(Value::Null, Value::Float),
        ("size", Some(row)) => row.size.map_or(Value::Null, Value::Int),
        ("extra", Some(row)) => row.extra.map_or(Value::Null, Value::Int),
        ("note", Some(row)) => Value::Text(&row.note),
        _ => Value::Null,
    };
    schema.columns().iter().map(|column| one(&column.name)).collect()
}

impl Watched {
    fn new(store: &MemoryStore, collector: u128, server: &str, database: Option<&str>) -> Self {
        Self {
            feed: Feed::into(store.clone(), tenant(1), collector, source(server, database)),
            schemas: schemas(),
            rows: BTreeMap::new(),
            minute: 0,
            wiped_at: -1_000,
            sent: None,
            last_keyframe: None,
            grown: false,
            pending: Vec::new(),
            moments: Vec::new(),
        }
    }

    fn live(&mut self, step: &Step, grown: bool) {
        self.minute += step.minutes;
        if step.wiped {
            self.wiped_at = self.minute;
            self.sent = None;
            for row in self.rows.values_mut() {
                row.calls = 0;
                row.ms = row.ms.map(|_| 0.0);
            }
        }
        for (key, change) in (0..).zip(&step.changes) {
            let row = self.rows.get_mut(&key);
            match (change, row) {
                (Change::Rise(calls, ms), Some(row)) => {
                    row.calls += calls;
                    row.ms = ms.map(|ms| row.ms.unwrap_or_default() + ms).or(row.ms);
                }
                (Change::Resize(size), Some(row)) => row.size = *size,
                (Change::Note(note), Some(row)) => row.note = format!("a note of more than twelve bytes: {note}"),
                (Change::Extra(extra), Some(row)) => row.extra = *extra,
                (Change::Reset, Some(row)) => (row.calls, row.ms) = (0, row.ms.map(|_| 0.0)),
                (Change::Vanish, Some(_)) => drop(self.rows.remove(&key)),
                (Change::Return(calls), None) => {
                    let row = Row { calls: *calls, ms: None, size: Some(*calls), extra: None, note: "new".to_owned() };
                    self.rows.insert(key, row);
                }
                _ => {}
            }
        }
        if grown != self.grown {
            self.grown = grown;
            self.sent = None;
        }
        let since_keyframe = self.last_keyframe.map_or(i64::MAX, |at| self.minute - at);
        // Stored keyframes must be no more than an hour apart.
        if step.lost && since_keyframe <= 30 {
            self.sent = None;
            return;
        }
        self.store(step.keyframe || since_keyframe > 40);
    }

    fn store(&mut self, keyframe: bool) {
        let visible: BTreeMap<i64, Row> = self
            .rows
            .iter()
            .map(|(key, row)| (*key, Row { extra: row.extra.filter(|_| self.grown), ..row.clone() }))
            .collect();
        let kind = if keyframe || self.sent.is_none() { ScrapeKind::Keyframe } else { ScrapeKind::Delta };
        let sent = self.sent.replace(visible.clone()).filter(|_| kind == ScrapeKind::Delta).unwrap_or_default();
        if kind == ScrapeKind::Keyframe {
            self.last_keyframe = Some(self.minute);
        }
        let schema = Arc::clone(&self.schemas[usize::from(self.grown)]);
        let changed = visible.iter().filter(|(key, row)| sent.get(key) != Some(row));
        let mut rows: Vec<_> = changed.map(|(key, row)| (values(&schema, *key, Some(row)), false)).collect();
        let gone = sent.keys().filter(|key| !visible.contains_key(key));
        rows.extend(gone.map(|key| (values(&schema, *key, None), true)));
        let (time, epoch) = (at(60 * self.minute), epoch(60 * self.wiped_at));
        let scrape =
            Scrape { collected_at: time, interval_micros: 60_000_000, kind, epoch, clock: ScrapeClock::default() };
        // A third of the keyframes are one frame.
        match usize::try_from(self.minute % 3).unwrap_or_default() {
            more @ 1.. if kind == ScrapeKind::Keyframe => {
                self.pending.extend(self.feed.keyframe_in_parts(&schema, scrape, &rows, 1 + more));
            }
            _ => self.pending.push(self.feed.frame(&schema, scrape, &rows)),
        }
        self.moments.push(Moment { time, epoch, rows: visible });
    }

    async fn flush(&mut self, backwards: bool) {
        if backwards {
            self.pending.reverse();
        }
        if !self.pending.is_empty() {
            self.feed.append(std::mem::take(&mut self.pending)).await;
        }
    }

    fn origin(&self) -> Origin {
        let source = &self.feed.source;
        Origin { server: source.server.to_string(), database: source.database.as_ref().map(ToString::to_string) }
    }
}

const COLUMNS: &str = "time, server, database_name, id, calls, ms, size, extra, note";

/// Asks for all rows that pass the conditions and compares with the model.
async fn compare(all: &[Watched], conditions: &[Condition]) -> Result<(), TestCaseError> {
    let feed = &all[0].feed;
    let sql = |columns: &str, table: &str| {
        let conditions: Vec<String> = conditions.iter().map(Condition::sql).collect();
        let conditions = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
        format!("SELECT {columns} FROM {table} WHERE {conditions}")
    };
    let (mut samples, mut increases) = (Vec::new(), Vec::new());
    for watched in all {
        let origin = watched.origin();
        let passes = |(time, key, line): &(Timestamp, i64, Vec<Json>)| {
            conditions.iter().all(|condition| condition.holds(&origin, *time, *key, line))
        };
        samples.extend(model::samples(&origin, &watched.moments).into_iter().filter(passes).map(|(.., line)| line));
        let made = model::increases(&origin, FAMILY, &watched.moments);
        increases.extend(made.into_iter().filter(passes).map(|(.., line)| line));
    }
    let question = sql(COLUMNS, "m");
    prop_assert_eq!(sorted(feed.ask(&question).await), sorted(samples.clone()), "{}", question);
    let question = sql(&format!("{COLUMNS}, delta_seconds, delta_quality"), "m_delta");
    prop_assert_eq!(sorted(feed.ask(&question).await), sorted(increases.clone()), "{}", question);
    // Their sums, which need no rows of whole blocks.
    let question = sql("server, database_name, id, sum(calls), sum(ms)", "m_delta") + " GROUP BY 1, 2, 3";
    prop_assert_eq!(sorted(feed.ask(&question).await), sorted(sums(&increases)), "{}", question);
    // Fewer columns, and none: the same rows.
    let few = |lines: &[Vec<Json>]| lines.iter().map(|line| vec![line[6].clone(), line[3].clone()]).collect();
    prop_assert_eq!(sorted(feed.ask(&sql("size, id", "m")).await), sorted(few(&samples)));
    prop_assert_eq!(sorted(feed.ask(&sql("size, id", "m_delta")).await), sorted(few(&increases)));
    let counts = [feed.ask(&sql("count(*)", "m")).await, feed.ask(&sql("count(*)", "m_delta")).await];
    prop_assert_eq!(counts.map(|rows| rows[0][0].as_u64()), [samples.len(), increases.len()].map(|n| Some(n as u64)));
    Ok(())
}

/// The sums of counters of each source and key.
fn sums(lines: &[Vec<Json>]) -> Vec<Vec<Json>> {
    let mut all: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for line in lines {
        let key = line[1..4].to_vec();
        let sum = all.entry(format!("{key:?}")).or_insert_with(|| [key, vec![Json::Null; 2]].concat());
        if let Some(calls) = line[4].as_i64() {
            sum[3] = Json::from(sum[3].as_i64().unwrap_or_default() + calls);
        }
        if let Some(ms) = line[5].as_f64() {
            sum[4] = Json::from(sum[4].as_f64().unwrap_or_default() + ms);
        }
    }
    all.into_values().collect()
}

async fn compare_all(all: &[Watched], questions: &[Vec<Condition>]) -> Result<(), TestCaseError> {
    compare(all, &[]).await?;
    for conditions in questions {
        compare(all, conditions).await?;
    }
    let latest = all.iter().flat_map(|watched| model::latest(&watched.origin(), &watched.moments)).collect();
    let answer = all[0].feed.ask(&format!("SELECT {COLUMNS} FROM m_latest")).await;
    prop_assert_eq!(sorted(answer), sorted(latest));
    Ok(())
}

async fn run(lives: &[Life], questions: &[Vec<Condition>]) -> Result<(), TestCaseError> {
    let store = MemoryStore::new(options()).unwrap();
    let places = [(1, "db1", Some("app")), (1, "db1", None), (2, "db2", Some("app"))];
    let mut all: Vec<_> = places
        .into_iter()
        .map(|(collector, server, database)| Watched::new(&store, collector, server, database))
        .collect();
    let longest = lives.iter().map(|life| life.steps.len()).max().unwrap_or_default();
    for at_step in 0..longest {
        for ((watched, life), first) in all.iter_mut().zip(lives).zip([true, false, false]) {
            let Some(step) = life.steps.get(at_step) else { continue };
            // One source has all columns from the start, so that they can be asked for.
            watched.live(step, first || at_step >= life.grows_at);
            if step.flush {
                watched.flush(step.backwards).await;
            }
        }
        if lives[0].steps.get(at_step).is_some_and(|step| step.compact) {
            for watched in &mut all {
                watched.flush(false).await;
            }
            let before = all.iter().map(|watched| watched.minute).min().unwrap_or_default();
            store.maintain(Job::Compact { before: at(60 * before) }).await.unwrap();
        }
    }
    for watched in &mut all {
        watched.flush(true).await;
    }
    compare_all(&all, questions).await?;
    store.maintain(Job::Compact { before: at(1_000_000) }).await.unwrap();
    compare_all(&all, questions).await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn answers_equal_the_model(
        lives in vec(life(), 3),
        questions in vec(vec(condition(), 1..4), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(&lives, &questions))?;
    }
}

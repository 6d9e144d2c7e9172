//! The five events that counters meet: clean restart, crash of a backend,
//! immediate stop, reset of one statement, reset of one table. A known workload
//! runs before and after each; what the samples add up to is what was done, or
//! it is flagged; it is never negative and never more.

use std::{sync::Arc, time::Duration};

use pganalytics_core::{
    Batch, ColumnKind, Timestamp, Value,
    increase::{Before, Now, Quality, judge, of_float, of_int},
};
use pganalytics_testkit::{Cluster, versions};
use tokio_postgres::Client;

use crate::watch::{Watch, batches, only, row_where, value};

/// What was done, or seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Work {
    inserts: i64,
    scans: i64,
    lookups: i64,
}

impl std::ops::Add for Work {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            inserts: self.inserts + other.inserts,
            scans: self.scans + other.scans,
            lookups: self.lookups + other.lookups,
        }
    }
}

const fn work(inserts: i64, scans: i64, lookups: i64) -> Work {
    Work { inserts, scans, lookups }
}

async fn until(observer: &Client, reached: impl Fn(Work) -> bool) {
    let mut now = Work::default();
    for _ in 0..1200 {
        now = counters(observer).await;
        if reached(now) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server never showed the work, but {now:?}");
}

struct Bench {
    cluster: Cluster,
    watch: Watch,
    last: Vec<Batch>,
    next_id: i64,
}

/// An increase and how well it is known.
type Seen = (Option<i64>, Quality);

const MEASUREMENTS: &[&str] =
    &["pg_stat_database", "pg_stat_user_tables", "pg_stat_user_indexes", "pg_stat_statements"];

async fn counters(client: &Client) -> Work {
    let sql = "select coalesce(n_tup_ins, 0), coalesce(seq_scan, 0), coalesce(idx_scan, 0) \
               from pg_stat_user_tables where relname = 'known'";
    let row = client.query_one(sql, &[]).await.unwrap();
    work(row.get(0), row.get(1), row.get(2))
}

impl Bench {
    async fn new(version: u16) -> Self {
        let cluster = Cluster::builder(version).with_statements().setting("autovacuum", "off").start().await.unwrap();
        cluster.sql("postgres", "create table known (a bigint primary key, b int)").await.unwrap();
        let watch = Watch::new(&cluster.monitor_url("postgres"), only(MEASUREMENTS));
        let mut bench = Self { cluster, watch, last: Vec::new(), next_id: 0 };
        bench.work(work(50, 20, 30)).await;
        bench.last = bench.visit().await;
        bench
    }

    /// Does a known amount of work and waits until the counters show it.
    async fn work(&mut self, todo: Work) {
        let observer = self.cluster.client("postgres").await.unwrap();
        let before = counters(&observer).await;
        let client = self.cluster.client("postgres").await.unwrap();
        for _ in 0..todo.inserts {
            self.next_id += 1;
            client.batch_execute(&format!("insert into known values ({}, 1)", self.next_id)).await.unwrap();
        }
        client.batch_execute("set enable_seqscan = on; set enable_indexscan = off; set enable_indexonlyscan = off; set enable_bitmapscan = off").await.unwrap();
        for _ in 0..todo.scans {
            client.batch_execute("select count(*) from known").await.unwrap();
        }
        client.batch_execute("set enable_seqscan = off; set enable_indexscan = on").await.unwrap();
        for _ in 0..todo.lookups {
            client.batch_execute("select b from known where a = 1").await.unwrap();
        }
        drop(client);
        // The scan that built the index may have been counted only now. Look-ups come last: when
        // they are there, all is.
        until(&observer, |now| {
            now.inserts == before.inserts + todo.inserts
                && now.scans >= before.scans + todo.scans
                && now.lookups == before.lookups + todo.lookups
        })
        .await;
    }

    async fn visit(&mut self) -> Vec<Batch> {
        let collected = self.watch.visit().await;
        for name in MEASUREMENTS {
            assert_eq!(batches(&collected, name).count(), 1, "{name}: {:#?}", collected.reports);
        }
        collected.batches
    }

    /// Visits, and says by how much each counter rose since the visit before.
    async fn seen(&mut self) -> Increases {
        let now = self.visit().await;
        let before = std::mem::replace(&mut self.last, now.clone());
        let increases = Increases { version: self.cluster.version(), before, now };
        increases.none_is_impossible();
        increases
    }
}

struct Increases {
    version: u16,
    before: Vec<Batch>,
    now: Vec<Batch>,
}

impl Increases {
    fn pair(&self, name: &str) -> (&Batch, &Batch) {
        let find = |batches: &'_ [Batch]| {
            batches.iter().position(|batch| batch.schema.measurement().as_str() == name).unwrap()
        };
        (&self.before[find(&self.before)], &self.now[find(&self.now)])
    }

    fn of_row(&self, name: &str, row: usize, column: usize) -> (Option<f64>, Seen) {
        let (before, now) = self.pair(name);
        let schema = &now.schema;
        let continuity = before.scrape.epoch.until(&now.scrape.epoch, schema.family());
        let keys: Vec<usize> = schema.positions_of(ColumnKind::Key).collect();
        let same = |other: &usize| keys.iter().all(|&key| before.rows.get(*other, key) == now.rows.get(row, key));
        let old = (0..before.rows.len()).find(same);
        let stamp = |batch: &Batch, row: usize| match schema.row_stamp().map(|at| batch.rows.get(row, at)) {
            Some(Value::Timestamp(micros)) => Some(Timestamp::from_micros(micros)),
            _ => None,
        };
        let fell = || {
            schema.positions_of(ColumnKind::Counter).any(|at| {
                match (old.map(|old| before.rows.get(old, at)), now.rows.get(row, at)) {
                    (Some(Value::Int(was)), Value::Int(is)) => is < was,
                    (Some(Value::Float(was)), Value::Float(is)) => is < was,
                    _ => false,
                }
            })
        };
        let was = match old {
            Some(old) => Before::Row { stamp: stamp(before, old), was_gone: false },
            None => Before::Absent,
        };
        let at = Now { row_stamp: stamp(now, row), previous_scrape: before.scrape.collected_at };
        let verdict = judge(schema.family(), continuity, was, at, fell);
        let old_value = old.map_or(Value::Null, |old| before.rows.get(old, column));
        let int = |value| match value {
            Value::Int(value) => Some(value),
            _ => None,
        };
        let float = |value| match value {
            Value::Float(value) => Some(value),
            _ => None,
        };
        let new_value = now.rows.get(row, column);
        let as_float = of_float(verdict.rule, float(old_value), float(new_value));
        (as_float, (of_int(verdict.rule, int(old_value), int(new_value)), verdict.quality))
    }

    fn of(&self, name: &str, keys: &[(&str, &str)], column: &str) -> Seen {
        let (_, now) = self.pair(name);
        let row = row_where(now, keys).unwrap_or_else(|| panic!("{}: no {keys:?} in {name}", self.version));
        self.of_row(name, row, now.schema.position(column).unwrap()).1
    }

    fn table(&self, column: &str) -> Seen {
        self.of("pg_stat_user_tables", &[("relname", "known")], column)
    }

    fn index(&self) -> Seen {
        self.of("pg_stat_user_indexes", &[("indexrelname", "known_pkey")], "idx_scan")
    }

    fn database(&self) -> Seen {
        self.of("pg_stat_database", &[("datname", "postgres")], "tup_inserted")
    }

    fn statement(&self, id: i64) -> Seen {
        let (_, now) = self.pair("pg_stat_statements");
        let row = (0..now.rows.len()).find(|&row| value(now, row, "queryid") == Value::Int(id));
        let row = row.unwrap_or_else(|| panic!("{}: statement {id} is gone", self.version));
        self.of_row("pg_stat_statements", row, now.schema.position("calls").unwrap()).1
    }

    /// No counter of any row rose by less than nothing or more than it shows.
    fn none_is_impossible(&self) {
        for name in MEASUREMENTS {
            let (_, now) = self.pair(name);
            for row in 0..now.rows.len() {
                for column in now.schema.positions_of(ColumnKind::Counter) {
                    let (float, (int, _)) = self.of_row(name, row, column);
                    let place = || format!("{} {name} {}", self.version, now.schema.columns()[column].name);
                    match now.rows.get(row, column) {
                        Value::Int(value) => assert!(int.is_none_or(|int| (0..=value).contains(&int)), "{}", place()),
                        Value::Float(value) => {
                            assert!(float.is_none_or(|float| (0.0..=value).contains(&float)), "{}", place());
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}

async fn insert_id(cluster: &Cluster) -> i64 {
    let client = cluster.client("postgres").await.unwrap();
    let sql = "select queryid from pg_stat_statements where query like 'insert into known%'";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_are_exact_across_all_five_events() {
    let tasks: Vec<_> = versions().into_iter().map(|version| tokio::spawn(five_events(version))).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn five_events(version: u16) {
    use Quality::{Exact, LowerBound};
    let mut bench = Bench::new(version).await;
    let id = insert_id(&bench.cluster).await;
    let (a, b) = (work(7, 3, 5), work(2, 1, 3));
    let both = a + b;
    let exact = |count: i64| (Some(count), Exact);
    let at_least = |count: i64| (Some(count), LowerBound);

    // Nothing at all, and plain work.
    bench.work(a).await;
    let seen = bench.seen().await;
    assert_eq!(seen.table("n_tup_ins"), exact(a.inserts), "{version}");
    assert_eq!(seen.table("seq_scan"), exact(a.scans), "{version}");
    assert_eq!(seen.index(), exact(a.lookups), "{version}");
    assert_eq!(seen.database(), exact(a.inserts), "{version}");
    assert_eq!(seen.statement(id), exact(a.inserts), "{version}");

    // 1. A clean restart loses nothing.
    bench.work(a).await;
    bench.cluster.restart().await.unwrap();
    bench.work(b).await;
    let seen = bench.seen().await;
    assert_eq!(seen.table("n_tup_ins"), exact(both.inserts), "{version} restart");
    assert_eq!(seen.table("seq_scan"), exact(both.scans), "{version} restart");
    assert_eq!(seen.index(), exact(both.lookups), "{version} restart");
    assert_eq!(seen.database(), exact(both.inserts), "{version} restart");
    assert_eq!(seen.statement(id), exact(both.inserts), "{version} restart");

    // 2. A crash loses all; what came after it is known to be no more than a part.
    bench.work(a).await;
    bench.cluster.kill9_backend().await.unwrap();
    bench.work(b).await;
    let seen = bench.seen().await;
    assert_eq!(seen.table("n_tup_ins"), at_least(b.inserts), "{version} crash");
    assert_eq!(seen.index(), at_least(b.lookups), "{version} crash");
    assert_eq!(seen.database(), at_least(b.inserts), "{version} crash");
    assert_eq!(seen.statement(id), at_least(b.inserts), "{version} crash");
    // Also where so much is done after it that nothing seems to fall.
    bench.work(b).await;
    let seen = bench.seen().await;
    assert_eq!(seen.table("n_tup_ins"), exact(b.inserts), "{version} after the crash");
    bench.cluster.kill9_backend().await.unwrap();
    bench.work(work(60, 20, 60)).await;
    let seen = bench.seen().await;
    assert_eq!(seen.table("n_tup_ins"), at_least(60), "{version} busy after a crash");
    assert_eq!(seen.index(), at_least(60), "{version} busy after a crash");
    assert_eq!(seen.database(), at_least(60), "{version} busy after a crash");
    assert_eq!(seen.statement(id), at_least(60), "{version} busy after a crash");

    // 3. An immediate stop loses all but statements.
    bench.work(a).await;
    bench.cluster.stop_immediate_and_start().await.unwrap();
    bench.work(b).await;
    let seen = bench.seen().await;
    assert_eq!(seen.table("n_tup_ins"), at_least(b.inserts), "{version} immediate");
    assert_eq!(seen.index(), at_least(b.lookups), "{version} immediate");
    assert_eq!(seen.database(), at_least(b.inserts), "{version} immediate");
    assert_eq!(seen.statement(id), exact(both.inserts), "{version} immediate");

    // 4. The reset of one statement touches nothing else.
    bench.work(a).await;
    bench.cluster.sql("postgres", &format!("select pg_stat_statements_reset(0, 0, {id})")).await.unwrap();
    bench.work(b).await;
    let seen = bench.seen().await;
    assert_eq!(seen.table("n_tup_ins"), exact(both.inserts), "{version} statement reset");
    assert_eq!(seen.database(), exact(both.inserts), "{version} statement reset");
    assert_eq!(seen.statement(id), at_least(b.inserts), "{version} statement reset");

    // 5. The reset of one table moves its database's stamp and nothing else.
    bench.work(a).await;
    bench.cluster.sql("postgres", "select pg_stat_reset_single_table_counters('known'::regclass)").await.unwrap();
    let observer = bench.cluster.client("postgres").await.unwrap();
    until(&observer, |now| now.inserts == 0).await;
    bench.work(b).await;
    let seen = bench.seen().await;
    assert_eq!(seen.table("n_tup_ins"), at_least(b.inserts), "{version} table reset");
    assert_eq!(seen.index(), exact(both.lookups), "{version} table reset");
    assert_eq!(seen.database(), exact(both.inserts), "{version} table reset");
    assert_eq!(seen.statement(id), exact(both.inserts), "{version} table reset");

    // And on it goes.
    bench.work(a).await;
    let seen = bench.seen().await;
    assert_eq!(seen.table("n_tup_ins"), exact(a.inserts), "{version} at last");
    assert_eq!(seen.statement(id), exact(a.inserts), "{version} at last");
}

/// A reset of all statements while they are collected again and again: no
/// sample may hold values of one epoch under the stamp of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_in_the_middle_of_a_visit_count_nothing_twice() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Arc::new(Cluster::start(version).await.unwrap());
    cluster.sql("postgres", "create table known (a int)").await.unwrap();
    cluster.sql("postgres", "insert into known values (1)").await.unwrap();
    let id = insert_id(&cluster).await;
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_stat_statements"]));
    let mut last = watch.visit().await.batches;
    let busy = {
        let cluster = Arc::clone(&cluster);
        tokio::spawn(async move {
            let client = cluster.client("postgres").await.unwrap();
            let mut done = 1_i64;
            for round in 0..400 {
                client.batch_execute("insert into known values (1)").await.unwrap();
                done += 1;
                if round % 10 == 5 {
                    client.batch_execute("select pg_stat_statements_reset()").await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            done
        })
    };
    let mut total = 1;
    while !busy.is_finished() {
        let now = watch.visit().await.batches;
        if now.is_empty() {
            continue;
        }
        let increases = Increases { version, before: last, now: now.clone() };
        let (_, batch) = increases.pair("pg_stat_statements");
        if (0..batch.rows.len()).any(|row| value(batch, row, "queryid") == Value::Int(id)) {
            total += increases.statement(id).0.unwrap_or_default();
        }
        last = now;
    }
    let done = busy.await.unwrap();
    assert!(total <= done, "{total} counted of {done} done");
    assert!(total > 0);
}

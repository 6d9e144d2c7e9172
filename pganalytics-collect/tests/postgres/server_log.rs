//! A server's log becomes rows, each entry once, whatever happens to files and
//! agents.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use pganalytics_collect::{Collected, Outcome, logs::MEASUREMENTS};
use pganalytics_core::{Batch, Value, frame};
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, config, context, only, outcome, row_where, value};

const CANARY: &str = "c4n4ry";

pub(crate) fn newest() -> Option<u16> {
    versions().last().copied()
}

fn watch(cluster: &Cluster, change: impl FnOnce(&mut pganalytics_collect::postgres::PostgresConfig)) -> Watch {
    let mut config = config(&cluster.monitor_url("postgres"));
    config.log.from_start = true;
    change(&mut config);
    let mut watch = Watch::with(config, only(MEASUREMENTS));
    watch.collectors.retain(|collector| collector.name().starts_with("log "));
    watch
}

pub(crate) async fn collecting(version: u16, settings: &[(&str, &str)]) -> Cluster {
    let mut builder =
        Cluster::builder(version).setting("logging_collector", "on").setting("log_min_messages", "notice");
    for (name, value) in settings {
        builder = builder.setting(name, value);
    }
    builder.start().await.unwrap()
}

/// Logs the numbers, each in an entry of its own that has several lines.
pub(crate) async fn log_numbers(cluster: &Cluster, numbers: std::ops::Range<u32>) {
    let (first, last) = (numbers.start, numbers.end - 1);
    let sql = format!(
        "do $$ begin for n in {first}..{last} loop \
         begin execute 'select number_' || n || E'\\n from nowhere'; exception when others then \
         raise warning using message = 'missing number_' || n || '_', errcode = '42P01', detail = E'one\\ntwo'; end; \
         end loop; end $$"
    );
    cluster.sql("postgres", &sql).await.unwrap();
}

/// The numbers in the messages of `pg_log`, and how often each came.
pub(crate) fn numbers_in<'a>(batches: impl Iterator<Item = &'a Batch>, found: &mut BTreeMap<u32, u32>) {
    for batch in batches {
        for row in 0..batch.rows.len() {
            let Value::Text(text) = value(batch, row, "message") else { continue };
            let number = text.split("number_").nth(1).and_then(|rest| rest.split('_').next());
            if let Some(number) = number.and_then(|number| number.parse().ok()) {
                *found.entry(number).or_default() += 1;
            }
        }
    }
}

/// Visits until nothing new has come for some visits.
async fn read_all(watch: &mut Watch, found: &mut BTreeMap<u32, u32>, until: u32) {
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut quiet = 0;
    while quiet < 3 {
        let missing = || (0..until).filter(|number| !found.contains_key(number)).collect::<Vec<_>>();
        assert!(Instant::now() < deadline, "these do not come: {:?}", missing());
        let collected = watch.visit().await;
        assert!(matches!(outcome(&collected, "pg_log"), Outcome::Collected { .. }), "{:?}", collected.reports);
        numbers_in(batches(&collected, "pg_log"), found);
        quiet = if found.len() >= until as usize { quiet + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn each_once(found: &BTreeMap<u32, u32>, until: u32) {
    let missing: Vec<u32> = (0..until).filter(|number| !found.contains_key(number)).collect();
    let twice: Vec<_> = found.iter().filter(|(_, count)| **count != 1).collect();
    assert!(missing.is_empty() && twice.is_empty(), "missing {missing:?}, more than once {twice:?}");
    assert_eq!(found.len(), until as usize);
}

fn log_files(cluster: &Cluster) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(cluster.data_dir().join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Has the server begin a new file, and waits until it is there: it only asks its
/// collector to.
async fn rotate(cluster: &Cluster) {
    let before = log_files(cluster);
    let deadline = Instant::now() + Duration::from_secs(60);
    // Within a second the new file would have the old one's name: asked again.
    while log_files(cluster).iter().all(|file| before.contains(file)) {
        assert!(Instant::now() < deadline, "no new file comes");
        cluster.sql("postgres", "select pg_rotate_logfile()").await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_brings_each_entry_once() {
    for version in versions() {
        for destination in ["stderr", "stderr,csvlog", "stderr,csvlog,jsonlog"] {
            if destination.contains("json") && version < 15 {
                continue;
            }
            let cluster = collecting(version, &[("log_destination", destination)]).await;
            let mut watch = watch(&cluster, |config| config.log.redaction = pganalytics_collect::logs::Redaction::None);
            let mut found = BTreeMap::new();
            log_numbers(&cluster, 0..50).await;
            read_all(&mut watch, &mut found, 50).await;
            log_numbers(&cluster, 50..60).await;
            read_all(&mut watch, &mut found, 60).await;
            each_once(&found, 60);
            let collected = watch.visit().await;
            let summary = batches(&collected, "pg_log_summary").next().unwrap();
            let row = row_where(summary, &[("severity", "WARNING"), ("datname", "postgres")]).unwrap();
            assert_eq!(value(summary, row, "entries"), Value::Int(60), "{version} {destination}");
            assert_eq!(value(summary, row, "left_out"), Value::Int(0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_truncation_and_removal_lose_nothing_that_was_there() {
    let Some(version) = newest() else { return };
    let settings = [("log_filename", "pg-%H%M%S.log"), ("log_rotation_size", "64kB")];
    let cluster = collecting(version, &settings).await;
    let plain = |config: &mut pganalytics_collect::postgres::PostgresConfig| {
        config.log.redaction = pganalytics_collect::logs::Redaction::None;
    };
    let mut watch = watch(&cluster, plain);
    let mut found = BTreeMap::new();
    // By size, many times between two visits.
    log_numbers(&cluster, 0..20).await;
    watch.visit().await.batches.iter().for_each(|batch| {
        if batch.schema.measurement().as_str() == "pg_log" {
            numbers_in(std::iter::once(batch), &mut found);
        }
    });
    log_numbers(&cluster, 20..2000).await;
    read_all(&mut watch, &mut found, 2000).await;
    // By hand. The old file is renamed, and removed after it was seen.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    log_numbers(&cluster, 2000..2010).await;
    read_all(&mut watch, &mut found, 2010).await;
    let old = log_files(&cluster).pop().unwrap();
    fs::rename(&old, old.with_extension("renamed")).unwrap();
    log_numbers(&cluster, 2010..2020).await;
    rotate(&cluster).await;
    read_all(&mut watch, &mut found, 2020).await;
    for file in log_files(&cluster) {
        fs::remove_file(file).unwrap();
    }
    log_numbers(&cluster, 2020..2030).await;
    // Written into files that have no name any more; the agent has them open.
    read_all(&mut watch, &mut found, 2030).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    rotate(&cluster).await;
    log_numbers(&cluster, 2030..2040).await;
    read_all(&mut watch, &mut found, 2040).await;
    // As logrotate's copytruncate does it.
    let newest = log_files(&cluster).pop().unwrap();
    fs::OpenOptions::new().write(true).truncate(true).open(&newest).unwrap();
    log_numbers(&cluster, 2040..2050).await;
    read_all(&mut watch, &mut found, 2050).await;
    each_once(&found, 2050);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_is_said_with_what_to_do() {
    let Some(version) = newest() else { return };
    let cluster = Cluster::start(version).await.unwrap();
    let collected = watch(&cluster, |_| {}).visit().await;
    let Outcome::Unsupported { reason } = outcome(&collected, "pg_log") else { panic!("{:?}", collected.reports) };
    assert!(reason.contains("logging_collector is off") && reason.contains("log_path"), "{reason}");

    let collected = watch(&cluster, |config| config.log.paths = vec![String::from("/nowhere/*.log")]).visit().await;
    let Outcome::Failed { message } = outcome(&collected, "pg_log") else { panic!("{:?}", collected.reports) };
    assert!(message.contains("/nowhere") && message.contains("log_path"), "{message}");

    // Named by hand it is read, in the server's own format.
    let log = cluster.log_file().display().to_string();
    let mut watch = watch(&cluster, |config| config.log.paths = vec![log]);
    let collected = watch.visit().await;
    let rows: usize = batches(&collected, "pg_log").map(|batch| batch.rows.len()).sum();
    assert!(rows > 0, "{:?}", collected.reports);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_bounded_and_counted() {
    let Some(version) = newest() else { return };
    let cluster = collecting(version, &[]).await;
    cluster
        .sql("postgres", "do $$ begin for n in 1..30000 loop raise warning 'flood %', n; end loop; end $$")
        .await
        .unwrap();
    let mut watch = watch(&cluster, |_| {});
    let (mut rows, mut summary) = (0, (0, 0));
    for _ in 0..4 {
        let collected = watch.visit().await;
        let visit: usize = batches(&collected, "pg_log").map(|batch| batch.rows.len()).sum();
        assert!(visit <= 10_000, "{visit}");
        rows += visit;
        if let Some(batch) = batches(&collected, "pg_log_summary").next() {
            let sum = |column: &str| -> i64 {
                let of = |row| match value(batch, row, column) {
                    Value::Int(n) => n,
                    _ => 0,
                };
                (0..batch.rows.len()).map(of).sum()
            };
            summary = (sum("entries"), sum("left_out"));
        }
    }
    assert!(summary.0 >= 30_000 && summary.1 > 0, "{summary:?}");
    assert_eq!(i64::try_from(rows).unwrap(), summary.0 - summary.1);
}

/// Counts of entries whose place in the file is remembered must not wait for their turn: they
/// would end with the agent.
#[tokio::test]
async fn counts_go_with_the_entries_that_they_count() {
    let Some(version) = newest() else { return };
    let cluster = collecting(version, &[]).await;
    let mut watch = watch(&cluster, |_| {});
    let entries = |batch: &Batch, row| match value(batch, row, "entries") {
        Value::Int(entries) => entries,
        other => panic!("{other:?}"),
    };
    let counted = |collected: &Collected| {
        let summary = batches(collected, "pg_log_summary").last();
        summary.map(|batch| (0..batch.rows.len()).map(|row| entries(batch, row)).sum::<i64>())
    };
    watch.visit().await;
    let before = counted(&watch.visit().await).unwrap();
    log_numbers(&cluster, 0..5).await;
    let mut seen = 0;
    for _ in 0..100 {
        let mut cx = context(&*watch.collectors[0], Duration::from_secs(60));
        cx.due.retain(|due| due.as_str() == "pg_log");
        let collected = watch.collectors[0].collect(&cx).await.unwrap();
        let rows: usize = batches(&collected, "pg_log").map(|batch| batch.rows.len()).sum();
        assert_eq!(counted(&collected).is_some(), rows > 0, "{collected:?}");
        seen = counted(&collected).unwrap_or(seen);
        if seen >= before + 5 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{seen} entries counted, {before} before");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_literal_of_a_log_leaves() {
    let Some(version) = newest() else { return };
    let settings = [
        ("log_destination", "csvlog"),
        ("log_statement", "all"),
        ("log_min_duration_statement", "0"),
        ("log_parameter_max_length_on_error", "-1"),
    ];
    let cluster = collecting(version, &settings).await;
    let client = cluster.client("postgres").await.unwrap();
    client.batch_execute("create table t (a text primary key)").await.unwrap();
    client.execute("insert into t values ($1)", &[&CANARY]).await.unwrap();
    for sql in [
        "insert into t values ('c4n4ry')",
        "select 'c4n4ry'::int",
        "do $$ begin raise exception 'c4n4ry' using detail = 'c4n4ry', hint = 'c4n4ry'; end $$",
        "select c4n4ry('c4n4ry') -- c4n4ry",
        "alter role postgres password 'c4n4ry'",
    ] {
        let _ = client.batch_execute(&sql.replace("c4n4ry(", "nothing(")).await;
    }
    let _ = client.execute("insert into t values ($1)", &[&CANARY]).await;
    let mut watch = watch(&cluster, |_| {});
    let (mut texts, mut statements) = (0, 0);
    for _ in 0..4 {
        let collected = watch.visit().await;
        for batch in &collected.batches {
            // As it travels, and as somebody reads it who has unpacked it.
            let bytes = frame::encode(batch).unwrap();
            assert!(!bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()));
            for row in 0..batch.rows.len() {
                for column in batch.schema.columns() {
                    if let Value::Text(text) = value(batch, row, &column.name) {
                        assert!(!text.contains(CANARY), "{} {}: {text}", batch.schema.measurement(), column.name);
                        texts += 1;
                        statements += usize::from(text.to_lowercase().contains("insert into t values"));
                    }
                }
            }
        }
        assert!(!format!("{:?}", collected.reports).contains(CANARY));
        assert!(!collected.state.is_some_and(|state| state.windows(6).any(|part| part == CANARY.as_bytes())));
    }
    assert!(texts > 50 && statements > 1, "{texts} texts, {statements} statements");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_another_host_is_read_through_the_server() {
    // Visits that ran out of time, on all versions: one alone may be quick enough each time.
    let mut late = 0;
    let (Some(version), Some(oldest)) = (newest(), versions().first().copied()) else { return };
    for version in [version, oldest] {
        let settings = [("log_filename", "pg-%H%M%S.log"), ("log_line_prefix", "%m [%p] %q%u@%d/%a %e ")];
        let cluster = collecting(version, &settings).await;
        let role = format!("create role plain login password '{}'", cluster.password());
        cluster.sql("postgres", &role).await.unwrap();
        let new = |state: Option<&[u8]>| {
            let mut config = config(&cluster.url("plain", "postgres"));
            config.log.from_start = true;
            config.log.over_sql = true;
            config.log.redaction = pganalytics_collect::logs::Redaction::None;
            let mut watch = Watch::with(config, only(MEASUREMENTS));
            watch.collectors.retain(|collector| collector.name().starts_with("log "));
            watch.collectors[0].resume(state);
            watch
        };
        // Each right that is named is needed, and together they are enough.
        let mut granted = Vec::new();
        loop {
            let collected = new(None).visit().await;
            let Outcome::Unsupported { reason } = outcome(&collected, "pg_log") else { break };
            let (_, commands) = reason.split_once(": GRANT").unwrap_or_else(|| panic!("{version}: {reason}"));
            let commands = format!("GRANT{commands}");
            let first = commands.split("; ").next().unwrap().to_owned();
            assert!(granted.len() < 3 && first.starts_with("GRANT "), "{reason}");
            cluster.sql("postgres", &first).await.unwrap();
            granted.push(first);
        }
        // Not pg_read_server_files, which would open the whole host.
        let read = "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text,bigint,bigint,boolean) TO plain";
        assert_eq!(granted, ["GRANT pg_monitor TO plain", read], "{version}");

        let (mut watch, mut found) = (new(None), BTreeMap::new());
        log_numbers(&cluster, 0..20).await;
        read_all(&mut watch, &mut found, 20).await;
        rotate(&cluster).await;
        log_numbers(&cluster, 20..40).await;
        read_all(&mut watch, &mut found, 40).await;
        // A file with another name is still the same.
        let old = log_files(&cluster).pop().unwrap();
        fs::rename(&old, old.with_file_name("pg-renamed.log")).unwrap();
        log_numbers(&cluster, 40..50).await;
        rotate(&cluster).await;
        log_numbers(&cluster, 50..60).await;
        read_all(&mut watch, &mut found, 60).await;
        // Another collector goes on from what was handed over.
        log_numbers(&cluster, 60..61).await;
        let (mut state, deadline) = (None, Instant::now() + Duration::from_secs(60));
        while !found.contains_key(&60) {
            assert!(Instant::now() < deadline, "{version}: the entry does not come");
            let collected = watch.visit().await;
            assert!(matches!(outcome(&collected, "pg_log"), Outcome::Collected { .. }), "{:?}", collected.reports);
            numbers_in(batches(&collected, "pg_log"), &mut found);
            state = collected.state.or(state);
        }
        drop(watch);
        log_numbers(&cluster, 61..80).await;
        let mut watch = new(Some(&state.unwrap()));
        read_all(&mut watch, &mut found, 80).await;
        // Wherever the end of its time meets a visit, nothing is lost or comes twice.
        for number in 80..120 {
            log_numbers(&cluster, number..number + 1).await;
            let collected = watch.visit_within(Duration::from_millis(u64::from(number - 80))).await;
            late += usize::from(!matches!(outcome(&collected, "pg_log"), Outcome::Collected { .. }));
            numbers_in(batches(&collected, "pg_log"), &mut found);
        }
        read_all(&mut watch, &mut found, 120).await;
        each_once(&found, 120);
    }
    assert!(late > 0 || versions().is_empty(), "no time at all was enough");
}

//! A server's log is read rightly whatever its settings are, and while they change.

use std::time::Duration;

use pganalytics_collect::{CollectContext, logs::Redaction, postgres::PostgresConfig};
use pganalytics_core::Value;
use pganalytics_testkit::{Cluster, versions};
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::watch::{Watch, batches, config, context, now, only, text, value};

fn watch(cluster: &Cluster) -> Watch {
    let mut config: PostgresConfig = config(&cluster.monitor_url("postgres"));
    config.log.from_start = true;
    config.log.redaction = Redaction::None;
    let mut watch = Watch::with(config, only(&["pg_log"]));
    watch.collectors.retain(|collector| collector.name().starts_with("log "));
    watch
}

async fn set(cluster: &Cluster, setting: &str, value: &str) {
    let sql = format!("alter system set {setting} = '{value}'");
    cluster.sql("postgres", &sql).await.unwrap();
    cluster.sql("postgres", "select pg_reload_conf()").await.unwrap();
    // The server takes it over when its signal comes.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let client = cluster.client("postgres").await.unwrap();
        let row = client.query_one(&format!("show {setting}"), &[]).await.unwrap();
        if row.get::<_, &str>(0) == value {
            return;
        }
        assert!(Instant::now() < deadline, "{setting} is not taken over");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Has sessions warn with this word; `late` is one that takes changes of settings over after others.
async fn warn(cluster: &Cluster, late: &Client, word: &str) {
    let sql = format!("do $$ begin for n in 1..5 loop raise warning '{word}'; end loop; end $$");
    cluster.sql("postgres", &sql).await.unwrap();
    late.batch_execute(&sql).await.unwrap();
}

/// Visits until all ten warnings with this word are there; their users and times. No line may be
/// one that could not be read.
async fn warnings(watch: &mut Watch, word: &str) -> Vec<(Option<String>, i64)> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut found, mut unparsed) = (Vec::new(), Vec::new());
    while found.len() < 10 {
        assert!(Instant::now() < deadline, "{word}: {found:?}; unparsed: {unparsed:?}");
        let collected = watch.visit().await;
        for batch in batches(&collected, "pg_log") {
            for row in 0..batch.rows.len() {
                let message = text(batch, row, "message").unwrap_or_default();
                if text(batch, row, "class") == Some("unparsed") {
                    unparsed.push(message.to_owned());
                } else if message == word {
                    let Value::Timestamp(at) = value(batch, row, "log_time") else { panic!("no time") };
                    found.push((text(batch, row, "usename").map(str::to_owned), at));
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(unparsed, Vec::<String>::new(), "{word}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_that_changes_loses_no_entry() {
    for version in versions() {
        let cluster = Cluster::builder(version).setting("logging_collector", "on").start().await.unwrap();
        let late = cluster.client("postgres").await.unwrap();
        let mut watch = watch(&cluster);
        warn(&cluster, &late, "before").await;
        warnings(&mut watch, "before").await;
        for (number, prefix) in
            ["%m [%p] user=%u,db=%d,app=%a ", "%t:%r:%u@%d:[%p]:", "%m|%p|%e|%q%u|"].into_iter().enumerate()
        {
            set(&cluster, "log_line_prefix", prefix).await;
            let word = format!("warning {number}");
            warn(&cluster, &late, &word).await;
            let users = warnings(&mut watch, &word).await;
            assert!(
                users.iter().any(|(user, _)| user.as_deref() == Some("postgres")),
                "{version}, {prefix}: {users:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_right_in_zones_as_posix_writes_them() {
    for version in versions() {
        let cluster = Cluster::builder(version).setting("logging_collector", "on").start().await.unwrap();
        for (number, zone) in ["UTC+3", "<GMT+3>3", "<+0545>-5:45", "<+05>-5", "FOO7"].into_iter().enumerate() {
            set(&cluster, "log_timezone", zone).await;
            let late = cluster.client("postgres").await.unwrap();
            let word = format!("warning {number}");
            warn(&cluster, &late, &word).await;
            for (_, at) in warnings(&mut watch(&cluster), &word).await {
                let behind = now().as_micros() - at;
                assert!((0..120_000_000).contains(&behind), "{version}, {zone}: {behind} µs behind");
            }
        }
    }
}

/// `once` has no second visit.
#[tokio::test(flavor = "multi_thread")]
async fn a_visit_alone_brings_the_newest_entries_too() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).setting("logging_collector", "on").start().await.unwrap();
    cluster.sql("postgres", "do $$ begin raise warning 'the newest' using detail = 'and more'; end $$").await.unwrap();
    for over_sql in [false, true] {
        let mut config = config(&cluster.monitor_url("postgres"));
        config.log.from_start = true;
        config.log.redaction = Redaction::None;
        config.log.over_sql = over_sql;
        let rights = "grant execute on function pg_catalog.pg_read_file(text, bigint, bigint, boolean) to monitor;
                      grant execute on function pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) to monitor";
        cluster.sql("postgres", rights).await.unwrap();
        let mut watch = Watch::with(config, only(&["pg_log"]));
        let log = watch.collectors.iter_mut().find(|collector| collector.name().starts_with("log ")).unwrap();
        let cx = CollectContext { only_visit: true, ..context(&**log, Duration::from_secs(30)) };
        let collected = log.collect(&cx).await.unwrap();
        let found = batches(&collected, "pg_log").any(|batch| {
            (0..batch.rows.len()).any(|row| {
                text(batch, row, "message") == Some("the newest") && text(batch, row, "detail") == Some("and more")
            })
        });
        assert!(found, "over_sql: {over_sql}: {:?}", collected.reports);
    }
}

//! Every name of the lists is there, with its type, its labels and its help, on
//! every version, on a primary and its standby.

use std::process::{Command, Stdio};

use pganalytics_testkit::{Cluster, versions};

use crate::{
    exposition::{Page, value},
    fixture::{self, newest},
    lists::{self, Expected},
};

/// What these clusters can't show, and why.
const ABSENT: &[(&str, &str)] = &[
    ("pg_stat_progress_vacuum", "only while a vacuum runs: see a_running_vacuum_has_its_names"),
    ("pg_stat_activity_autovacuum_timestamp_seconds", "only while an autovacuum runs"),
    ("pg_process_idle_seconds", "a histogram; see idle_sessions_are_a_histogram"),
];

/// Compares what should be there with what is, on any of the pages.
fn missing(expected: &[Expected], pages: &[&Page], version: u16, with_help: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for expected in expected.iter().filter(|expected| expected.versions.contains(&version)) {
        if ABSENT.iter().any(|(prefix, _)| expected.name.starts_with(prefix)) {
            continue;
        }
        let name = expected.name;
        let Some(family) = pages.iter().find_map(|page| page.get(name)) else {
            wrong.push(format!("{name} is missing"));
            continue;
        };
        if family.kind != expected.kind {
            wrong.push(format!("{name} is a {}, not a {}", family.kind, expected.kind));
        }
        if with_help && family.help != expected.help {
            wrong.push(format!("{name}: help {:?}, not {:?}", family.help, expected.help));
        }
        for (_, labels, _) in &family.samples {
            let labels: Vec<&str> = labels.keys().map(String::as_str).collect();
            if labels != expected.labels {
                wrong.push(format!("{name} has the labels {labels:?}, not {:?}", expected.labels));
                break;
            }
        }
    }
    wrong
}

async fn primary(version: u16) -> Cluster {
    let archive = if cfg!(unix) { "/bin/true" } else { "" };
    let cluster = Cluster::builder(version)
        .with_statements()
        .setting("wal_level", "logical")
        .setting("max_slot_wal_keep_size", "1GB")
        .setting("archive_mode", "on")
        .setting("archive_command", archive)
        .start()
        .await
        .unwrap();
    let client = cluster.client("postgres").await.unwrap();
    for sql in [
        "create extension pg_buffercache",
        "create table t (a int primary key, b text)",
        "insert into t select n, 'x' from generate_series(1, 1000) n",
        "vacuum analyze t",
        "select pg_create_physical_replication_slot('p1', true)",
        "select pg_create_logical_replication_slot('l1', 'pgoutput')",
        "select pg_switch_wal()",
    ] {
        client.batch_execute(sql).await.unwrap();
    }
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_is_there_on_every_version() {
    for version in versions() {
        let primary = primary(version).await;
        let standby = primary.replica().await.unwrap();
        let on = |settings: &mut pganalytics_collect::exporter::ExporterSettings| {
            settings.collectors =
                vec!["stat_statements".into(), "stat_statements_query".into(), "statio_user_indexes".into()];
        };
        let on_primary = fixture::start(&[("main", &primary.monitor_url("postgres"))], on).await;
        let on_standby = fixture::start(&[("main", &standby.monitor_url("postgres"))], on).await;
        // A walsender that reads a slot makes it active.
        let (first, second) = (on_primary.page("/metrics").await, on_standby.page("/metrics").await);
        for (page, replica) in [(&first, 0.0), (&second, 1.0)] {
            assert_eq!(value(page, "pg_up", &[]), Some(1.0));
            assert_eq!(value(page, "pg_replication_is_replica", &[]), Some(replica));
            assert_eq!(value(page, "pg_replication_lag_lag_seconds", &[]), Some(0.0), "idle");
        }
        let mut wrong = missing(&lists::postgres_exporter(), &[&first, &second], version, true);
        wrong.extend(missing(&lists::settings(), &[&first], version, true));
        wrong.extend(missing(&lists::settings(), &[&second], version, true));
        wrong.extend(missing(&lists::older(), &[&first, &second], version, false));
        // What both have is on both, but for what only one role has.
        let of_one: Vec<&str> = lists::postgres_exporter()
            .iter()
            .map(|expected| expected.name)
            .filter(|name| first.contains_key(*name) != second.contains_key(*name))
            .collect();
        println!("PostgreSQL {version}: on one of primary and standby only: {of_one:?}");
        assert!(wrong.is_empty(), "PostgreSQL {version}:\n{}", wrong.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_sessions_are_a_histogram() {
    let Some(cluster) = newest().await else { return };
    let _idle = cluster.client("postgres").await.unwrap();
    let running = fixture::start(&[("main", &cluster.monitor_url("postgres"))], |_| {}).await;
    let page = running.page("/metrics").await;
    let idle = &page["pg_process_idle_seconds"];
    assert_eq!((idle.kind.as_str(), idle.help.as_str()), ("histogram", "Idle time of server processes"));
    let of = |le: &str| value(&page, "pg_process_idle_seconds", &[("state", "idle"), ("le", le)]);
    assert!(of("+Inf") >= of("300") && of("300") >= of("1") && of("+Inf") >= Some(1.0), "{idle:?}");
    let labels: Vec<_> = idle.samples.last().unwrap().1.keys().collect();
    assert_eq!(labels, ["application_name", "state"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_vacuum_has_its_names() {
    for version in versions() {
        if version != 16 && version != *versions().last().unwrap() {
            continue;
        }
        let cluster = Cluster::start(version).await.unwrap();
        let client = cluster.client("postgres").await.unwrap();
        client
            .batch_execute(
                "create table big with (autovacuum_enabled = off) as select n, repeat('x', 500) from generate_series(1, 20000) n; \
                 update big set n = n + 1",
            )
            .await
            .unwrap();
        let vacuum = tokio::spawn(async move {
            let _ = client.batch_execute("set vacuum_cost_delay = 100; set vacuum_cost_limit = 1").await;
            let _ = client.batch_execute("vacuum big").await;
        });
        let running = fixture::start(&[("main", &cluster.monitor_url("postgres"))], |settings| {
            settings.max_age = std::time::Duration::from_millis(1);
        })
        .await;
        let mut page = running.page("/metrics").await;
        while !page.contains_key("pg_stat_progress_vacuum_phase") {
            page = running.page("/metrics").await;
        }
        vacuum.abort();
        let expected =
            lists::postgres_exporter().into_iter().filter(|row| row.name.starts_with("pg_stat_progress_vacuum"));
        for expected in expected {
            let family = &page[expected.name];
            let (_, labels, _) = &family.samples[0];
            let names: Vec<&str> = labels.keys().map(String::as_str).collect();
            assert_eq!((family.kind.as_str(), names), (expected.kind, expected.labels), "{}", expected.name);
            assert_eq!((labels["datname"].as_str(), labels["relname"].as_str()), ("postgres", "big"));
        }
        let phases = &page["pg_stat_progress_vacuum_phase"].samples;
        assert_eq!((phases.len(), phases.iter().map(|(_, _, value)| value).sum::<f64>()), (7, 1.0));
    }
}

/// What `promtool` says of a page: whether it could be read, and its remarks.
pub(crate) fn promtool(text: &str) -> Option<(bool, Vec<String>)> {
    use std::io::Write as _;
    let child = Command::new(pganalytics_testkit::tool("promtool")?)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let unread = said.contains("error while linting") || said.contains("parsing");
    Some((!unread, said.lines().map(str::to_owned).collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn native_names_pass_promtool_and_drop_in_names_are_read_by_it() {
    let Some(cluster) = newest().await else { return };
    cluster.sql("postgres", "create table t (a int primary key)").await.unwrap();
    let url = cluster.monitor_url("postgres");
    let native = fixture::start(&[("main", &url)], |settings| {
        settings.drop_in = false;
        settings.exclude.clear();
    })
    .await;
    let text = native.text("/metrics").await;
    assert!(text.contains("pg_stat_database_xact_commit_total{"), "{text}");
    if let Some((read, remarks)) = promtool(&text) {
        assert!(read && remarks.is_empty(), "{}", remarks.join("\n"));
    }
    let both = fixture::start(&[("main", &url)], |_| {}).await;
    if let Some((read, remarks)) = promtool(&both.text("/metrics").await) {
        println!("{} remarks about names that others chose, as {:?}", remarks.len(), remarks.first());
        assert!(read, "{}", remarks.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_servers_have_a_label_and_can_be_scraped_apart() {
    let Some(cluster) = newest().await else { return };
    let url = cluster.monitor_url("postgres");
    let gone = "postgres://monitor@127.0.0.1:1/postgres";
    let running = fixture::start(&[("a", &url), ("b", gone)], |_| {}).await;
    let page = running.page("/metrics").await;
    assert_eq!(value(&page, "pg_up", &[("server", "a")]), Some(1.0));
    assert_eq!(value(&page, "pg_up", &[("server", "b")]), Some(0.0));
    assert_eq!(value(&page, "pg_exporter_last_scrape_error", &[]), Some(1.0));
    assert!(value(&page, "pg_stat_database_xact_commit", &[("server", "a"), ("datname", "postgres")]).is_some());
    assert!(value(&page, "pg_stat_database_conflicts_confl_lock", &[("server", "a")]).is_some());
    for path in ["/metrics?server=a", "/probe?target=a"] {
        let page = running.page(path).await;
        assert_eq!(page["pg_up"].samples.len(), 1);
        assert_eq!((value(&page, "pg_up", &[]), page["pg_up"].samples[0].1.len()), (Some(1.0), 0));
        assert_eq!(value(&page, "pg_exporter_last_scrape_error", &[]), Some(0.0));
    }
    let status = running.client.get(running.url("/metrics?server=c")).send().await.unwrap().status();
    assert_eq!(status, 404);
}

//! Scrapes share what is read; a server that hangs holds nobody.

use std::time::Duration;

use pganalytics_testkit::Cluster;

use crate::{
    exposition::value,
    fixture::{self, newest},
};

/// Statements that our role has run.
async fn calls(cluster: &Cluster) -> i64 {
    let client = cluster.client("postgres").await.unwrap();
    let sql = "select coalesce(sum(calls), 0)::int8 from pg_stat_statements where userid = 'monitor'::regrole";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_scrapers_cost_as_much_as_one() {
    let Some(cluster) = newest().await else { return };
    let running = fixture::start(&[("main", &cluster.monitor_url("postgres"))], |settings| {
        settings.max_age = Duration::from_secs(600);
    })
    .await;
    running.page("/metrics").await;
    let once = calls(&cluster).await;
    assert!(once > 0);
    let (a, b) = tokio::join!(running.page("/metrics"), running.page("/metrics?server=main"));
    assert_eq!((value(&a, "pg_up", &[]), value(&b, "pg_up", &[])), (Some(1.0), Some(1.0)));
    assert_eq!(calls(&cluster).await, once, "nothing was old enough to be read again");

    // When it is too old it is read again: once for all who ask at that time.
    let running = fixture::start(&[("main", &cluster.monitor_url("postgres"))], |settings| {
        settings.max_age = Duration::from_millis(1);
    })
    .await;
    running.page("/metrics").await;
    let before = calls(&cluster).await;
    running.page("/metrics").await;
    let one = calls(&cluster).await - before;
    let many: Vec<_> = (0..8).map(|_| running.text("/metrics")).collect();
    futures::future::join_all(many).await;
    let eight = calls(&cluster).await - before - one;
    assert!(one > 0 && eight < 4 * one, "one scrape: {one} statements, eight at once: {eight}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_down_in_time() {
    let Some(cluster) = newest().await else { return };
    let running = fixture::start(&[("main", &cluster.monitor_url("postgres"))], |settings| {
        settings.max_age = Duration::from_millis(1);
    })
    .await;
    let page = running.page("/metrics").await;
    assert_eq!(value(&page, "pg_up", &[]), Some(1.0));
    let postmaster = rustix::process::Pid::from_raw(i32::try_from(cluster.pid().unwrap()).unwrap()).unwrap();
    let children = children_of(postmaster.as_raw_nonzero().get());
    let signal = |signal| {
        for pid in std::iter::once(postmaster).chain(children.iter().copied()) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    };
    signal(rustix::process::Signal::STOP);
    // As Prometheus says how long it waits.
    let request = running.client.get(running.url("/metrics")).header("x-prometheus-scrape-timeout-seconds", "2");
    let text =
        tokio::time::timeout(Duration::from_secs(30), async { request.send().await.unwrap().text().await.unwrap() })
            .await;
    signal(rustix::process::Signal::CONT);
    let page = crate::exposition::parse(&text.expect("the scrape hangs with the server"));
    assert_eq!(value(&page, "pg_up", &[]), Some(0.0));
    assert_eq!(value(&page, "pg_exporter_last_scrape_error", &[]), Some(1.0));
    assert_eq!(value(&page, "pg_scrape_collector_success", &[("collector", "stat_database")]), Some(0.0));
    // What there is is served.
    assert!(page.contains_key("pg_stat_database_xact_commit"));
    let mut up = Some(0.0);
    for _ in 0..120 {
        up = value(&running.page("/metrics").await, "pg_up", &[]);
        if up == Some(1.0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(up, Some(1.0), "it does not come back by itself");
}

fn children_of(parent: i32) -> Vec<rustix::process::Pid> {
    let pids =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent_of =
            stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(1)?.parse::<i32>().ok());
        parent_of == Some(parent)
    };
    pids.filter(is_child).filter_map(rustix::process::Pid::from_raw).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_has_no_series() {
    let Some(cluster) = newest().await else { return };
    let running = fixture::start(&[("main", &cluster.monitor_url("postgres"))], |settings| {
        settings.max_age = Duration::from_millis(1);
    })
    .await;
    assert!(running.page("/metrics").await.contains_key("pg_stat_database_xact_commit"));
    cluster.stop().await.unwrap();
    let page = running.page("/metrics").await;
    assert_eq!(value(&page, "pg_up", &[]), Some(0.0));
    assert!(!page.contains_key("pg_stat_database_xact_commit"), "it stands still");
    // The host goes on.
    assert!(page.contains_key("pg_sysstat_mem_total_bytes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_has_a_budget() {
    let Some(cluster) = newest().await else { return };
    let tables: String = (0..30).map(|n| format!("create table t{n} (a int); insert into t{n} values (1);")).collect();
    cluster.sql("postgres", &tables).await.unwrap();
    let url = cluster.monitor_url("postgres");
    let whole = fixture::start(&[("main", &url)], |_| {}).await.page("/metrics").await;
    let running = fixture::start(&[("main", &url)], |settings| settings.max_series = 10).await;
    let page = running.page("/metrics").await;
    let name = "pg_stat_user_tables_n_tup_ins";
    let sum = |page: &crate::exposition::Page| page[name].samples.iter().map(|(_, _, value)| value).sum::<f64>();
    let count = page[name].samples.len();
    assert!(count <= 11 && count > 1, "{count} series");
    assert!(value(&page, name, &[("relname", "other"), ("schemaname", "other")]).is_some());
    assert_eq!(sum(&page), sum(&whole), "the rest is summed up");
    let over = value(&page, "pg_exporter_series_overflow", &[("family", name)]).unwrap();
    assert_eq!(over, (whole[name].samples.len() - (count - 1)) as f64);
    // The same series stay in.
    assert_eq!(series(&running.page("/metrics").await, name), series(&page, name));
}

fn series(page: &crate::exposition::Page, name: &str) -> Vec<crate::exposition::Labels> {
    page[name].samples.iter().map(|(_, labels, _)| labels.clone()).collect()
}

//! PgBouncer's page: every name of `pgbouncer_exporter`, with type, labels, help.

use std::time::Duration;

use pganalytics_collect::{
    Agent, Exporter,
    exporter::{ExporterSettings, Listen},
    pgbouncer::PgBouncerCollector,
};
use pganalytics_core::catalog::Catalog;
use pganalytics_testkit::PgBouncer;
use tokio_util::sync::CancellationToken;

use crate::{
    exposition::{parse, value},
    fixture::{config, free_port, newest},
    lists,
    names::promtool,
};

/// What the pooler under test can't show, and why.
const ABSENT: &[&str] = &[
    // The exporter tells of a process by its pid file only; ours finds it where it may.
    "pgbouncer_process_",
    // Columns of other versions.
    "pgbouncer_stats_totals_",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_name_of_pgbouncer_exporter_is_there() {
    if !PgBouncer::is_installed() {
        eprintln!("!!! NOT TESTED: pgbouncer is not installed");
        assert!(std::env::var_os("PGANALYTICS_REQUIRE_PG").is_none(), "pgbouncer is required");
        return;
    }
    let Some(cluster) = newest().await else { return };
    let pooler = PgBouncer::in_front_of(&cluster).start().await.unwrap();
    let (client, connection) =
        tokio_postgres::connect(&pooler.url("monitor", "postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("select 1").await.unwrap();

    let port = free_port();
    let mut settings = ExporterSettings::default();
    settings.pgbouncer_listen = Some(Listen { address: ([127, 0, 0, 1], port).into(), required: true });
    settings.timeout = Duration::from_secs(60);
    let console = config("front", &pooler.console_url());
    let exporter = Exporter::new(settings, Catalog::builtin()).pooler("front", &console.address());
    let agent = Agent::builder().collector(PgBouncerCollector::new(console)).exporter(exporter).build().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    let url = format!("http://127.0.0.1:{port}/metrics");
    let mut text = None;
    for _ in 0..600 {
        if let Ok(response) = reqwest::get(&url).await {
            text = Some(response.text().await.unwrap());
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let text = text.expect("it does not listen");
    let page = parse(&text);
    assert_eq!(value(&page, "pgbouncer_up", &[]), Some(1.0));
    assert!(!page.contains_key("pg_up") && !page.contains_key("pg_exporter_scrapes_total"));
    let mut wrong = Vec::new();
    for expected in lists::pgbouncer_exporter() {
        let Some(family) = page.get(expected.name) else {
            if !expected.versions.is_empty() || !ABSENT.iter().any(|prefix| expected.name.starts_with(prefix)) {
                wrong.push(format!("{} is missing", expected.name));
            }
            continue;
        };
        let labels: Vec<&str> = family.samples[0].1.keys().map(String::as_str).collect();
        // The exporter's own build has what an exporter in Go has; empty labels are none.
        if (family.kind.as_str(), &labels, family.help.as_str()) != (expected.kind, &expected.labels, expected.help) {
            wrong.push(format!("{}: {} {labels:?} {:?}", expected.name, family.kind, family.help));
        }
    }
    for name in ["pgbouncer_pools_cl_active", "pgbouncer_pools_sv_active", "pgbouncer_pools_cl_waiting"] {
        assert!(value(&page, name, &[("database", "postgres"), ("user", "monitor")]).is_some(), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if let Some((read, remarks)) = promtool(&text) {
        println!("promtool: {remarks:?}");
        assert!(read);
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}

//! Beside `prometheus-postgres-exporter` on one cluster: every series that it
//! has is there, with the same value.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use pganalytics_testkit::{Cluster, versions};

use crate::{
    exposition::{Labels, Page, parse},
    fixture::{self, free_port},
};

const PROGRAM: &str = "prometheus-postgres-exporter";

/// The exporter of others; it ends when it is dropped.
struct Reference {
    child: Child,
    port: u16,
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reference {
    async fn start(cluster: &Cluster) -> Option<Self> {
        let port = free_port();
        // As a superuser: it lacks some rights that it needs of its own.
        let url = format!("{}?sslmode=disable", cluster.superuser_url("postgres"));
        let child = Command::new(pganalytics_testkit::tool(PROGRAM)?)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .env("DATA_SOURCE_NAME", url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap();
        let reference = Self { child, port };
        for _ in 0..600 {
            if reqwest::get(reference.url()).await.is_ok() {
                return Some(reference);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{PROGRAM} does not listen");
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.port)
    }

    async fn page(&self) -> Page {
        parse(&reqwest::get(self.url()).await.unwrap().text().await.unwrap())
    }
}

/// What the version under test does otherwise than 0.20, whose names these are.
/// `server` is a label of none of them any more, so it is left out everywhere.
const DIFFERENT: &[(&str, &str)] = &[
    ("go_", "the runtime of another language"),
    ("promhttp_", "the HTTP library of another language"),
    ("process_", "of another process"),
    ("pg_exporter_", "its own figures"),
    ("pg_scrape_collector_", "its own figures"),
    ("postgres_exporter_", "its own figures"),
];

/// Values that move by themselves, or that count the sessions which look.
const MOVING: &[&str] = &[
    "pg_stat_activity_max_tx_duration",
    "pg_stat_activity_count",
    "pg_locks_count",
    "pg_stat_archiver_last_archive_age",
    "pg_stat_database_numbackends",
    "pg_stat_replication_reply_time",
];

/// Settings that each session has for itself.
const OF_THE_SESSION: &[&str] = &[
    "pg_settings_statement_timeout_seconds",
    "pg_settings_lock_timeout_seconds",
    "pg_settings_idle_in_transaction_session_timeout_seconds",
    "pg_settings_max_parallel_workers_per_gather",
    "pg_settings_default_transaction_read_only",
    "pg_settings_transaction_read_only",
    "pg_settings_extra_float_digits",
    "pg_settings_jit",
    "pg_settings_tcp_",
    "pg_settings_synchronous_commit",
];

/// The value of ours for a series of the reference: summed over the labels that
/// it has not.
fn ours(page: &Page, name: &str, labels: &Labels) -> Option<f64> {
    let (family, _) =
        page.iter().map(|(family, content)| (family.as_str(), content)).find(|(family, _)| *family == name)?;
    let samples = page[family]
        .samples
        .iter()
        .filter(|(sample, of, _)| sample == name && labels.iter().all(|(label, value)| of.get(label) == Some(value)));
    samples.map(|(_, _, value)| *value).reduce(|a, b| a + b)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_series_of_the_reference_is_here_with_its_value() {
    // The Debian version knows PostgreSQL up to 16 fully.
    let mut faults = Vec::new();
    for version in versions() {
        let cluster = Cluster::builder(version)
            .setting("autovacuum", "off")
            .setting("max_slot_wal_keep_size", "1GB")
            .start()
            .await
            .unwrap();
        let client = cluster.client("postgres").await.unwrap();
        for sql in [
            "create table t (a int primary key, b text)",
            "create table \"odd \"\"name\\\" (a int)",
            "insert into t select n, repeat('x', 3000) from generate_series(1, 500) n",
            "update t set b = b || 'y' where a < 100",
            "vacuum analyze t",
            "create database other",
            "select pg_create_physical_replication_slot('p1', true)",
            "checkpoint",
        ] {
            client.batch_execute(sql).await.unwrap();
        }
        // The first session in a database makes files there; sizes are read once in 300 s.
        drop(cluster.client("other").await.unwrap());
        let Some(reference) = Reference::start(&cluster).await else { return };
        let running = fixture::start(&[("main", &cluster.monitor_url("postgres"))], |settings| {
            settings.max_age = Duration::from_millis(1);
        })
        .await;
        // Caches of both are warm, and what they cause by looking is past.
        for _ in 0..2 {
            reference.page().await;
            running.page("/metrics").await;
        }
        let before = reference.page().await;
        let here = running.page("/metrics").await;
        let after = reference.page().await;
        let (compared, wrong, missing) = compare(&before, &here, &after);
        println!("PostgreSQL {version}: {compared} series compared");
        assert!(compared > 400, "{compared} series only");
        faults.extend(missing.into_iter().map(|series| format!("PostgreSQL {version}: not here: {series}")));
        faults.extend(wrong.into_iter().map(|series| format!("PostgreSQL {version}: {series}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn compare(before: &Page, here: &Page, after: &Page) -> (usize, Vec<String>, Vec<String>) {
    let (mut compared, mut wrong, mut missing) = (0, Vec::new(), Vec::new());
    for (family, content) in before {
        if DIFFERENT.iter().any(|(prefix, _)| family.starts_with(prefix)) {
            continue;
        }
        for (name, labels, first) in &content.samples {
            let mut wanted = labels.clone();
            wanted.remove("server");
            if wanted.get("datid").map(String::as_str) == Some("0") {
                // The row of what no database owns, which 0.20 leaves out.
                continue;
            }
            // 0.20 says the address as text of an inet.
            if let Some(address) = wanted.get_mut("client_addr").filter(|address| !address.contains('/')) {
                address.push_str("/32");
            }
            let Some(value) = ours(here, name, &wanted) else {
                if !first.is_nan() {
                    missing.push(format!("{name}{labels:?} {first}"));
                }
                continue;
            };
            compared += 1;
            let last = after.get(family).and_then(|family| {
                family.samples.iter().find(|(of, others, _)| of == name && others == labels).map(|(_, _, value)| *value)
            });
            let last = last.unwrap_or(*first);
            let is_loose =
                MOVING.contains(&name.as_str()) || OF_THE_SESSION.iter().any(|prefix| name.starts_with(prefix));
            // Looking costs transactions, rows and blocks; they come a little later.
            let (low, high) = (first.min(last), first.max(last));
            let slack = 1e-6 + if content.kind == "counter" { 100.0 + 0.02 * high.abs() } else { 1e-9 * high.abs() };
            let same =
                (first.is_nan() && (value.is_nan() || value == 0.0)) || (value >= low - slack && value <= high + slack);
            if !same && !is_loose {
                wrong.push(format!("{name}{labels:?}: {first} and {last} there, {value} here"));
            }
        }
    }
    (compared, wrong, missing)
}

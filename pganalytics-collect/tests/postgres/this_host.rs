//! Figures of the host on which real servers run.

use std::{collections::BTreeMap, time::Duration};

use pganalytics_collect::{Collected, Collector, HostCollector, Outcome, host::Folders, postgres::PostgresServer};
use pganalytics_core::{Batch, Value};
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{batches, config, context, outcome, row_where, value};

async fn visit(host: &mut HostCollector) -> Collected {
    let cx = context(host, Duration::from_secs(60));
    host.collect(&cx).await.unwrap()
}

/// Rows of a cluster in `pg_processes`, by type.
fn types<'a>(batch: &'a Batch, cluster: &Cluster) -> BTreeMap<&'a str, usize> {
    let folder = cluster.data_dir().canonicalize().unwrap();
    let text = |row, column| match value(batch, row, column) {
        Value::Text(text) => text,
        other => panic!("{other:?}"),
    };
    let own = (0..batch.rows.len()).filter(|row| text(*row, "data_directory") == folder.to_str().unwrap());
    own.map(|row| (text(row, "backend_type"), row)).collect()
}

fn int(batch: &Batch, row: usize, column: &str) -> i64 {
    match value(batch, row, column) {
        Value::Int(value) => value,
        other => panic!("{column}: {other:?}"),
    }
}

fn cpu(batch: &Batch, row: usize) -> f64 {
    match (value(batch, row, "cpu_user"), value(batch, row, "cpu_system")) {
        (Value::Float(user), Value::Float(system)) => user + system,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_of_every_version_are_known_by_type() {
    for version in versions() {
        let cluster = Cluster::builder(version).setting("cluster_name", "'a: b'").start().await.unwrap();
        let session = cluster.client("postgres").await.unwrap();
        session.batch_execute("select 1").await.unwrap();
        let mut host = HostCollector::default();
        let mut seen = visit(&mut host).await;
        // The session that made the cluster's roles may still be about to end.
        for _ in 0..200 {
            let batch = batches(&seen, "pg_processes").next().unwrap();
            let backends = types(batch, &cluster).get("client backend").map(|row| int(batch, *row, "processes"));
            if backends.is_some_and(|backends| backends < 2) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            seen = visit(&mut host).await;
        }
        let batch = batches(&seen, "pg_processes").next().unwrap();
        let types = types(batch, &cluster);
        for kind in ["postmaster", "checkpointer", "background writer", "walwriter", "client backend", "ended"] {
            assert!(types.contains_key(kind), "{version}: {types:?}");
        }
        if version >= 18 {
            assert!(types.contains_key("io worker"), "{types:?}");
        }
        assert!(!types.contains_key("background worker") || version >= 10, "{types:?}");
        let backend = types["client backend"];
        assert_eq!(int(batch, backend, "processes"), 1, "{version}");
        assert!(int(batch, backend, "rss") > 100_000 && int(batch, backend, "rss_private") > 10_000);
        assert_eq!(int(batch, backend, "postmaster_pid"), i64::from(cluster.pid().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_of_short_sessions_is_not_lost() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::start(version).await.unwrap();
    let mut host = HostCollector::default();
    visit(&mut host).await;
    // Work in a session that no look ever meets; as much of it on a busy machine.
    let work = "select count(*) from generate_series(1, 8000000) as s where s % 7 = 3";
    cluster.sql("postgres", work).await.unwrap();
    let (mut ended, mut rows) = (0.0, 0);
    // The postmaster may take a moment to notice the end.
    for _ in 0..200 {
        let seen = visit(&mut host).await;
        let batch = batches(&seen, "pg_processes").next().unwrap();
        let row = types(batch, &cluster)["ended"];
        (ended, rows) = (cpu(batch, row), rows + 1);
        if ended > 0.5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(ended > 0.3, "{ended} s after {rows} looks");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_folders_are_marked_at_their_mounts() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).setting("logging_collector", "on").start().await.unwrap();
    let folders = Folders::default();
    let mut host = HostCollector::default().folders_from(&folders);
    let mut settings = config(&cluster.monitor_url("postgres"));
    settings.hosts[0].name = cluster.socket_dir().to_str().unwrap().to_owned();
    let mut server = PostgresServer::new(settings, []).reporting_folders_to(&folders).collectors();
    let cx = context(&*server[0], Duration::from_secs(60));
    server[0].collect(&cx).await.unwrap();

    let seen = visit(&mut host).await;
    let disks = batches(&seen, "disk_usage").next().unwrap();
    let roles: Vec<_> = (0..disks.rows.len()).map(|row| value(disks, row, "role")).collect();
    let all = Value::Text("data,log,wal");
    assert!(roles.contains(&all), "{roles:?}");
    let inventory = batches(&seen, "host_inventory").next().unwrap();
    let row = roles.iter().position(|role| *role == all).unwrap();
    assert!(matches!(value(inventory, 0, "data_filesystem"), Value::Text(types)
        if matches!(value(disks, row, "fstype"), Value::Text(fstype) if types.split(',').any(|word| word == fstype))));
    assert!(row_where(inventory, &[("architecture", std::env::consts::ARCH)]).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn control_groups_give_figures_or_the_reason_why_not() {
    let mut host = HostCollector::default();
    let seen = visit(&mut host).await;
    match outcome(&seen, "cgroup") {
        Outcome::Collected { rows } => assert!(*rows > 0),
        Outcome::Unsupported { reason } => {
            eprintln!("cgroup: {reason}");
            assert!(reason.contains("version 1"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

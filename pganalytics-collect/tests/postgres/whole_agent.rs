//! The agent and its binary, from settings to samples.

use std::{
    path::Path,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use pganalytics_collect::{Agent, HostCollector, MemorySink, Plan, Snapshots, postgres::PostgresServer};
use pganalytics_core::{Source, Value, catalog::Measurement};
use pganalytics_testkit::{Cluster, versions};
use tokio_util::sync::CancellationToken;

use crate::watch::{config, everything, row_where, value};

async fn cluster() -> Option<Cluster> {
    let version = versions().last().copied()?;
    Some(Cluster::start(version).await.unwrap())
}

/// Waits until what has come satisfies somebody.
async fn until(sink: &MemorySink, what: &str, satisfied: impl Fn(&MemorySink) -> bool) {
    let wait = async {
        while !satisfied(sink) {
            sink.wait_for(sink.batches().len() + 1).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), wait).await.unwrap_or_else(|_| panic!("never {what}"));
}

/// Whether the agent said that it had asked for a measurement and this server
/// has no such thing, or nothing new.
fn accounted_for(sink: &MemorySink, measurement: &str) -> bool {
    sink.batches_of("agent_scrape").iter().any(|batch| {
        row_where(batch, &[("measurement", measurement)])
            .is_some_and(|row| [Value::Text("ok"), Value::Text("unsupported")].contains(&value(batch, row, "status")))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_database_leaves_nothing_behind() {
    let Some(cluster) = cluster().await else { return };
    cluster.sql("postgres", "create database short").await.unwrap();
    cluster.sql("short", "create table t (a int primary key)").await.unwrap();
    let mut plan = Plan::default();
    for measurement in everything() {
        plan.set_interval(measurement.name().as_str(), Duration::from_secs(1));
    }
    let now = Snapshots::new();
    let server = PostgresServer::new(config(&cluster.monitor_url("postgres")), everything());
    let agent = Agent::builder().plan(plan).server(server).sink(now.clone()).build().unwrap().start().unwrap();
    let of_it = || {
        let is_it = |(_, source): &(_, Source)| source.database.as_deref() == Some("short");
        now.series().into_iter().filter(is_it).map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    let until = async |what: &str, good: &dyn Fn(&[String]) -> bool| {
        let began = std::time::Instant::now();
        while !good(&of_it()) {
            assert!(began.elapsed() < Duration::from_secs(120), "never {what}: {:?}", of_it());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    until("there", &|names| {
        ["agent_scrape", "pg_schema", "pg_stat_user_tables"].iter().all(|name| names.iter().any(|there| there == name))
    })
    .await;
    cluster.sql("postgres", "drop database short with (force)").await.unwrap();
    until("gone", &|names| names.is_empty()).await;
    // What fails from now on is not told of it.
    cluster.stop().await.unwrap();
    let failures = agent.status().scrape_failures;
    while agent.status().scrape_failures < failures + 20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(of_it(), [""; 0]);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_waits_for_its_server_and_then_brings_everything() {
    let Some(cluster) = cluster().await else { return };
    cluster.stop().await.unwrap();
    let sink = MemorySink::new();
    let mut plan = Plan::default();
    for measurement in everything() {
        plan.set_interval(measurement.name().as_str(), Duration::from_secs(1));
    }
    let server = PostgresServer::new(config(&cluster.monitor_url("postgres")), everything());
    let agent = Agent::builder().plan(plan).server(server).collector(HostCollector::default()).sink(sink.clone());
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.build().unwrap().run(stop.clone()));

    let up = |sink: &MemorySink, wanted: bool| {
        let batches = sink.batches_of("pg_up");
        batches.iter().any(|batch| !batch.rows.is_empty() && value(batch, 0, "up") == Value::Bool(wanted))
    };
    until(&sink, "down", |sink| up(sink, false)).await;
    cluster.start_again().await.unwrap();
    until(&sink, "up", |sink| up(sink, true)).await;
    let taken = |measurement: &&Arc<Measurement>| measurement.scope().is_postgres() && measurement.enabled_by_default();
    for measurement in everything().iter().filter(taken) {
        let name = measurement.name().as_str();
        until(&sink, name, |sink| !sink.batches_of(name).is_empty() || accounted_for(sink, name)).await;
    }
    stop.cancel();
    let summary = running.await.unwrap().unwrap();
    assert_eq!((summary.outbox.dropped, summary.outbox.rejected), (0, 0));
}

/// Runs the binary with this settings file; what it says holds no password.
fn agent(folder: &Path, settings: &str, password: &str, arguments: &[&str]) -> (Output, String) {
    let file = folder.join("agent.toml");
    std::fs::write(&file, settings).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pganalytics-agent"));
    command.env_clear().env("HOME", folder).env("POSTGRES_PASSWORD", password).current_dir(folder);
    let output = command.args(arguments).arg("--config").arg(file).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains(password), "{said}");
    (output, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_says_what_it_found_and_ends_accordingly() {
    let Some(cluster) = cluster().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("measurements");
    std::fs::create_dir(&catalog).unwrap();
    let settings = format!(
        "[collector]\ncatalog_dir = {catalog:?}\n[[postgres]]\nname = \"main\"\nhost = \"127.0.0.1\"\n\
         port = {}\nuser = \"monitor\"\ndatabase = \"postgres\"\nconnect_timeout = 30\nstatement_timeout = 60\n",
        cluster.port()
    );
    let run = |arguments: &[&str]| agent(folder.path(), &settings, cluster.password(), arguments);

    let (output, said) = run(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("main at 127.0.0.1") && said.contains("member of pg_monitor"), "{said}");
    let (output, said) = run(&["once"]);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("pg_stat_database of main: ") && said.contains("sysstat"), "{said}");
    for (command, list) in [("check", "servers"), ("once", "metrics")] {
        let (output, said) = run(&[command, "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(json[list].as_array().is_some_and(|list| !list.is_empty()), "{said}");
    }

    // A broken catalog file is named, and costs nothing else.
    std::fs::write(catalog.join("broken.toml"), "name = \"broken\"\nscope = \"moon\"\n").unwrap();
    for command in ["check", "once"] {
        let (output, said) = run(&[command]);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("broken.toml:2") && said.contains("pg_stat_database"), "{said}");
    }
    std::fs::remove_file(catalog.join("broken.toml")).unwrap();

    // Nor does a measurement that is not permitted.
    let secret = "name = 'secrets'\nscope = 'cluster'\n[[query]]\nsql = 'select 1 as n from pg_catalog.pg_authid'\n\
                  [[column]]\nname = 'n'\nkind = 'gauge'\ntype = 'int'\n";
    std::fs::write(catalog.join("secrets.toml"), secret).unwrap();
    for command in ["check", "once"] {
        let (output, said) = run(&[command]);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("GRANT SELECT ON pg_authid TO monitor"), "{said}");
    }

    let wrong = "w-r-o-n-g";
    for command in ["check", "once"] {
        let (output, said) = agent(folder.path(), &settings, wrong, &[command]);
        assert_eq!(output.status.code(), Some(1), "{said}");
        // Lines are broken for terminals.
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("check user and password"), "{said}");
    }
}

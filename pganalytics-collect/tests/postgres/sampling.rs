//! Samples of what sessions do: the right counts, at a known cost.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pganalytics_collect::{Agent, Collected, MemorySink, Outcome, Plan, postgres::PostgresServer};
use pganalytics_core::{Batch, Value, catalog::Measurement};
use pganalytics_testkit::{Cluster, versions};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use crate::watch::{Watch, batches, config, only, outcome, value, went_well};

fn sampling() -> Vec<Arc<Measurement>> {
    only(&["pg_wait_sampling", "agent_sampling"])
}

async fn newest() -> Option<Cluster> {
    let version = versions().last().copied()?;
    Some(Cluster::start(version).await.unwrap())
}

fn int(batch: &Batch, row: usize, column: &str) -> i64 {
    match value(batch, row, column) {
        Value::Int(number) => number,
        other => panic!("{column} is {other:?}"),
    }
}

fn float(batch: &Batch, row: usize, column: &str) -> f64 {
    match value(batch, row, column) {
        Value::Float(number) => number,
        other => panic!("{column} is {other:?}"),
    }
}

fn cost(collected: &Collected) -> &Batch {
    batches(collected, "agent_sampling").next().unwrap()
}

/// Samples of the rows with these texts.
fn samples(collected: &Collected, keys: &[(&str, &str)]) -> i64 {
    let batch = batches(collected, "pg_wait_sampling").next().unwrap();
    let is_it = |row: &usize| keys.iter().all(|(column, text)| value(batch, *row, column) == Value::Text(text));
    (0..batch.rows.len()).filter(is_it).map(|row| int(batch, row, "samples")).sum()
}

/// Visits until so many samples have been taken since the sampler began.
async fn until_samples(watch: &mut Watch, wanted: i64) -> Collected {
    for _ in 0..1200 {
        let collected = watch.visit().await;
        if batches(&collected, "pg_wait_sampling").next().is_some() && int(cost(&collected), 0, "samples") >= wanted {
            return collected;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never {wanted} samples");
}

/// A session by this name that runs a statement which does not end by itself.
async fn busy_with(cluster: &Cluster, name: &str, before: &str, sql: &'static str) -> Arc<Client> {
    let client = Arc::new(cluster.client("postgres").await.unwrap());
    client.batch_execute(&format!("set application_name = '{name}'; {before}")).await.unwrap();
    let running = Arc::clone(&client);
    tokio::spawn(async move { running.batch_execute(sql).await });
    client
}

/// Waits until a session is seen to be in a state.
async fn until_seen(observer: &Client, name: &str, condition: &str) {
    let sql = format!("select count(*) from pg_stat_activity where application_name = '{name}' and {condition}");
    while observer.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_session_is_in_every_sample_with_what_it_waits_for() {
    let Some(cluster) = newest().await else { return };
    cluster.sql("postgres", "create table t (a int); insert into t values (1)").await.unwrap();
    let observer = cluster.client("postgres").await.unwrap();
    let holder = cluster.client("postgres").await.unwrap();
    holder.batch_execute("set application_name = 'holder'; begin; update t set a = 2").await.unwrap();
    let _sleeper = busy_with(&cluster, "sleeper", "", "select pg_sleep(100000)").await;
    // A queue of two: both wait for the head of it.
    let _second = busy_with(&cluster, "second", "", "update t set a = 3").await;
    until_seen(&observer, "second", "wait_event_type = 'Lock'").await;
    let _third = busy_with(&cluster, "third", "", "update t set a = 4").await;
    until_seen(&observer, "third", "wait_event_type = 'Lock'").await;
    let _worker = busy_with(&cluster, "worker", "", "select count(*) from generate_series(1, 1000000000000)").await;
    until_seen(&observer, "worker", "state = 'active' and query like 'select count(%'").await;
    until_seen(&observer, "sleeper", "wait_event = 'PgSleep'").await;
    let idle = cluster.client("postgres").await.unwrap();
    idle.batch_execute("set application_name = 'idler'").await.unwrap();

    let mut watch = Watch::new(&cluster.monitor_url("postgres"), sampling());
    let collected = until_samples(&mut watch, 10).await;
    assert!(went_well(&collected, "pg_wait_sampling"));
    let taken = int(cost(&collected), 0, "samples");
    let of = |keys: &[(&str, &str)]| samples(&collected, keys);
    let in_all = [
        vec![("application_name", "sleeper"), ("wait_event_type", "Timeout"), ("wait_event", "PgSleep")],
        vec![("application_name", "holder"), ("state", "idle in transaction"), ("wait_event", "ClientRead")],
        vec![("application_name", "second"), ("wait_event_type", "Lock"), ("blocker_state", "idle in transaction")],
        vec![("application_name", "third"), ("wait_event_type", "Lock"), ("blocker_state", "idle in transaction")],
        vec![("application_name", "worker"), ("state", "active"), ("backend_type", "client backend")],
        vec![("application_name", "worker"), ("datname", "postgres"), ("usename", "postgres")],
    ];
    for keys in in_all {
        assert_eq!(of(&keys), taken, "{keys:?}");
    }
    assert_eq!(of(&[("application_name", "idler")]), 0);
    assert_eq!(of(&[("application_name", "pganalytics-agent")]), 0, "the sampler sees itself");

    // Query ids are those of pg_stat_activity, of the blocker too.
    let sql = "select application_name, query_id from pg_stat_activity where query_id is not null";
    let rows = observer.query(sql, &[]).await.unwrap();
    let ids: BTreeMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let batch = batches(&collected, "pg_wait_sampling").next().unwrap();
    let mut seen = 0;
    for row in 0..batch.rows.len() {
        let Value::Text(name) = value(batch, row, "application_name") else { panic!() };
        if ["sleeper", "worker", "second", "third", "holder"].contains(&name) {
            assert_eq!(int(batch, row, "query_id"), ids[name], "{name}");
            seen += 1;
        }
        if ["second", "third"].contains(&name) {
            assert_eq!(int(batch, row, "blocker_query_id"), ids["holder"], "{name}");
        }
        // Each sample stands for the slot that it was taken in.
        let (samples, time) = (int(batch, row, "samples"), float(batch, row, "sampled_time"));
        assert!(time > 0.0 && time <= float(cost(&collected), 0, "observed_time") * samples as f64);
    }
    assert!(seen >= 5);
    // What it cost is known.
    let cost = cost(&collected);
    assert!(float(cost, 0, "cpu") > 0.0 && float(cost, 0, "server_time") > 0.0);
    assert!(int(cost, 0, "sessions") >= 5 * taken);
    assert_eq!((int(cost, 0, "failures"), int(cost, 0, "overflow")), (0, 0));
    assert_eq!(cluster.errors_in_log().unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_on_every_version_primary_and_standby() {
    for version in versions() {
        let cluster = Cluster::builder(version).start().await.unwrap();
        let replica = cluster.replica().await.unwrap();
        for server in [&cluster, &replica] {
            let _sleeper = busy_with(server, "sleeper", "", "select pg_sleep(100000)").await;
            let observer = server.client("postgres").await.unwrap();
            until_seen(&observer, "sleeper", "wait_event = 'PgSleep'").await;
            // One visit is enough for one sample.
            let collected = Watch::new(&server.monitor_url("postgres"), sampling()).visit().await;
            let keys = [("application_name", "sleeper"), ("wait_event", "PgSleep"), ("usename", "postgres")];
            assert!(samples(&collected, &keys) >= 1, "{version}: {:#?}", collected.reports);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_that_cost_too_much_become_rare() {
    let Some(cluster) = newest().await else { return };
    let mut config = config(&cluster.monitor_url("postgres"));
    // A sample costs tens of microseconds on the fastest machine: far more than one percent of this.
    config.sampling_interval = Duration::from_millis(1);
    let mut watch = Watch::with(config, sampling());
    let collected = until_samples(&mut watch, 100).await;
    let cost = cost(&collected);
    let period = float(cost, 0, "period");
    assert!(period >= 0.002, "still every {period} s");
    // What was not sampled is not made up.
    assert!(float(cost, 0, "observed_time") >= int(cost, 0, "samples") as f64 * 0.001);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_after_a_restart() {
    let Some(cluster) = newest().await else { return };
    let mut config = config(&cluster.monitor_url("postgres"));
    config.sampling_interval = Duration::from_millis(200);
    let mut watch = Watch::with(config, sampling());
    let before = int(cost(&until_samples(&mut watch, 3).await), 0, "samples");
    cluster.stop().await.unwrap();
    loop {
        let collected = watch.visit().await;
        if let Outcome::Failed { message } = outcome(&collected, "pg_wait_sampling") {
            assert!(!message.is_empty());
            if int(cost(&collected), 0, "failures") > 0 {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.start_again().await.unwrap();
    let _sleeper = busy_with(&cluster, "sleeper", "", "select pg_sleep(100000)").await;
    let mut collected = until_samples(&mut watch, before + 5).await;
    while samples(&collected, &[("application_name", "sleeper")]) == 0 {
        let wanted = int(cost(&collected), 0, "samples") + 1;
        collected = until_samples(&mut watch, wanted).await;
    }
    assert!(went_well(&collected, "pg_wait_sampling"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_to_spare_it_says_what_to_do() {
    let Some(cluster) = newest().await else { return };
    let mut config = config(&cluster.monitor_url("postgres"));
    config.max_connections = 2;
    let collected = Watch::with(config, sampling()).visit().await;
    let Outcome::Unsupported { reason } = outcome(&collected, "pg_wait_sampling") else { panic!("{collected:?}") };
    assert!(reason.contains("max_connections") && reason.contains('3'), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_left_of_it_when_the_agent_is_dropped() {
    let Some(cluster) = newest().await else { return };
    let observer = cluster.client("postgres").await.unwrap();
    let ours = "select count(*) from pg_stat_activity where usename = 'monitor'";
    let sink = MemorySink::new();
    let mut plan = Plan::default();
    plan.set_interval("pg_wait_sampling", Duration::from_secs(1));
    let server = PostgresServer::new(config(&cluster.monitor_url("postgres")), sampling());
    let agent = Agent::builder().plan(plan).server(server).sink(sink.clone()).build().unwrap();
    let running = tokio::spawn(agent.run(CancellationToken::new()));
    while sink.batches_of("pg_wait_sampling").len() < 2 {
        sink.wait_for(sink.batches().len() + 1).await;
    }
    assert_eq!(observer.query_one(ours, &[]).await.unwrap().get::<_, i64>(0), 1, "one session of its own");
    running.abort();
    let _ = running.await;
    while observer.query_one(ours, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_watching_costs_the_server_is_told() {
    for version in versions() {
        let cluster = Cluster::start(version).await.unwrap();
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_stat_database", "agent_cost"]));
        let mut calls = Vec::new();
        for _ in 0..3 {
            let collected = watch.visit().await;
            let batch = batches(&collected, "agent_cost").next().unwrap_or_else(|| panic!("{:#?}", collected.reports));
            assert!(float(batch, 0, "total_exec_time") >= 0.0);
            calls.push(int(batch, 0, "calls"));
        }
        assert!(calls[0] < calls[1] && calls[1] < calls[2], "{version}: {calls:?}");
    }
}

//! Every measurement, on every version, primary and standby, as a role that is
//! a member of `pg_monitor` and no more.

use pganalytics_collect::Outcome;
use pganalytics_core::{
    Value,
    catalog::{Catalog, Scope},
};
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, everything, value};

const WORKLOAD: &str = "
create table big (id int primary key, v text); insert into big select g, 'x' from generate_series(1, 1000) g;
create index on big (v); select count(*) from big; analyze big;
create materialized view m as select * from big;
select pg_create_physical_replication_slot('slot_a', true);";

/// Measurements that have no row where nothing happens.
const MAY_BE_EMPTY: &[&str] = &[
    "pg_stat_replication",
    "pg_stat_activity",
    "pg_replication_slots",
    "pg_query_text",
    "pg_locks",
    "pg_blocking",
    "pg_prepared_xacts",
    "pg_process_idle",
    "pg_publication",
    "pg_stat_progress",
    "pg_stat_subscription",
    "pg_stat_subscription_stats",
    "pg_xmin_horizon",
    "pg_stat_user_functions",
    "pg_sequences",
    "pg_bloat_table",
    "pg_bloat_index",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_measurement_gives_rows_or_says_why_not() {
    for version in versions() {
        let cluster = Cluster::start(version).await.unwrap();
        for line in WORKLOAD.split_inclusive(';') {
            cluster.sql("postgres", line).await.unwrap();
        }
        cluster.sql("postgres", "create database app").await.unwrap();
        cluster.sql("app", "create table t (a int primary key); insert into t values (1)").await.unwrap();
        let replica = cluster.replica().await.unwrap();
        // A session that is seen in activity.
        let busy = cluster.client("postgres").await.unwrap();
        busy.batch_execute("begin; select 1").await.unwrap();

        for server in [&cluster, &replica] {
            let standby = std::ptr::eq(server, &raw const replica);
            let mut watch = Watch::new(&server.monitor_url("postgres"), everything());
            let first = watch.visit().await;
            for _ in 0..2 {
                watch.visit().await;
            }
            for measurement in Catalog::builtin().iter().filter(|measurement| measurement.scope().is_postgres()) {
                let name = measurement.name().as_str();
                let reports: Vec<_> =
                    first.reports.iter().filter(|report| report.measurement == *measurement.name()).collect();
                let places = if measurement.scope() == Scope::Database { 2 } else { 1 };
                assert_eq!(reports.len(), places, "{version} {name}: {reports:#?}");
                for report in reports {
                    match &report.outcome {
                        Outcome::Unsupported { reason } => {
                            assert!(reason.len() > 10, "{version} {name}: {reason}");
                            eprintln!("{version} standby={standby} {name}: unsupported: {reason}");
                        }
                        Outcome::Collected { rows } => {
                            let empty = *rows == 0 && !MAY_BE_EMPTY.contains(&name);
                            assert!(!empty, "{version} standby={standby} {name}: no rows");
                        }
                        other => panic!("{version} standby={standby} {name}: {other:?}"),
                    }
                }
            }
            let up = batches(&first, "pg_up").next().unwrap();
            assert_eq!(value(up, 0, "up"), Value::Bool(true));
            assert_eq!(value(up, 0, "error"), Value::Null);
            let texts = batches(&first, "pg_query_text").next().unwrap();
            assert!(texts.rows.len() > 5, "{} texts", texts.rows.len());
            assert_eq!(server.errors_in_log().unwrap(), Vec::<String>::new(), "{version} standby={standby}");
        }
        // One cluster, two members.
        let mut one = Watch::new(&cluster.monitor_url("postgres"), everything());
        let mut two = Watch::new(&replica.monitor_url("postgres"), everything());
        let (one, two) = (one.visit().await, two.visit().await);
        let (one, two) = (&one.batches[0].source, &two.batches[0].source);
        assert_eq!(one.server_id, two.server_id);
        assert_ne!(one.instance_id, two.instance_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_sent_once() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::start(version).await.unwrap();
    cluster.sql("postgres", "create table t (a int); select a from t where a = 42").await.unwrap();
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), everything());
    let mut seen = std::collections::HashSet::new();
    for _ in 0..4 {
        let collected = watch.visit().await;
        for batch in batches(&collected, "pg_query_text") {
            for row in 0..batch.rows.len() {
                let Value::Int(id) = value(batch, row, "queryid") else { panic!("no id") };
                assert!(seen.insert(id), "sent twice: {:?}", value(batch, row, "query"));
            }
        }
    }
    assert!(seen.len() > 10);
}

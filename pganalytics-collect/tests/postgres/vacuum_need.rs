//! How far tables are from their autovacuum, by the numbers that it computes.

use pganalytics_core::{Batch, Value};
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, only, outcome, row_where, value};

const SCRIPT: &str = "
create table plain as select g as a from generate_series(1, 1000) g;
create table own (a int, v text) with (autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0,
    autovacuum_analyze_threshold = 5, autovacuum_analyze_scale_factor = 0, autovacuum_enabled = off,
    autovacuum_vacuum_insert_threshold = -1, autovacuum_freeze_max_age = 100000);
insert into own select g from generate_series(1, 1000) g;
vacuum analyze plain;
vacuum analyze own;";

fn number(batch: &Batch, name: &str, column: &str) -> Option<f64> {
    let row = row_where(batch, &[("relname", name), ("relkind", "r")]).unwrap_or_else(|| panic!("no row of {name}"));
    match value(batch, row, column) {
        Value::Float(number) => Some(number),
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        Value::Int(number) => Some(number as f64),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn need_rises_and_a_table_s_own_parameters_count() {
    for version in versions() {
        let cluster = Cluster::builder(version).setting("autovacuum", "off").start().await.unwrap();
        for statement in SCRIPT.split_inclusive(";\n") {
            cluster.sql("postgres", statement).await.unwrap();
        }
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_vacuum_need"]));
        let mut need = async || {
            let collected = watch.visit().await;
            batches(&collected, "pg_vacuum_need").next().unwrap_or_else(|| panic!("{:#?}", collected.reports)).clone()
        };
        let before = need().await;
        assert_eq!(number(&before, "plain", "vacuum_threshold"), Some(50.0 + 0.2 * 1000.0), "{version}");
        assert_eq!(number(&before, "plain", "analyze_threshold"), Some(50.0 + 0.1 * 1000.0));
        assert_eq!(number(&before, "own", "vacuum_threshold"), Some(10.0));
        assert_eq!(number(&before, "own", "analyze_threshold"), Some(5.0));
        assert_eq!(number(&before, "own", "insert_threshold"), None);
        assert_eq!(number(&before, "own", "freeze_max_age"), Some(100_000.0));
        assert_eq!(number(&before, "plain", "freeze_max_age"), Some(200_000_000.0));

        let writer = cluster.client("postgres").await.unwrap();
        writer.batch_execute("delete from plain where a <= 500; delete from own where a <= 20").await.unwrap();
        // The counters of a session arrive when it is done with them.
        drop(writer);
        let began = tokio::time::Instant::now();
        let after = loop {
            let after = need().await;
            if number(&after, "plain", "n_dead_tup") == Some(500.0) && number(&after, "own", "n_dead_tup") == Some(20.0)
            {
                break after;
            }
            assert!(began.elapsed().as_secs() < 120, "{version}: the dead rows never showed");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        assert_eq!(number(&after, "plain", "vacuum_ratio"), Some(2.0), "{version}");
        assert_eq!(number(&after, "own", "vacuum_ratio"), Some(2.0));
        assert_eq!(number(&after, "own", "analyze_ratio"), Some(4.0));
        let row = row_where(&after, &[("relname", "own"), ("relkind", "r")]).unwrap();
        assert_eq!(value(&after, row, "autovacuum_enabled"), Value::Bool(false));

        if version >= 18 {
            cluster.sql("postgres", "alter table plain set (autovacuum_vacuum_max_threshold = 100)").await.unwrap();
            assert_eq!(number(&need().await, "plain", "vacuum_threshold"), Some(100.0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_says_that_it_can_t_know() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).start().await.unwrap();
    let replica = cluster.replica().await.unwrap();
    let mut watch = Watch::new(&replica.monitor_url("postgres"), only(&["pg_vacuum_need"]));
    let collected = watch.visit().await;
    let said = format!("{:?}", outcome(&collected, "pg_vacuum_need"));
    assert!(said.contains("Unsupported"), "{said}");
}

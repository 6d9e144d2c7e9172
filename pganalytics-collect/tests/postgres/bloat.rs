//! Bloat is estimated where statistics may be seen, and unknown elsewhere.

use pganalytics_core::{Batch, Value};
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, only, outcome, row_where, value, went_well};

const SCRIPT: &str = "
create table fresh (id bigint primary key, n int, v text);
insert into fresh select g, g % 50, md5(g::text) from generate_series(1, 20000) g;
create index fresh_n on fresh (n);
create table bloated (like fresh including all);
insert into bloated select * from fresh;
delete from bloated where id % 4 <> 0;
create table fixed (a bigint, b int);
insert into fixed select g, g from generate_series(1, 20000) g;
create table fixed_bloated (a bigint, b int);
insert into fixed_bloated select g, g from generate_series(1, 20000) g;
delete from fixed_bloated where a % 4 <> 0;
create table never (v text) with (autovacuum_enabled = off);
vacuum analyze fresh;
vacuum analyze bloated;
vacuum analyze fixed;
vacuum analyze fixed_bloated;";

fn ratio(batch: &Batch, column: &str, name: &str) -> Option<f64> {
    let row = row_where(batch, &[(column, name)]).unwrap_or_else(|| panic!("no row of {name}"));
    match value(batch, row, "bloat_ratio") {
        Value::Float(ratio) => {
            assert_eq!(value(batch, row, "method"), Value::Text("estimated"), "{name}");
            assert_eq!(value(batch, row, "reason"), Value::Null, "{name}");
            Some(ratio)
        }
        _ => {
            assert_eq!(value(batch, row, "method"), Value::Text("unknown"), "{name}");
            assert_eq!(value(batch, row, "bloat_size"), Value::Null, "{name}");
            let Value::Text(reason) = value(batch, row, "reason") else { panic!("{name}: no reason") };
            assert!(reason.contains("hidden"), "{name}: {reason}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bloated_stands_out_and_what_is_hidden_is_unknown() {
    for version in versions() {
        let cluster = Cluster::builder(version).setting("autovacuum", "off").start().await.unwrap();
        for statement in SCRIPT.split_inclusive(";\n") {
            cluster.sql("postgres", statement).await.unwrap();
        }
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_bloat_table", "pg_bloat_index"]));
        let collected = watch.visit().await;
        let table = batches(&collected, "pg_bloat_table").next().unwrap();
        let index = batches(&collected, "pg_bloat_index").next().unwrap();
        assert_eq!(ratio(table, "relname", "fresh"), None, "{version}");
        assert_eq!(ratio(index, "indexrelname", "fresh_n"), None, "{version}");
        // The width of these is in their types.
        assert!(ratio(table, "relname", "fixed").unwrap() < 0.1);
        assert!(ratio(table, "relname", "fixed_bloated").unwrap() > 0.6);
        assert!(ratio(index, "indexrelname", "bloated_pkey").unwrap() > 0.6);
        assert!(row_where(table, &[("relname", "never")]).is_none(), "too small");

        cluster.sql("postgres", "grant pg_read_all_data to monitor").await.unwrap();
        let collected = watch.visit().await;
        let table = batches(&collected, "pg_bloat_table").next().unwrap();
        let index = batches(&collected, "pg_bloat_index").next().unwrap();
        for (fresh, bloated, column, batch) in [
            ("fresh", "bloated", "relname", table),
            ("fixed", "fixed_bloated", "relname", table),
            ("fresh_pkey", "bloated_pkey", "indexrelname", index),
            ("fresh_n", "bloated_n_idx", "indexrelname", index),
        ] {
            let (low, high) = (ratio(batch, column, fresh).unwrap(), ratio(batch, column, bloated).unwrap());
            assert!(low < 0.4 && high > 0.6, "{version} {fresh} {low} {bloated} {high}");
        }

        cluster.sql("postgres", "vacuum full bloated").await.unwrap();
        cluster.sql("postgres", "vacuum analyze bloated").await.unwrap();
        let collected = watch.visit().await;
        let table = batches(&collected, "pg_bloat_table").next().unwrap();
        assert!(ratio(table, "relname", "bloated").unwrap() < 0.1, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_measured_with_the_extension_and_pg_monitor() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).setting("autovacuum", "off").start().await.unwrap();
    let exact = only(&["pg_bloat_table_exact"]);
    assert!(!exact[0].enabled_by_default());
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), exact);
    let without = watch.visit().await;
    let said = format!("{:?}", outcome(&without, "pg_bloat_table_exact"));
    assert!(said.contains("CREATE EXTENSION pgstattuple"), "{said}");

    for statement in [
        "create extension pgstattuple",
        "create table t as select g, repeat('x', 500) from generate_series(1, 20000) g",
        "delete from t where g % 2 = 0",
        "analyze t",
    ] {
        cluster.sql("postgres", statement).await.unwrap();
    }
    let collected = watch.visit().await;
    assert!(went_well(&collected, "pg_bloat_table_exact"), "{:#?}", collected.reports);
    let batch = batches(&collected, "pg_bloat_table_exact").find(|batch| !batch.rows.is_empty()).unwrap();
    let Value::Float(ratio) = value(batch, 0, "bloat_ratio") else { panic!("no ratio") };
    assert!((0.3..0.7).contains(&ratio), "{ratio}");
}

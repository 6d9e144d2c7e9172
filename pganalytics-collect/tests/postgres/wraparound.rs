//! Transactions grow old: databases, tables, and who keeps them from being
//! cleaned up.

use pganalytics_core::Batch;
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, float, int, only, row_where, text};

async fn burn(cluster: &Cluster, transactions: u32) {
    let sql =
        format!("do $$ begin for i in 1..{transactions} loop perform pg_current_xact_id(); commit; end loop; end $$");
    cluster.sql("postgres", &sql).await.unwrap();
}

fn database(batch: &Batch) -> usize {
    row_where(batch, &[("datname", "postgres")]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_and_tables_that_grow_old_are_seen_and_freeze_again() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version)
        .setting("autovacuum", "off")
        .setting("autovacuum_freeze_max_age", "100000")
        .start()
        .await
        .unwrap();
    cluster.sql("postgres", "create table old (a int); insert into old values (1)").await.unwrap();
    let measurements = only(&["pg_database_wraparound", "pg_table_wraparound"]);
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), measurements);
    let young = watch.visit().await;
    let tables = |batch: &Batch| row_where(batch, &[("schemaname", "public"), ("relname", "old")]);
    assert!(tables(crate::watch::batch(&young, "pg_table_wraparound")).is_none());

    burn(&cluster, 30_000).await;
    let old = watch.visit().await;
    let databases = crate::watch::batch(&old, "pg_database_wraparound");
    let row = database(databases);
    let age = int(databases, row, "datfrozenxid_age").unwrap();
    assert!(age >= 30_000, "{age}");
    let percent = float(databases, row, "freeze_percent").unwrap();
    assert!((30.0..100.0).contains(&percent), "{percent}");
    let percent = float(databases, row, "wraparound_percent").unwrap();
    assert!(percent > 0.0 && percent < 1.0, "{percent}");
    let held = crate::watch::batch(&old, "pg_table_wraparound");
    let row = tables(held).unwrap();
    assert!(int(held, row, "relfrozenxid_age").unwrap() >= 30_000);

    // Freezing it makes it young again.
    let client = cluster.client("postgres").await.unwrap();
    client.batch_execute("vacuum (freeze)").await.unwrap();
    let young = watch.visit().await;
    let databases = crate::watch::batch(&young, "pg_database_wraparound");
    let age = int(databases, database(databases), "datfrozenxid_age").unwrap();
    assert!(age < 30_000, "{age}");
    assert!(tables(crate::watch::batch(&young, "pg_table_wraparound")).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_transaction_holds_the_horizon() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).start().await.unwrap();
    let forgotten = cluster.client("postgres").await.unwrap();
    forgotten
        .batch_execute("set application_name = 'forgotten'; begin isolation level repeatable read; select 1")
        .await
        .unwrap();
    burn(&cluster, 1_000).await;
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_xmin_horizon"]));
    let horizon = watch
        .until("pg_xmin_horizon", "the transaction", |batch| row_where(batch, &[("name", "forgotten")]).is_some())
        .await;
    let row = row_where(&horizon, &[("name", "forgotten")]).unwrap();
    assert_eq!(text(&horizon, row, "kind"), Some("backend"));
    assert_eq!(text(&horizon, row, "state"), Some("idle in transaction"));
    assert!(int(&horizon, row, "xmin_age").unwrap() >= 1_000);
    forgotten.batch_execute("commit").await.unwrap();
    watch.until("pg_xmin_horizon", "it gone", |batch| row_where(batch, &[("name", "forgotten")]).is_none()).await;
}

//! Transactions grow old: databases, tables, and who keeps them from being
//! cleaned up.

use pganalytics_core::Batch;
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batch, float, int, only, row_where, text};

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
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_database_wraparound", "pg_table_age"]));
    burn(&cluster, 30_000).await;
    // All but one are frozen; that one holds the database back.
    let client = cluster.client("postgres").await.unwrap();
    let others = "select format('vacuum (freeze) %s', oid::regclass) from pg_class where relkind in ('r', 'm') and relname <> 'old'";
    for row in client.query(others, &[]).await.unwrap() {
        client.batch_execute(row.get(0)).await.unwrap();
    }
    let old = watch.visit().await;
    let databases = batch(&old, "pg_database_wraparound");
    let row = database(databases);
    let age = int(databases, row, "datfrozenxid_age").unwrap();
    assert!(age >= 30_000, "{age}");
    let ratio = float(databases, row, "freeze_ratio").unwrap();
    assert!((0.3..1.0).contains(&ratio), "{ratio}");
    let ratio = float(databases, row, "wraparound_ratio").unwrap();
    assert!(ratio > 0.0 && ratio < 0.01, "{ratio}");
    let tables = batch(&old, "pg_table_age");
    assert_eq!(tables.rows.len(), 1, "{tables:#?}");
    assert_eq!((text(tables, 0, "schemaname"), text(tables, 0, "relname")), (Some("public"), Some("old")));
    assert!(int(tables, 0, "xid_age").unwrap() >= 30_000);

    // Freezing it makes the database young again.
    client.batch_execute("vacuum (freeze) old").await.unwrap();
    let young = watch.visit().await;
    let databases = batch(&young, "pg_database_wraparound");
    let age = int(databases, database(databases), "datfrozenxid_age").unwrap();
    assert!(age < 30_000, "{age}");
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
        .until("pg_xmin_horizon", "the transaction", |seen| row_where(seen, &[("name", "forgotten")]).is_some())
        .await;
    let row = row_where(&horizon, &[("name", "forgotten")]).unwrap();
    assert_eq!(text(&horizon, row, "kind"), Some("backend"));
    assert_eq!(text(&horizon, row, "state"), Some("idle in transaction"));
    assert!(int(&horizon, row, "xmin_age").unwrap() >= 1_000);
    forgotten.batch_execute("commit").await.unwrap();
    watch.until("pg_xmin_horizon", "it gone", |seen| row_where(seen, &[("name", "forgotten")]).is_none()).await;
}

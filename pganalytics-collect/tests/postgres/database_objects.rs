//! Functions, extensions and old tables of a database.

use pganalytics_core::Value;
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, only, row_where, value};

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_functions_are_counted_where_the_server_counts_them() {
    for version in versions() {
        let cluster = Cluster::builder(version).setting("track_functions", "all").start().await.unwrap();
        for arguments in ["int", "text"] {
            let sql = format!("create function f({arguments}) returns int language plpgsql as 'begin return 1; end'");
            cluster.sql("postgres", &sql).await.unwrap();
        }
        let caller = cluster.client("postgres").await.unwrap();
        caller.batch_execute("select f(1); select f(2); select f('x')").await.unwrap();
        drop(caller);
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_stat_user_functions"]));
        let began = tokio::time::Instant::now();
        loop {
            let collected = watch.visit().await;
            let batch = batches(&collected, "pg_stat_user_functions").next().unwrap();
            let calls = |arguments: &str| {
                row_where(batch, &[("funcname", "f"), ("arguments", arguments)]).map(|row| value(batch, row, "calls"))
            };
            if calls("integer") == Some(Value::Int(2)) && calls("text") == Some(Value::Int(1)) {
                break;
            }
            assert!(began.elapsed().as_secs() < 120, "{version}: the calls never showed");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_was_left_behind_has_an_update() {
    for version in versions() {
        let cluster = Cluster::builder(version).with_statements().start().await.unwrap();
        cluster.sql("postgres", "drop extension pg_stat_statements").await.unwrap();
        cluster.sql("postgres", "create extension pg_stat_statements version '1.8'").await.unwrap();
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_extension"]));
        let collected = watch.visit().await;
        let batch = batches(&collected, "pg_extension").next().unwrap_or_else(|| panic!("{:#?}", collected.reports));
        let of = |name: &str, column: &str| value(batch, row_where(batch, &[("extname", name)]).unwrap(), column);
        assert_eq!(of("plpgsql", "update_available"), Value::Bool(false), "{version}");
        assert_eq!(of("plpgsql", "latest_version"), of("plpgsql", "extversion"));
        let (name, old) = ("pg_stat_statements", Value::Text("1.8"));
        assert_eq!(of(name, "extversion"), old, "{version}");
        assert_eq!(of(name, "update_available"), Value::Bool(true));
        let Value::Text(latest) = of(name, "latest_version") else { panic!("no version") };
        let minor: u32 = latest.strip_prefix("1.").and_then(|minor| minor.parse().ok()).unwrap();
        assert!(minor >= 9, "{version}: 1.10 comes after 1.9, and the latest is {latest}");
        assert_eq!(of(name, "default_version"), Value::Text(latest), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_tables_are_told() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).setting("autovacuum", "off").start().await.unwrap();
    cluster.sql("postgres", "create table old (v text)").await.unwrap();
    let burner = cluster.client("postgres").await.unwrap();
    burner
        .batch_execute("do 'begin for i in 1..20000 loop perform pg_current_xact_id(); commit; end loop; end'")
        .await
        .unwrap();
    cluster.sql("postgres", "vacuum freeze").await.unwrap();
    let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_table_age"]));
    let collected = watch.visit().await;
    let batch = batches(&collected, "pg_table_age").next().unwrap_or_else(|| panic!("{:#?}", collected.reports));
    assert!((1..=100).contains(&batch.rows.len()), "{} rows", batch.rows.len());

    // One transaction that holds nothing back but keeps one table from being frozen.
    cluster.sql("postgres", "create table young (v text)").await.unwrap();
    burner
        .batch_execute("do 'begin for i in 1..5000 loop perform pg_current_xact_id(); commit; end loop; end'")
        .await
        .unwrap();
    for table in ["old", "pg_class"] {
        cluster.sql("postgres", &format!("vacuum freeze {table}")).await.unwrap();
    }
    let collected = watch.visit().await;
    let batch = batches(&collected, "pg_table_age").next().unwrap();
    assert!(row_where(batch, &[("relname", "old")]).is_none(), "it was frozen just now");
    for row in 0..batch.rows.len() {
        let Value::Int(age) = value(batch, row, "xid_age") else { panic!("no age") };
        assert!(age >= 4500, "{:?} is only {age} old", value(batch, row, "relname"));
    }
}

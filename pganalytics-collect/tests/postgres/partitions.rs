//! Partitions name their root, so that SQL sums them.

use pganalytics_core::Value;
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, only, value};

const SCRIPT: &str = "
create schema \"Odd one\";
create table \"Odd one\".root (a int, b int) partition by range (a);
create table low partition of \"Odd one\".root for values from (0) to (100);
create table middle partition of \"Odd one\".root for values from (100) to (1000) partition by list (b);
create table leaf partition of middle default;
create table alone (a int);
insert into \"Odd one\".root select g, g from generate_series(0, 999) g;
insert into alone values (1);";

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_any_depth_sum_to_their_root() {
    for version in versions() {
        let cluster = Cluster::builder(version).start().await.unwrap();
        for statement in SCRIPT.split_inclusive(";\n") {
            cluster.sql("postgres", statement).await.unwrap();
        }
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_stat_user_tables"]));
        let began = tokio::time::Instant::now();
        loop {
            let collected = watch.visit().await;
            let batch = batches(&collected, "pg_stat_user_tables").next().unwrap();
            let mut sum = 0;
            for row in 0..batch.rows.len() {
                let root = value(batch, row, "partition_root");
                match value(batch, row, "relname") {
                    Value::Text("low" | "middle" | "leaf") => {
                        assert_eq!(root, Value::Text("\"Odd one\".root"), "{version}");
                        let Value::Int(inserted) = value(batch, row, "n_tup_ins") else { panic!("no number") };
                        sum += inserted;
                    }
                    _ => assert_eq!(root, Value::Null, "{version}"),
                }
            }
            if sum == 1000 {
                break;
            }
            assert!(began.elapsed().as_secs() < 120, "{version}: {sum} rows inserted");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

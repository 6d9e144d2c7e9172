//! Invalid, unused, duplicate and redundant indexes can be told from what is
//! collected, by the queries of `docs/databases.md`.

use pganalytics_core::{Batch, Value};
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, only, row_where, value};

const SCRIPT: &str = "
create table t (a int, b int, c text);
insert into t values (1, 1, 'x'), (1, 2, 'y');
create index one on t (a);
create index two on t (a);
create index longer on t (a, b);
create index part on t (a) where b > 5;
create index part_too on t (a) where b > 5;
create unique index of_expression on t (lower(c));";

fn of<'a>(batch: &'a Batch, name: &str, column: &str) -> Value<'a> {
    value(batch, row_where(batch, &[("indexrelname", name)]).unwrap_or_else(|| panic!("no {name}")), column)
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_of_no_use_can_be_told() {
    for version in versions() {
        let cluster = Cluster::builder(version).start().await.unwrap();
        let client = cluster.client("postgres").await.unwrap();
        for statement in SCRIPT.split_inclusive(";\n") {
            client.batch_execute(statement).await.unwrap();
        }
        cluster.sql("postgres", "create unique index concurrently broken on t (a)").await.unwrap_err();
        let reader = cluster.client("postgres").await.unwrap();
        reader.batch_execute("set enable_seqscan = off; select * from t where lower(c) = 'x'").await.unwrap();
        drop(reader);
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), only(&["pg_stat_user_indexes"]));
        let began = tokio::time::Instant::now();
        let collected = loop {
            let collected = watch.visit().await;
            let batch = batches(&collected, "pg_stat_user_indexes").next().unwrap();
            if of(batch, "of_expression", "idx_scan") == Value::Int(1) {
                break collected;
            }
            assert!(began.elapsed().as_secs() < 120, "{version}: the scan never showed");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        let batch = batches(&collected, "pg_stat_user_indexes").next().unwrap();
        // Invalid.
        assert_eq!(of(batch, "broken", "indisvalid"), Value::Bool(false), "{version}");
        assert_eq!(of(batch, "one", "indisvalid"), Value::Bool(true));
        // Unused.
        assert_eq!(of(batch, "longer", "idx_scan"), Value::Int(0));
        // Duplicate: all of the definition is the same.
        let hash = |name: &str| of(batch, name, "definition_hash");
        assert_eq!(hash("one"), hash("two"), "{version}");
        assert_eq!(hash("part"), hash("part_too"), "{version}");
        for other in ["longer", "part", "broken", "of_expression"] {
            assert_ne!(hash("one"), hash(other), "{version} {other}");
        }
        // Redundant: the columns of one begin those of another.
        assert_eq!(of(batch, "one", "indkey"), Value::Text("1"));
        assert_eq!(of(batch, "longer", "indkey"), Value::Text("1 2"));
        assert_eq!(of(batch, "one", "indispartial"), Value::Bool(false));
        assert_eq!(of(batch, "part", "indispartial"), Value::Bool(true));
    }
}

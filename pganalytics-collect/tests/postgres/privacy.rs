//! What must not leave does not leave.

use pganalytics_core::Value;
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, everything, own_sql, value};

const CANARY: &str = "c4n4ry";

#[tokio::test(flavor = "multi_thread")]
async fn no_literal_leaves() {
    for version in versions() {
        let cluster = Cluster::start(version).await.unwrap();
        for sql in [
            "create role r1 login password 'c4n4ry'",
            "alter role r1 password 'c4n4ry2'",
            "alter role r1 set app.secret = 'c4n4ry'",
            "select set_config('app.secret', 'c4n4ry', false)",
            "set app.secret = c4n4ry",
            "do $body$ begin perform 'c4n4ry'; end $body$",
            "select 1 /* c4n4ry */ as a -- c4n4ry",
            "create table c (a text default 'c4n4ry')",
            "insert into c values ('c4n4ry')",
            "copy (select 'c4n4ry') to '/dev/null'",
            "explain select 'c4n4ry'",
            "prepare p as select 'c4n4ry'",
        ] {
            cluster.sql("postgres", sql).await.unwrap();
        }
        let failing = own_sql("failing", "select 'c4n4ry'::text::int as n");
        let raising =
            own_sql("raising", "select pg_catalog.query_to_xml('select ''c4n4ry''::int', true, true, '')::text as n");
        let measurements = everything().into_iter().chain([failing, raising]).collect();
        let mut watch = Watch::new(&cluster.monitor_url("postgres"), measurements);
        let collected = watch.visit().await;
        let mut texts = 0;
        for batch in &collected.batches {
            for row in 0..batch.rows.len() {
                for column in batch.schema.columns() {
                    if let Value::Text(text) = value(batch, row, &column.name) {
                        assert!(!text.contains(CANARY), "{version} {}: {text}", batch.schema.measurement());
                        texts += 1;
                    }
                }
            }
        }
        assert!(texts > 100);
        let all: Vec<_> = batches(&collected, "pg_query_text").collect();
        assert!(all.iter().any(|batch| (0..batch.rows.len()).any(|row| {
            matches!(value(batch, row, "query"), Value::Text(text) if text.to_lowercase().starts_with("create role r1"))
        })));
        let reports = format!("{:?}", collected.reports);
        assert!(!reports.contains(CANARY), "{reports}");
    }
}

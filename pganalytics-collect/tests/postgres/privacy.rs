//! What must not leave does not leave.

use std::process::Command;

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
            "alter role r1\nset app.secret = c4n4ry",
            "set app.secret\nto c4n4ry",
            "create or replace function f() returns int language sql set app.secret = c4n4ry as 'select 1'",
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

/// Statements whose value is a bare word, which `pg_stat_statements` keeps in
/// part, and some that the server refuses and logs whole.
const STATEMENTS: &[&str] = &[
    "alter role postgres\nset app.k = c4n4ry",
    "set app.k\nto c4n4ry",
    "set/* c4n4ry */local\tapp . k=c4n4ry",
    "create or replace function f() returns int language sql set app.k = c4n4ry as 'select 1'",
    "alter system set app.k = c4n4ry",
    "create role r password 'c4n4ry' valid until '2030-01-01'",
    "create user r2 identified by c4n4ry",
    "altre role r set app.k = c4n4ry",
    "select 'it's c4n4ry', 'c4n4ry'",
    "insert into t values ('O' Brien', 'c4n4ry')",
    "select 'unfinished c4n4ry",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_once_prints_holds_no_value_however_the_statement_was_written() {
    for version in versions() {
        let cluster =
            Cluster::builder(version).with_statements().setting("log_statement", "all").start().await.unwrap();
        let mut refused = 0;
        for sql in STATEMENTS {
            refused += usize::from(cluster.sql("postgres", sql).await.is_err());
        }
        assert!((4..8).contains(&refused), "{refused}");
        assert!(cluster.log().unwrap().matches(CANARY).count() >= STATEMENTS.len());

        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("agent.toml");
        let text = format!(
            "[collector]\ndata_dir = {:?}\n[pg_log]\nfrom = \"start\"\n[[postgres]]\nname = \"main\"\nhost = \"127.0.0.1\"\n\
             port = {}\nuser = \"monitor\"\ndatabase = \"postgres\"\nlog_path = {:?}\n",
            folder.path().join("data"),
            cluster.port(),
            cluster.log_file(),
        );
        std::fs::write(&settings, text).unwrap();
        let mut once = Command::new(env!("CARGO_BIN_EXE_pganalytics-agent"));
        once.env_clear().env("HOME", folder.path()).env("POSTGRES_PASSWORD", cluster.password());
        let output = once.args(["once", "--json", "--config"]).arg(&settings).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).to_lowercase();
        assert!(!said.contains(CANARY), "{version}: {said}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains(CANARY));
        // The statements themselves are there, from pg_stat_statements and from the log.
        for begin in ["alter role postgres\\nset app.k = …", "set app.k\\nto …"] {
            assert!(said.matches(begin).count() >= 2, "{version}: {begin}: {said}");
        }
        for begin in ["set app.k = …", "password '…' valid until '…'", "identified …", "select '…' …"] {
            assert!(said.contains(begin), "{version}: {begin}: {said}");
        }
    }
}

//! `serve --monitor`: one program that watches a real PostgreSQL.

use std::time::Duration;

use pganalytics_testkit::{Cluster, versions};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    fixture::{eventually, read},
    process::{Process, program},
};

const PATIENCE: Duration = Duration::from_secs(60);

struct Watching {
    process: Process,
    http: reqwest::Client,
    token: String,
    _folder: tempfile::TempDir,
}

impl Watching {
    async fn start(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program(folder.path());
        command.env("PGANALYTICS_MONITOR", url).env("COLLECTION_INTERVAL", "1");
        let process = Process::start(command).await;
        let http = reqwest::Client::new();
        let token = process.token(&http).await;
        Self { process, http, token, _folder: folder }
    }

    async fn rows(&self, sql: &str) -> Vec<Value> {
        let request = self.http.post(format!("{}/api/v1/sql", self.process.base)).bearer_auth(&self.token);
        let answer = request.json(&json!({"sql": sql})).send().await.unwrap();
        if answer.status() == StatusCode::BAD_REQUEST {
            // A table that nobody has sent yet.
            return Vec::new();
        }
        read(answer, StatusCode::OK).await["rows"].as_array().unwrap().clone()
    }

    /// The first row, once there is one.
    async fn first(&self, sql: &str) -> Value {
        eventually(sql, PATIENCE, async || self.rows(sql).await.first().cloned()).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_server_is_seen_over_http() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = Cluster::builder(version).with_statements().start().await.unwrap();
    cluster
        .sql("postgres", "create table watched (a int); insert into watched select 1 from generate_series(1, 7)")
        .await
        .unwrap();
    let watching = Watching::start(&cluster.monitor_url("postgres")).await;

    assert_eq!(watching.first("select up, error from pg_up_latest").await, json!([true, null]));
    let server = watching.first("select version, in_recovery from pg_server_latest").await;
    assert!(server[0].as_str().unwrap().starts_with(&format!("PostgreSQL {version}")), "{server}");
    assert_eq!(server[1], json!(false));
    let sql = "select n_tup_ins from pg_stat_user_tables_latest where relname = 'watched'";
    assert_eq!(watching.first(sql).await, json!([7]));
    // Counters become increases: what is done from now on, exactly.
    watching.first("select 1 from pg_stat_user_tables_delta where relname = 'watched'").await;
    cluster.sql("postgres", "insert into watched select 1 from generate_series(1, 35)").await.unwrap();
    let sql =
        "select sum(n_tup_ins) from pg_stat_user_tables_delta where relname = 'watched' having sum(n_tup_ins) >= 35";
    assert_eq!(watching.first(sql).await, json!([35]));
    watching.first("select 1 from pg_stat_statements_delta").await;
    watching.first("select 1 from pg_stat_activity_summary").await;
    watching.first("select 1 from sysstat_latest").await;

    let servers = watching.http.get(format!("{}/api/v1/servers", watching.process.base)).bearer_auth(&watching.token);
    let servers = read(servers.send().await.unwrap(), StatusCode::OK).await;
    // PostgreSQL and its host.
    assert_eq!(servers["count"], 2, "{servers}");
    let count = watching.http.get(format!("{}/api/v1/metrics/count", watching.process.base)).send().await.unwrap();
    assert!(read(count, StatusCode::OK).await["count"].as_u64().unwrap() > 100);
    assert_eq!(watching.process.terminate().await.code(), Some(0));
    assert_eq!(cluster.errors_in_log().unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_down_and_says_why() {
    let watching = Watching::start("postgres://nobody:hunter2@127.0.0.1:1/postgres").await;
    let row = watching.first("select up, error, server from pg_up_latest").await;
    assert_eq!(row[0], json!(false));
    let error = row[1].as_str().unwrap();
    assert!(error.contains("127.0.0.1") && !error.contains("hunter2"), "{error}");
    assert_eq!(watching.process.terminate().await.code(), Some(0));
}

//! The server in front: who is let in, what it refuses, both formats.

use std::time::Duration;

use pganalytics_collect::exporter::Auth;
use pganalytics_core::Secret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    exposition::{parse, value},
    fixture::{self, newest},
};

#[tokio::test(flavor = "multi_thread")]
async fn without_its_secret_nobody_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let file = token.clone();
    let running = fixture::start(&[], |settings| settings.auth = Some(Auth::TokenFile(file))).await;
    let get = |authorization: &'static str| {
        let request = running.client.get(running.url("/metrics"));
        async move { request.header("authorization", authorization).send().await.unwrap() }
    };
    assert_eq!(get("Bearer s3cret").await.status(), 200);
    let refused = get("Bearer other").await;
    assert_eq!((refused.status().as_u16(), refused.headers()["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
    assert!(!refused.text().await.unwrap().contains("pg_"));
    // Another secret counts at once.
    std::fs::write(&token, "rotated").unwrap();
    assert_eq!((get("Bearer s3cret").await.status(), get("Bearer rotated").await.status()).0, 401);
    assert_eq!(get("Bearer rotated").await.status(), 200);

    let running = fixture::start(&[], |settings| {
        settings.auth = Some(Auth::Password { user: "prom".into(), password: Secret::new("p:w".into()) });
    })
    .await;
    let get = |user: &'static str, password: &'static str| {
        running.client.get(running.url("/metrics")).basic_auth(user, Some(password)).send()
    };
    assert_eq!(get("prom", "p:w").await.unwrap().status(), 200);
    assert_eq!(get("prom", "other").await.unwrap().status(), 401);
    assert_eq!(running.client.get(running.url("/")).send().await.unwrap().status(), 401);
    assert_eq!(running.client.get(running.url("/-/healthy")).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_refuses_what_it_does_not_know_and_what_is_too_long() {
    let running = fixture::start(&[], |_| {}).await;
    assert_eq!(running.client.get(running.url("/other")).send().await.unwrap().status(), 404);
    assert_eq!(running.client.post(running.url("/metrics")).body("x").send().await.unwrap().status(), 405);
    assert_eq!(running.client.get(running.url("/probe")).send().await.unwrap().status(), 400);
    assert!(running.text("/").await.contains("/metrics"));
    let mut tcp = TcpStream::connect(("127.0.0.1", running.port)).await.unwrap();
    let long = format!("GET /metrics HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "y".repeat(64 * 1024));
    let _ = tcp.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(60), tcp.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    // It still lives.
    assert!(running.text("/metrics").await.contains("process_cpu_seconds_total"));
}

#[tokio::test(flavor = "multi_thread")]
async fn open_metrics_comes_when_it_is_asked_for() {
    let Some(cluster) = newest().await else { return };
    let running = fixture::start(&[("main", &cluster.monitor_url("postgres"))], |_| {}).await;
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let response = running.client.get(running.url("/metrics")).header("accept", accept).send().await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    // The parser minds what OpenMetrics has of its own.
    let open = parse(&response.text().await.unwrap());
    let plain = running.page("/metrics").await;
    assert_eq!(value(&open, "pg_up", &[]), Some(1.0));
    assert_eq!(open["pg_stat_database_tup_returned"].kind, "unknown", "a counter without _total");
    assert_eq!(open["pg_exporter_scrapes"].kind, "counter");
    assert_eq!(plain["pg_exporter_scrapes_total"].kind, "counter");
    let samples = |page: &crate::exposition::Page, name: &str| page.get(name).map(|family| family.samples.len());
    assert_eq!(samples(&open, "pg_settings_max_connections"), samples(&plain, "pg_settings_max_connections"));
}

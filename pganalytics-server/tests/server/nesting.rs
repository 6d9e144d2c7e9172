//! The service as a part of somebody else's application.

use std::sync::Arc;

use axum::{Router, routing::get};
use pganalytics_server::Server;
use pganalytics_store::{memory::MemoryStore, sql::EngineOptions};
use reqwest::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use crate::fixture::{ADMIN_PASSWORD, problem, read, settings};

#[tokio::test]
async fn the_service_works_under_a_path_of_another_application() {
    let store = Arc::new(MemoryStore::new(EngineOptions::default()).unwrap());
    let builder = Server::builder().metric_store(store.clone()).meta_store(store);
    let server = builder.settings(settings()).build().await.unwrap();
    let app = Router::new().route("/", get(|| async { "mine" })).nest_service("/monitoring", server.into_service());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let http = reqwest::Client::new();
    assert_eq!(http.get(&base).send().await.unwrap().text().await.unwrap(), "mine");
    // Without its slash the page would look for its files beside itself.
    for path in ["/monitoring/", "/monitoring"] {
        let page = http.get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!(page.url().path(), "/monitoring/");
        let text = page.text().await.unwrap();
        assert!(text.contains("pgAnalytics"));
        let script = text.split('"').find(|part| part.ends_with(".js")).unwrap().trim_start_matches("./");
        let script = http.get(format!("{base}/monitoring/{script}")).send().await.unwrap();
        assert_eq!(script.status(), StatusCode::OK);
    }
    read(http.get(format!("{base}/monitoring/api/v1/health")).send().await.unwrap(), StatusCode::OK).await;
    let login = json!({"username": "admin", "password": ADMIN_PASSWORD});
    let login = http.post(format!("{base}/monitoring/api/v1/auth/login")).json(&login).send().await.unwrap();
    let token = read(login, StatusCode::OK).await["token"].as_str().unwrap().to_owned();
    let sql =
        http.post(format!("{base}/monitoring/api/v1/sql")).bearer_auth(token).json(&json!({"sql": "select 1 as one"}));
    assert_eq!(read(sql.send().await.unwrap(), StatusCode::OK).await["rows"], json!([[1]]));
    // Problems name the path as the client knows it; whose peer is not known is nobody local.
    let lost = http.get(format!("{base}/monitoring/api/v1/metrics/count")).send().await.unwrap();
    let text = lost.text().await.unwrap();
    assert!(text.contains("\"instance\":\"/monitoring/api/v1/metrics/count\""), "{text}");
    let lost = http.get(format!("{base}/monitoring/nothing")).send().await.unwrap();
    problem(lost, StatusCode::NOT_FOUND).await;
}

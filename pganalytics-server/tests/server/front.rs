//! `pganalytics-server ui`: the page alone, in front of a server elsewhere.

use std::process::Stdio;

use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::{
    fixture::{ADMIN_PASSWORD, problem, read, settings, start_with},
    process::{Process, program},
};

#[tokio::test]
async fn the_page_alone_passes_the_api_on_and_says_when_nobody_answers() {
    let mut settings = settings();
    settings.proxies = pganalytics_server::Proxies::new(["loopback"]).unwrap();
    let mut server = start_with(settings).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path());
    command.args(["ui", "--backend", &format!("http://{}", server.address)]);
    let front = Process::start(command).await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = |path: &str| format!("{}{path}", front.base);

    let page = http.get(url("/")).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("frame-ancestors 'none'"));
    assert_eq!(page.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let nothing = http.get(url("/no-such-file.js")).send().await.unwrap();
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND);

    // A log-in by cookie, and a batch whose answer comes in lines.
    let login = http.post(url("/api/v1/auth/login?cookie=true"));
    let answer = login.json(&json!({"username": "admin", "password": ADMIN_PASSWORD})).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers().get_all(header::SET_COOKIE).iter().count() >= 3);
    let login = http.post(url("/api/v1/auth/login")).json(&json!({"username": "admin", "password": ADMIN_PASSWORD}));
    let token = read(login.send().await.unwrap(), StatusCode::OK).await["token"].as_str().unwrap().to_owned();
    let body = json!({"queries": [{"id": "a", "sql": "select 1 as x"}, {"id": "b", "sql": "select 2 as x"}]});
    let batch = http.post(url("/api/v1/sql/batch")).bearer_auth(&token).json(&body).send().await.unwrap();
    assert_eq!(batch.headers()[header::CONTENT_TYPE], "application/x-ndjson");
    assert_eq!(batch.text().await.unwrap().lines().count(), 2);
    // What a stranger says of where it comes from is not passed on: nobody is local here.
    let metrics = http.get(url("/metrics")).header("X-Forwarded-For", "127.0.0.1").send().await.unwrap();
    assert_eq!(metrics.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        problem(http.get(url("/api/v1/none")).send().await.unwrap(), StatusCode::NOT_FOUND).await.0,
        "not_found"
    );

    server.stop();
    server.stopped().await;
    let away = http.get(url("/api/v1/health")).send().await.unwrap();
    assert_eq!(away.headers()[header::RETRY_AFTER], "2");
    assert_eq!(away.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(away.json::<Value>().await.unwrap()["code"], "backend_away");
    assert_eq!(http.get(url("/")).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(front.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn the_page_alone_wants_an_address_of_a_server() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [vec!["ui"], vec!["ui", "--backend", "backend:8080"]] {
        let mut command = program(folder.path());
        command.args(&arguments).stderr(Stdio::piped());
        let output = command.output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--backend"), "{arguments:?}");
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "it keeps nothing");
}

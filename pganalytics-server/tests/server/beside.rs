//! Commands beside a running server, which has the store open.

use std::path::Path;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::{
    fixture::{Spool, read},
    process::{Process, program, run},
};

/// What a command prints, which must succeed.
async fn command(folder: &Path, arguments: &[&str]) -> String {
    let output = run(program(folder).args(arguments)).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn login(base: &str, name: &str, password: &str) -> reqwest::Response {
    let body = json!({"username": name, "password": password});
    Client::new().post(format!("{base}/api/v1/auth/login")).json(&body).send().await.unwrap()
}

async fn token(base: &str, name: &str, password: &str) -> String {
    let answer = read(login(base, name, password).await, StatusCode::OK).await;
    answer["token"].as_str().unwrap().to_owned()
}

async fn me(base: &str, token: &str) -> StatusCode {
    Client::new().get(format!("{base}/api/v1/auth/me")).bearer_auth(token).send().await.unwrap().status()
}

#[tokio::test]
async fn users_and_tokens_are_made_beside_a_server_and_hold_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(program(folder.path())).await;
    let base = &server.base;
    let password = command(folder.path(), &["user", "add", "bob", "--role", "user"]).await;
    let session = token(base, "bob", &password).await;
    assert_eq!(me(base, &session).await, StatusCode::OK);
    let again = run(program(folder.path()).args(["user", "add", "bob"])).await;
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && said.contains("bob"), "{said}");

    // A lost password, and a session that somebody else has.
    let (_, first) = server.first_admin().unwrap();
    let admin = token(base, "admin", &first).await;
    let new = command(folder.path(), &["user", "reset-password", "admin"]).await;
    assert_eq!(me(base, &admin).await, StatusCode::UNAUTHORIZED, "the sessions of before end at once");
    assert_eq!(login(base, "admin", &first).await.status(), StatusCode::UNAUTHORIZED);
    let admin = token(base, "admin", &new).await;

    // Several at once, while the server signs people in itself.
    let adding = (0..5).map(|number| {
        let folder = folder.path().to_owned();
        tokio::spawn(async move { command(&folder, &["user", "add", &format!("user{number}")]).await })
    });
    let adding: Vec<_> = adding.collect();
    for _ in 0..5 {
        assert_eq!(login(base, "bob", &password).await.status(), StatusCode::OK);
    }
    for (number, added) in adding.into_iter().enumerate() {
        token(base, &format!("user{number}"), &added.await.unwrap()).await;
    }

    let api = command(folder.path(), &["token", "add", "drill", "--user", "bob", "--scope", "push", "--scope", "read"]);
    let api = api.await;
    let spool = Spool::new("beside", "db1");
    let push = Client::new().post(format!("{base}/api/v1/metrics/push")).bearer_auth(&api);
    let push = push.header("Content-Type", pganalytics_core::frame::CONTENT_TYPE).header("X-Collector-ID", "beside");
    let reply = read(push.body(spool.body(1..=5)).send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(reply["accepted"], 5, "{reply}");

    let audit: Value = serde_json::from_str(&command(folder.path(), &["audit", "--json"]).await).unwrap();
    assert_eq!((&audit["clean"], &audit["streams"][0]["stored"]), (&json!(true), &json!([[1, 5]])), "{audit}");
    let backup = folder.path().join("one.backup");
    let made = command(folder.path(), &["backup", "--verify", "--output", backup.to_str().unwrap()]).await;
    assert!(made.contains("5 frames and blocks"), "{made}");
    let elsewhere = folder.path().join("elsewhere");
    command(&elsewhere, &["restore", backup.to_str().unwrap()]).await;
    let restored = Process::start(program(&elsewhere)).await;
    token(&restored.base, "bob", &password).await;
    assert_eq!(me(&restored.base, &admin).await, StatusCode::OK, "tokens are signed with the same key");

    // What writes metrics is refused, and says why.
    for arguments in [&["migrate", "up"][..], &["serve"], &["restore", backup.to_str().unwrap(), "--replace"]] {
        let refused = run(program(folder.path()).args(arguments)).await;
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && said.contains("open for writing already"), "{arguments:?}: {said}");
    }
    assert_eq!(me(base, &admin).await, StatusCode::OK);
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_folder_of_the_one_file_store_is_refused_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("pganalytics.db");
    std::fs::write(&old, "an old store").unwrap();
    let backup = folder.path().join("b/");
    for arguments in [
        &["serve"][..],
        &["user", "add", "ada"],
        &["token", "add", "t"],
        &["audit"],
        &["backup", "--output", backup.to_str().unwrap()],
    ] {
        let refused = run(program(folder.path()).args(arguments)).await;
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("pganalytics.db") && said.contains("move it away"), "{arguments:?}: {said}");
    }
    assert!(!folder.path().join("meta.db").exists() && !folder.path().join("metrics.db").exists());
    assert_eq!(std::fs::read(&old).unwrap(), b"an old store");
}

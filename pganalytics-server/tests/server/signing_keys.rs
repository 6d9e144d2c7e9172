//! The keys that log-ins are signed with: kept in the store, rotated while servers run.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pganalytics_core::Secret;
use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    fixture::{Running, problem, read, settings, start_on, start_with, store},
    process::{Process, program, run},
};

/// The head of a token.
fn head(token: &str) -> Value {
    let head = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap()
}

async fn works(server: &Running, token: &str) -> bool {
    server.get("auth/me").bearer_auth(token).send().await.unwrap().status() == StatusCode::OK
}

#[tokio::test]
async fn keys_are_rotated_and_nobody_is_logged_out() {
    let store = store();
    let one = start_on(store.clone(), settings()).await;
    let other = start_on(store, settings()).await;
    let before = one.admin_token().await;
    assert_eq!(head(&before)["alg"], "EdDSA");
    assert!(works(&other, &before).await, "servers of one store have the same keys");
    let answer = one.post("auth/signing-keys").bearer_auth(&before).send().await.unwrap();
    let keys = read(answer, StatusCode::CREATED).await;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    assert!(keys["keys"][0]["accepted_until"].is_string() && keys["keys"][1]["accepted_until"].is_null());
    let after = one.admin_token().await;
    assert_eq!((&head(&before)["kid"], &head(&after)["kid"]), (&keys["keys"][0]["kid"], &keys["keys"][1]["kid"]));
    // The other server has not heard of the new key and asks the store.
    for server in [&one, &other] {
        assert!(works(server, &before).await && works(server, &after).await);
    }
    let listed = read(other.get("auth/signing-keys").bearer_auth(&after).send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(listed, keys);
    assert!(!keys.to_string().contains("seed"), "{keys}");
}

#[tokio::test]
async fn one_secret_for_all_is_not_rotated_here() {
    let mut settings = settings();
    settings.jwt_secret = Some(Secret::new("a secret that all servers were given, long enough".to_owned()));
    let server = start_with(settings).await;
    let token = server.admin_token().await;
    assert_eq!(head(&token)["alg"], "HS256");
    for request in [server.get("auth/signing-keys"), server.post("auth/signing-keys")] {
        let (code, detail) = problem(request.bearer_auth(&token).send().await.unwrap(), StatusCode::CONFLICT).await;
        assert!(code == "keys_not_here" && detail.contains("restart"), "{code}: {detail}");
    }
}

#[tokio::test]
async fn the_command_rotates_beside_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let http = reqwest::Client::new();
    let server = Process::start(program(folder.path())).await;
    let before = server.token(&http).await;
    let output = run(program(folder.path()).args(["key", "rotate"])).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let kids: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!((kids.len(), kids[0]), (2, head(&before)["kid"].as_str().unwrap()));
    assert!(text.lines().next().unwrap().contains("accepted until") && text.trim_end().ends_with("signs"), "{text}");
    let listed = run(program(folder.path()).args(["key", "list"])).await;
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), text);
    let me = http.get(format!("{}/api/v1/auth/me", server.base)).bearer_auth(&before);
    assert_eq!(me.send().await.unwrap().status(), StatusCode::OK);
}

//! Logging in, going on, logging out.

use std::collections::BTreeMap;

use pganalytics_core::Secret;
use pganalytics_server::FirstAdmin;
use pganalytics_store::meta_store::Role;
use reqwest::{Response, StatusCode, header::SET_COOKIE};
use serde_json::{Value, json};

use crate::fixture::{ADMIN_PASSWORD, Running, problem, read, settings, start, start_with};

#[tokio::test]
async fn a_login_goes_on_until_it_is_logged_out() {
    let server = start().await;
    let session = read(server.login("admin", ADMIN_PASSWORD).await, StatusCode::OK).await;
    assert_eq!((&session["expires_in"], &session["user"]["role"]), (&json!(899), &json!("admin")));
    assert!(!session.to_string().contains("password"));

    let refresh = |token: &Value| server.post("auth/refresh").json(&json!({"refresh_token": token})).send();
    let next = read(refresh(&session["refresh_token"]).await.unwrap(), StatusCode::OK).await;
    assert_ne!(next["refresh_token"], session["refresh_token"]);
    let me = |token: Value| {
        let request = server.get("auth/me").bearer_auth(token.as_str().unwrap());
        async move { request.send().await.unwrap() }
    };
    assert_eq!(read(me(next["token"].clone()).await, StatusCode::OK).await["username"], "admin");

    let logout = server.post("auth/logout").bearer_auth(next["token"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(logout.status(), StatusCode::NO_CONTENT);
    for token in [&session["token"], &next["token"]] {
        assert_eq!(problem(me(token.clone()).await, StatusCode::UNAUTHORIZED).await.0, "invalid_token");
    }
    problem(refresh(&next["refresh_token"]).await.unwrap(), StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_its_session() {
    let server = start().await;
    let refresh = |token: &Value| server.post("auth/refresh").json(&json!({"refresh_token": token})).send();
    let stolen = read(server.login("admin", ADMIN_PASSWORD).await, StatusCode::OK).await["refresh_token"].clone();
    let theirs = read(refresh(&stolen).await.unwrap(), StatusCode::OK).await["refresh_token"].clone();
    let other = read(server.login("admin", ADMIN_PASSWORD).await, StatusCode::OK).await["refresh_token"].clone();
    let (code, _) = problem(refresh(&stolen).await.unwrap(), StatusCode::UNAUTHORIZED).await;
    assert_eq!(code, "refresh_token_reused");
    problem(refresh(&theirs).await.unwrap(), StatusCode::UNAUTHORIZED).await;
    // Another login of the same user has nothing to do with it.
    read(refresh(&other).await.unwrap(), StatusCode::OK).await;
}

#[tokio::test]
async fn guessing_gets_slower_and_says_nothing_about_who_exists() {
    let server = start().await;
    let mut answers = Vec::new();
    for name in ["admin", "nobody"] {
        let answer = server.login(name, "a wrong password").await;
        answers.push(problem(answer, StatusCode::UNAUTHORIZED).await);
    }
    assert_eq!(answers[0], answers[1]);
    let mut locked = None;
    for _ in 0..6 {
        let answer = server.login("admin", "a wrong password").await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            locked = Some(answer);
            break;
        }
    }
    let locked = locked.expect("six guesses more than are free");
    assert!(locked.headers().contains_key("retry-after"));
    assert_eq!(problem(locked, StatusCode::TOO_MANY_REQUESTS).await.0, "locked_out");
    // The right password waits like any other: else the wait would tell it.
    assert_eq!(server.login("admin", ADMIN_PASSWORD).await.status(), StatusCode::TOO_MANY_REQUESTS);
}

/// The cookies that an answer sets, and the whole lines.
fn cookies(answer: &Response) -> (BTreeMap<String, String>, String) {
    let lines: Vec<&str> = answer.headers().get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap()).collect();
    let pair = |line: &&str| line.split(';').next().unwrap().split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
    (lines.iter().filter_map(pair).collect(), lines.join("\n"))
}

fn header(cookies: &BTreeMap<String, String>) -> String {
    cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

async fn login_by_cookie(server: &Running) -> (BTreeMap<String, String>, String) {
    let login = json!({"username": "admin", "password": ADMIN_PASSWORD});
    let answer = server.post("auth/login?cookie=true").json(&login).send().await.unwrap();
    let (found, lines) = cookies(&answer);
    for line in lines.lines() {
        assert!(line.contains("SameSite=Strict") && line.contains("Path=/"), "{line}");
        assert_eq!(line.contains("HttpOnly"), !line.starts_with("pga_csrf="), "{line}");
    }
    let session = read(answer, StatusCode::OK).await;
    assert!(session["token"].is_null() && session["refresh_token"].is_null(), "tokens are in cookies only: {session}");
    (found, session["csrf_token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_page_is_logged_in_by_cookies_and_changes_nothing_without_its_csrf_token() {
    let server = start().await;
    let (jar, csrf) = login_by_cookie(&server).await;
    let me = server.get("auth/me").header("Cookie", header(&jar)).send().await.unwrap();
    assert_eq!(read(me, StatusCode::OK).await["csrf_token"], csrf.as_str());

    let sql = |csrf: Option<&str>| {
        let mut request = server.post("sql").header("Cookie", header(&jar)).json(&json!({"sql": "select 1"}));
        if let Some(csrf) = csrf {
            request = request.header("X-CSRF-Token", csrf);
        }
        request.send()
    };
    let (other, foreign) = login_by_cookie(&server).await;
    assert_ne!(jar, other);
    for token in [None, Some(""), Some("guess"), Some(foreign.as_str())] {
        let (code, _) = problem(sql(token).await.unwrap(), StatusCode::FORBIDDEN).await;
        assert_eq!(code, "bad_csrf_token", "{token:?}");
    }
    read(sql(Some(&csrf)).await.unwrap(), StatusCode::OK).await;
    // A page of another port of this machine has our cookies too, whatever token it found out.
    for (site, status) in [("same-site", 403), ("cross-site", 403), ("same-origin", 200), ("none", 200)] {
        let request = server.post("sql").header("Cookie", header(&jar)).json(&json!({"sql": "select 1"}));
        let request = request.header("X-CSRF-Token", &csrf).header("Sec-Fetch-Site", site);
        assert_eq!(request.send().await.unwrap().status(), status, "{site}");
    }

    // The session goes on by its refresh cookie, with the token, as the page does it.
    let refresh = |csrf: &str| {
        let request = server.post("auth/refresh?cookie=true").header("Cookie", header(&jar));
        request.header("X-CSRF-Token", csrf).json(&json!({})).send()
    };
    problem(refresh("guess").await.unwrap(), StatusCode::FORBIDDEN).await;
    let renewed = refresh(&csrf).await.unwrap();
    let (mut jar, _) = cookies(&renewed);
    let csrf = read(renewed, StatusCode::OK).await["csrf_token"].as_str().unwrap().to_owned();
    jar.insert("pga_csrf".to_owned(), csrf.clone());
    let logout = server.post("auth/logout").header("Cookie", header(&jar)).header("X-CSRF-Token", csrf);
    let answer = logout.json(&json!({})).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert!(cookies(&answer).0.values().all(String::is_empty));
    let me = server.get("auth/me").header("Cookie", header(&jar)).send().await.unwrap();
    assert_eq!(me.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_new_password_ends_every_session() {
    let server = start().await;
    let password = server.user("ada", Role::Viewer).await;
    let session = read(server.login("ada", &password).await, StatusCode::OK).await;
    let change = |current: &str, new: &str| {
        let request = server.post("auth/change-password").bearer_auth(session["token"].as_str().unwrap());
        request.json(&json!({"current_password": current, "new_password": new})).send()
    };
    for weak in ["short", "passwordpassword", "adaadaadaada"] {
        let answer = change(&password, weak).await.unwrap();
        assert_eq!(problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await.0, "weak_password", "{weak}");
    }
    let fresh = "a much longer one, by ada";
    problem(change("not the current one", fresh).await.unwrap(), StatusCode::UNAUTHORIZED).await;
    assert_eq!(change(&password, fresh).await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(change(fresh, &password).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    problem(server.login("ada", &password).await, StatusCode::UNAUTHORIZED).await;
    read(server.login("ada", fresh).await, StatusCode::OK).await;
}

#[tokio::test]
async fn the_first_admin_is_made_once() {
    let mut chosen = settings();
    chosen.first_admin = FirstAdmin::Setup;
    chosen.setup_token = Some(Secret::new("a token from a file".to_owned()));
    let server = start_with(chosen).await;
    let setup = |token: &str, password: &str| {
        let body = json!({"token": token, "username": "root", "password": password});
        server.post("auth/setup").json(&body).send()
    };
    let (right, good) = ("a token from a file", "some words in a row");
    // That a request comes from this machine, or says so, is no proof of anything.
    for wrong in ["", "guess", "a token from a fil", "a token from a file "] {
        assert_eq!(problem(setup(wrong, good).await.unwrap(), StatusCode::FORBIDDEN).await.0, "wrong_setup_token");
    }
    problem(setup(right, "short").await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    read(setup(right, good).await.unwrap(), StatusCode::OK).await;
    assert_eq!(problem(setup(right, good).await.unwrap(), StatusCode::CONFLICT).await.0, "already_set_up");
    read(server.login("root", good).await, StatusCode::OK).await;
}

#[tokio::test]
async fn nobody_sets_up_a_server_that_was_not_asked_to() {
    let server = start().await;
    let body = json!({"token": "", "username": "root", "password": "some words in a row"});
    let answer = server.post("auth/setup").json(&body).send().await.unwrap();
    assert_eq!(problem(answer, StatusCode::CONFLICT).await.0, "already_set_up");
}

#[tokio::test]
async fn tokens_are_shown_once_and_end_when_they_are_removed() {
    let server = start().await;
    let admin = server.admin_token().await;
    let make = |body: Value| server.post("tokens").bearer_auth(&admin).json(&body).send();
    for (body, code) in [
        (json!({"name": "", "scopes": ["read"]}), "bad_name"),
        (json!({"name": "x", "scopes": []}), "no_scopes"),
        (json!({"name": "x", "scopes": ["everything"]}), "bad_body"),
        (json!({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}), "bad_expiry"),
    ] {
        let answer = make(body.clone()).await.unwrap();
        assert_eq!(problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await.0, code, "{body}");
    }
    let made = read(make(json!({"name": "grafana", "scopes": ["read"]})).await.unwrap(), StatusCode::CREATED).await;
    let token = made["token"].as_str().unwrap();
    let list = read(server.get("tokens").bearer_auth(&admin).send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(list["data"][0]["name"], "grafana");
    assert!(!list.to_string().contains(token));

    let servers = || async { server.get("servers").bearer_auth(token).send().await.unwrap() };
    read(servers().await, StatusCode::OK).await;
    let path = format!("tokens/{}", made["id"].as_str().unwrap());
    // Somebody else's token is not there, for them.
    let other = server.user("other", Role::User).await;
    let other = read(server.login("other", &other).await, StatusCode::OK).await["token"].as_str().unwrap().to_owned();
    for method in ["GET", "DELETE"] {
        let answer = server.request(method.parse().unwrap(), &path).bearer_auth(&other).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
    let removed = server.request(reqwest::Method::DELETE, &path).bearer_auth(&admin).send().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    problem(servers().await, StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn a_given_first_password_must_be_a_good_one() {
    for (username, password) in [("admin", "short"), ("admin", "administrator"), ("no name", "a good long password")] {
        let mut chosen = settings();
        let password = Secret::new(password.to_owned());
        chosen.first_admin = FirstAdmin::Given { username: username.to_owned(), password };
        let store = std::sync::Arc::new(
            pganalytics_store::memory::MemoryStore::new(pganalytics_store::sql::EngineOptions::default()).unwrap(),
        );
        let builder = pganalytics_server::Server::builder().metric_store(store.clone()).meta_store(store);
        let error = builder.settings(chosen).build().await.unwrap_err();
        assert!(matches!(error, pganalytics_server::ServerError::Setting { .. }), "{error}");
    }
}

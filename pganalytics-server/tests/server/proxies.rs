//! Behind proxies, and beside strangers who share an address: who is believed,
//! who is counted, and who still gets in.

use std::time::Duration;

use pganalytics_server::{FirstAdmin, Proxies, RateLimits, Settings};
use reqwest::{Response, StatusCode, header::SET_COOKIE};
use serde_json::json;

use crate::fixture::{ADMIN_PASSWORD, Running, SCRAPE_TOKEN, eventually, problem, read, settings, start_with};

/// Settings of a server behind a proxy on this machine.
fn behind_a_proxy() -> Settings {
    let mut settings = settings();
    settings.proxies = Proxies::new(["loopback"]).unwrap();
    settings
}

async fn health(server: &Running, client: Option<&str>) -> StatusCode {
    let mut request = server.get("health");
    if let Some(client) = client {
        request = request.header("X-Forwarded-For", client);
    }
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn a_stranger_can_not_make_the_balancers_look_a_429() {
    let mut strict = behind_a_proxy();
    strict.rate_limits = RateLimits::default();
    let server = start_with(strict).await;
    let mut refused = 0;
    for _ in 0..150 {
        refused += usize::from(health(&server, Some("192.0.2.66")).await == StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(health(&server, None).await, StatusCode::OK, "the balancer's own look");
    }
    assert!((20..=50).contains(&refused), "{refused}");
    assert_eq!(health(&server, Some("192.0.2.67")).await, StatusCode::OK, "another client");
    // An address that a stranger writes before its own is not believed.
    assert_eq!(health(&server, Some("198.51.100.1, 192.0.2.66")).await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_proxy_that_is_not_on_the_list_does_not_starve_itself() {
    let mut strict = settings();
    strict.rate_limits = RateLimits::default();
    let server = start_with(strict).await;
    for number in 0..150 {
        health(&server, Some(&format!("192.0.2.{number}"))).await;
    }
    assert_eq!(health(&server, Some("198.51.100.1")).await, StatusCode::TOO_MANY_REQUESTS, "all count as one");
    assert_eq!(health(&server, None).await, StatusCode::OK);
    // Those that an orchestrator asks for are answered from memory, always.
    for path in ["health/live", "health/ready"] {
        for _ in 0..300 {
            assert_eq!(server.get(path).send().await.unwrap().status(), StatusCode::OK, "{path}");
        }
    }
}

#[tokio::test]
async fn nobody_is_local_behind_a_proxy() {
    let server = start_with(behind_a_proxy()).await;
    for path in ["/metrics", "metrics/count"] {
        for host in ["localhost", "127.0.0.1:8080"] {
            // As nginx sends it by itself: its own address as the host, and no word of the client.
            let plain = server.get(path).header("Host", host).send().await.unwrap();
            assert_eq!(plain.status(), StatusCode::UNAUTHORIZED, "{path} {host}");
            let local = server.get(path).header("Host", host).header("X-Forwarded-For", "127.0.0.1");
            assert_eq!(local.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{path} {host}");
        }
    }
    let scrape = server.get("/metrics").bearer_auth(SCRAPE_TOKEN).send().await.unwrap();
    assert_eq!(scrape.status(), StatusCode::OK);

    let mut off = settings();
    off.local_access = false;
    let server = start_with(off).await;
    assert_eq!(server.get("/metrics").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

fn cookies(answer: &Response) -> Vec<String> {
    answer.headers().get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn https_ends_at_the_proxy_and_cookies_know() {
    let server = start_with(behind_a_proxy()).await;
    let login = json!({"username": "admin", "password": ADMIN_PASSWORD});
    for (proto, secure) in [("https", true), ("http", false)] {
        let request = server.post("auth/login?cookie=true").json(&login).header("X-Forwarded-For", "192.0.2.1");
        let answer = request.header("X-Forwarded-Proto", proto).send().await.unwrap();
        assert_eq!(answer.headers().contains_key("strict-transport-security"), secure, "{proto}");
        let lines = cookies(&answer);
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines.iter().all(|line| line.contains("; Secure") == secure), "{lines:?}");
    }
    // From a stranger it is only a word.
    let server = start_with(settings()).await;
    let answer = server.get("health").header("X-Forwarded-Proto", "https").send().await.unwrap();
    assert!(!answer.headers().contains_key("strict-transport-security"));
}

async fn login_from(server: &Running, address: &str, password: &str, cookie: Option<&str>) -> Response {
    let login = json!({"username": "admin", "password": password});
    let mut request = server.post("auth/login?cookie=true").json(&login).header("X-Forwarded-For", address);
    if let Some(cookie) = cookie {
        request = request.header("Cookie", cookie);
    }
    request.send().await.unwrap()
}

/// Guesses until one was looked at: from then on the account waits for seconds.
async fn wrong_from(server: &Running, address: &str) {
    eventually("a guess is looked at", Duration::from_secs(60), async || {
        let answer = login_from(server, address, "a wrong password", None).await;
        (answer.status() == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_guess_do_not_keep_the_admin_out() {
    let mut behind = behind_a_proxy();
    behind.rate_limits.login = 0;
    let server = start_with(behind).await;
    let (home, office) = ("192.0.2.1", "192.0.2.2");
    let first = login_from(&server, home, ADMIN_PASSWORD, None).await;
    let device = cookies(&first).into_iter().find(|line| line.starts_with("pga_device=")).unwrap();
    assert!(device.contains("HttpOnly") && device.contains("SameSite=Strict"), "{device}");
    let device = device.split(';').next().unwrap().to_owned();
    read(first, StatusCode::OK).await;

    // Many strangers, each as often as it is let, until the account itself waits.
    let mut locked = 0;
    for number in 0..80 {
        let answer = login_from(&server, &format!("203.0.113.{number}"), "a wrong password", None).await;
        locked += usize::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(locked > 10, "guesses were not slowed down: {locked}");
    // One of them sits in the office, behind the same address as the admin.
    wrong_from(&server, office).await;
    assert_eq!(login_from(&server, office, ADMIN_PASSWORD, None).await.status(), StatusCode::TOO_MANY_REQUESTS);
    read(login_from(&server, home, ADMIN_PASSWORD, None).await, StatusCode::OK).await;
    read(login_from(&server, office, ADMIN_PASSWORD, Some(&device)).await, StatusCode::OK).await;
    // The browser proves nothing but itself: the password is asked for, and guesses are few.
    let mut refused = Vec::new();
    for _ in 0..7 {
        let answer = login_from(&server, office, "a wrong password", Some(&device)).await;
        refused.push(answer.status());
    }
    assert_eq!(refused[0], StatusCode::UNAUTHORIZED);
    assert_eq!(refused[6], StatusCode::TOO_MANY_REQUESTS);
    // A cookie of another account is none.
    let other = server.user("ada", pganalytics_store::meta_store::Role::Viewer).await;
    let login = json!({"username": "ada", "password": other});
    let answer = server.post("auth/login?cookie=true").json(&login).header("X-Forwarded-For", "192.0.2.9");
    let adas = cookies(&answer.send().await.unwrap()).into_iter().find(|line| line.starts_with("pga_device=")).unwrap();
    let adas = adas.split(';').next().unwrap().to_owned();
    wrong_from(&server, "192.0.2.3").await;
    let answer = login_from(&server, "192.0.2.3", ADMIN_PASSWORD, Some(&adas)).await;
    assert_eq!(problem(answer, StatusCode::TOO_MANY_REQUESTS).await.0, "locked_out");
}

#[tokio::test]
async fn a_server_that_is_too_busy_to_look_counts_no_failure() {
    let server = start_with(settings()).await;
    // More log-ins at once than wait for their turn: some are told to come again.
    let at_once: Vec<_> = (0..60)
        .map(|number| {
            let login = json!({"username": format!("user{number}"), "password": "a wrong password"});
            let request = server.post("auth/login").json(&login);
            tokio::spawn(async move { request.send().await.unwrap().status() })
        })
        .collect();
    let mut busy = 0;
    for one in at_once {
        busy += usize::from(one.await.unwrap() == StatusCode::SERVICE_UNAVAILABLE);
    }
    // Of one address 20 failures are free; the busy ones are not among them.
    let mut free = 0;
    while server.login(&format!("another{free}"), "a wrong password").await.status() == StatusCode::UNAUTHORIZED {
        free += 1;
        assert!(free < 40, "there is no limit");
    }
    assert!(busy == 0 || free + 60 - busy <= 40, "{busy} {free}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_tokens_is_counted_before_the_store_is_asked_and_agents_go_on() {
    let mut strict = settings();
    strict.rate_limits.public = 20;
    strict.first_admin = FirstAdmin::Given {
        username: "admin".to_owned(),
        password: pganalytics_core::Secret::new(ADMIN_PASSWORD.to_owned()),
    };
    let server = start_with(strict).await;
    let (_, token) = server.collector("agent").await;
    let session = server.admin_token().await;
    let me = |token: String| server.get("auth/me").bearer_auth(token).send();
    read(me(token.clone()).await.unwrap(), StatusCode::OK).await;
    let guess = || format!("pga_{}_{}", uuid::Uuid::new_v4().simple(), "0".repeat(64));
    let stranger = reqwest::Client::new();
    let mut counted = false;
    for _ in 0..60 {
        let request = stranger.get(format!("http://{}/api/v1/auth/me", server.address)).bearer_auth(guess());
        counted |= request.send().await.unwrap().status() == StatusCode::TOO_MANY_REQUESTS;
    }
    assert!(counted);
    // From the same address: on the connection that it has, and with a session anywhere.
    for _ in 0..30 {
        read(me(token.clone()).await.unwrap(), StatusCode::OK).await;
    }
    let fresh = reqwest::Client::new().get(format!("http://{}/api/v1/auth/me", server.address)).bearer_auth(session);
    read(fresh.send().await.unwrap(), StatusCode::OK).await;
}

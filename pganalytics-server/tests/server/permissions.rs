//! Who may do what, for every route there is.

use std::collections::BTreeSet;

use pganalytics_server::auth::{permission::Permission, routes::RouteEntry, scope::Scope};
use pganalytics_store::meta_store::Role;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{REGISTRATION_SECRET, Running, SCRAPE_TOKEN, problem, read, start};

/// Everything that needs no login at all. Whoever adds a line here has thought
/// about it.
const OPEN: &[&str] = &[
    "GET /api/v1/health",
    "GET /api/v1/health/live",
    "GET /api/v1/health/ready",
    "GET /api/v1/version",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/setup",
    "GET /api/v1/openapi.json",
    "GET /api/v1/docs",
    "GET /api/v1/docs/docs.js",
    "GET /api/v1/docs/docs.css",
    "GET /",
    "GET /{*path}",
];

/// Somebody who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Stranger,
    Neighbour,
    Scraper,
    Collector,
    Viewer,
    Editor,
    Admin,
    ReadToken,
    PushToken,
    ViewersPushToken,
    Forger,
}

use Who::{
    Admin, Collector, Editor, Forger, Neighbour, PushToken, ReadToken, Scraper, Stranger, Viewer, ViewersPushToken,
};

const EVERYBODY: [Who; 11] =
    [Stranger, Neighbour, Scraper, Collector, Viewer, Editor, Admin, ReadToken, PushToken, ViewersPushToken, Forger];

/// Who gets past the guard. Written down a second time, apart from the server's
/// own table: a change of either must be meant.
fn allowed(permission: Permission) -> &'static [Who] {
    match permission {
        Permission::Public => &EVERYBODY,
        Permission::ReadOrLocal => &[Neighbour, Viewer, Editor, Admin, ReadToken],
        Permission::Scrape => &[Neighbour, Scraper, Viewer, Editor, Admin, ReadToken],
        Permission::Register => &[],
        Permission::Identified => &[Collector, Viewer, Editor, Admin, ReadToken, PushToken, ViewersPushToken],
        Permission::Session => &[Viewer, Editor, Admin],
        Permission::Read | Permission::Query => &[Viewer, Editor, Admin, ReadToken],
        Permission::Push => &[Collector, Editor, Admin, PushToken],
        Permission::ManageCollectors | Permission::Annotate => &[Editor, Admin],
        Permission::ManageInstallation => &[Admin],
        other => panic!("a permission without a line in this table: {other:?}"),
    }
}

struct Everybody<'a> {
    server: &'a Running,
    passwords: [(Who, String); 3],
    fixed: Vec<(Who, String)>,
}

impl<'a> Everybody<'a> {
    async fn of(server: &'a Running) -> Self {
        let viewer = server.user("viewer", Role::Viewer).await;
        let editor = server.user("editor", Role::User).await;
        let (_, collector) = server.collector("matrix").await;
        let token =
            async |user: &str, scope| server.admin.add_token(user, "matrix", [scope]).await.unwrap().expose().clone();
        let fixed = vec![
            (Collector, collector),
            (Scraper, SCRAPE_TOKEN.to_owned()),
            (ReadToken, token("viewer", Scope::Read).await),
            (PushToken, token("editor", Scope::Push).await),
            (ViewersPushToken, token("viewer", Scope::Push).await),
            (Forger, format!("pga_{}_{}", Uuid::new_v4().simple(), "0".repeat(64))),
        ];
        let admin = crate::fixture::ADMIN_PASSWORD.to_owned();
        Self { server, passwords: [(Viewer, viewer), (Editor, editor), (Admin, admin)], fixed }
    }

    /// A credential that is good now: routes of the matrix end sessions.
    async fn credential(&self, who: Who) -> Option<String> {
        if let Some((_, token)) = self.fixed.iter().find(|(each, _)| *each == who) {
            return Some(token.clone());
        }
        let (_, password) = self.passwords.iter().find(|(each, _)| *each == who)?;
        let name = format!("{who:?}").to_lowercase();
        let answer = read(self.server.login(&name, password).await, StatusCode::OK).await;
        Some(answer["token"].as_str().unwrap().to_owned())
    }

    async fn ask(&self, who: Who, token: Option<&str>, route: &RouteEntry) -> Response {
        let path = route.path.replace("{id}", "00000000-0000-4000-8000-000000000000").replace("{name}", "pg_up");
        let mut request = self.server.request(route.method.clone(), &path);
        if who != Neighbour {
            // Who comes through a proxy is nobody local, whatever the address.
            request = request.header("X-Forwarded-For", "192.0.2.1");
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if route.method == Method::POST {
            request = request.json(&json!({}));
        }
        request.send().await.unwrap()
    }
}

/// How the guard has answered.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    In,
    Unauthorized,
    Forbidden,
}

async fn verdict(answer: Response) -> (Verdict, StatusCode) {
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or_default();
    // Handlers have refusals of their own, as for a wrong password.
    let verdict = match (status, body["code"].as_str().unwrap_or_default()) {
        (StatusCode::UNAUTHORIZED, "login_required" | "invalid_token" | "bad_registration_secret") => {
            Verdict::Unauthorized
        }
        (StatusCode::FORBIDDEN, "not_allowed") => Verdict::Forbidden,
        _ => Verdict::In,
    };
    (verdict, status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let server = start().await;
    let everybody = Everybody::of(&server).await;
    let mut tokens = Vec::new();
    for who in EVERYBODY {
        tokens.push((who, everybody.credential(who).await));
    }
    let mut checked = 0;
    for route in &server.routes {
        for (who, token) in &mut tokens {
            let answer = everybody.ask(*who, token.as_deref(), route).await;
            let (found, status) = verdict(answer).await;
            // Everything with a token that is none, or none of this server, is as without one.
            let known = !matches!(who, Stranger | Neighbour | Forger | Scraper);
            let expected = match route.permission {
                // A login is no registration secret.
                Permission::Register => Verdict::Unauthorized,
                permission if allowed(permission).contains(who) => Verdict::In,
                _ if known => Verdict::Forbidden,
                _ => Verdict::Unauthorized,
            };
            assert_eq!(found, expected, "{} {} as {who:?}: {status}", route.method, route.path);
            let plain = route.method == Method::GET && !route.path.contains('{');
            if found == Verdict::In && plain {
                assert!(status.is_success(), "{} as {who:?}: {status}", route.path);
            }
            if found == Verdict::In && route.path.ends_with("/auth/logout") {
                *token = everybody.credential(*who).await;
            }
            checked += 1;
        }
    }
    assert!(checked > 400, "{checked}");
}

#[tokio::test]
async fn nothing_is_open_that_is_not_on_the_list() {
    let server = start().await;
    let names = |open: bool| -> BTreeSet<String> {
        let routes = server.routes.iter().filter(|route| (route.permission == Permission::Public) == open);
        routes.map(|route| format!("{} {}", route.method, route.path)).collect()
    };
    let expected: BTreeSet<String> = OPEN.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(names(true), expected);
    // And what the registry does not know is not there at all.
    for path in ["/api/v1/users", "/api/v1/nothing", "/index.html.bak", "/../Cargo.toml", "/ui/app.js", "/vendor/"] {
        let answer = server.get(path).send().await.unwrap();
        assert!(matches!(answer.status(), StatusCode::NOT_FOUND), "{path}: {}", answer.status());
    }
    for method in ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"] {
        let answer = server.request(method.parse().unwrap(), "sql").send().await.unwrap();
        assert!(matches!(answer.status().as_u16(), 401 | 405), "{method}: {}", answer.status());
    }
}

#[tokio::test]
async fn a_collector_registers_with_the_secret_only() {
    let server = start().await;
    let register = |secret: &str| {
        let request = server.post("collectors/register").header("X-Registration-Secret", secret);
        request.json(&json!({"name": "agent-7", "hostname": "db7", "version": "0.1.0"})).send()
    };
    let (code, _) = problem(register("guess").await.unwrap(), StatusCode::UNAUTHORIZED).await;
    assert_eq!(code, "bad_registration_secret");
    let registered = read(register(REGISTRATION_SECRET).await.unwrap(), StatusCode::CREATED).await;
    assert_eq!(registered["config"]["collection_interval"], 60);
    let id = registered["collector_id"].as_str().unwrap();

    let admin = server.admin_token().await;
    let list = read(server.get("collectors").bearer_auth(&admin).send().await.unwrap(), StatusCode::OK).await;
    assert_eq!((&list["count"], &list["data"][0]["name"]), (&json!(1), &json!("agent-7")));

    // What is revoked is refused from the next request on, and can come back.
    let token = registered["token"].as_str().unwrap();
    let me = || async { server.get("auth/me").bearer_auth(token).send().await.unwrap() };
    assert_eq!(read(me().await, StatusCode::OK).await["kind"], "collector");
    let revoke = |undo: &str| server.post(&format!("collectors/{id}/revoke{undo}")).bearer_auth(&admin).send();
    read(revoke("").await.unwrap(), StatusCode::OK).await;
    assert_eq!(problem(me().await, StatusCode::FORBIDDEN).await.0, "collector_revoked");
    read(revoke("?undo=true").await.unwrap(), StatusCode::OK).await;
    read(me().await, StatusCode::OK).await;
    let remove = server.request(Method::DELETE, &format!("collectors/{id}")).bearer_auth(&admin);
    assert_eq!(remove.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert!(me().await.status().is_client_error());
}

#[tokio::test]
async fn registration_stops_at_the_limit_and_without_a_secret() {
    let mut settings = crate::fixture::settings();
    settings.max_collectors = 1;
    let server = crate::fixture::start_with(settings).await;
    server.collector("first").await;
    let second = server.post("collectors/register").header("X-Registration-Secret", REGISTRATION_SECRET);
    let (code, message) =
        problem(second.json(&json!({"name": "second"})).send().await.unwrap(), StatusCode::CONFLICT).await;
    assert_eq!(code, "too_many_collectors");
    assert!(message.contains("MAX_CONCURRENT_COLLECTORS"), "{message}");

    let mut settings = crate::fixture::settings();
    settings.registration_secret = None;
    let server = crate::fixture::start_with(settings).await;
    let request = server.post("collectors/register").header("X-Registration-Secret", "").json(&json!({"name": "x"}));
    assert_eq!(problem(request.send().await.unwrap(), StatusCode::FORBIDDEN).await.0, "registration_disabled");
}

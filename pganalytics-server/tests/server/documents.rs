//! What the server says of itself: its API, its health, its counters, its headers.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use reqwest::StatusCode;
use serde_json::json;

use crate::fixture::{SCRAPE_TOKEN, problem, read, settings, start, start_with};

#[tokio::test]
async fn the_openapi_document_has_every_route_of_the_api() {
    let server = start().await;
    let document = read(server.get("openapi.json").send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(document["openapi"].as_str().unwrap().split('.').take(2).collect::<Vec<_>>(), ["3", "1"]);
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            documented.insert(format!("{} {path}", method.to_uppercase()));
            assert!(operation["summary"].is_string(), "{method} {path} says what it does");
            assert!(operation["responses"].as_object().unwrap().len() > 1, "{method} {path}");
        }
    }
    let is_page = |path: &str| path.ends_with("/openapi.json") || path.contains("/docs");
    let api = server.routes.iter().filter(|route| route.path.starts_with("/api/") && !is_page(&route.path));
    let routes: BTreeSet<String> = api.map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(documented, routes);
    // Every reference has its target.
    let text = document.to_string();
    for target in text.split(r#""$ref":""#).skip(1).filter_map(|rest| rest.split('"').next()) {
        let name = target.strip_prefix("#/components/schemas/").unwrap_or_else(|| panic!("{target} is no reference"));
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn the_page_and_its_files_are_there() {
    let server = start().await;
    let page = server.get("/").send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
    let text = page.text().await.unwrap();
    // The built UI or the plain page, whichever is there.
    let parts: Vec<&str> = text.split(['"']).filter(|part| part.ends_with(".js") || part.ends_with(".css")).collect();
    assert!(parts.len() > 1, "{text}");
    for part in parts {
        let part = format!("/{}", part.trim_start_matches("./"));
        let file = server.get(&part).send().await.unwrap();
        assert_eq!(file.status(), StatusCode::OK, "{part}");
        let tag = file.headers()["etag"].clone();
        let again = server.get(&part).header("If-None-Match", tag).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{part}");
    }
    let docs = server.get("docs").send().await.unwrap().text().await.unwrap();
    assert!(docs.contains("docs.js"));
}

/// Files of the repository with one of these endings, apart from what is built.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules") {
            files(&path, endings, found);
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

#[test]
fn documents_point_at_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut all = Vec::new();
    files(root, &[".md", ".rs", ".toml"], &mut all);
    let mut links = 0;
    for file in all {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_page = file.extension().is_some_and(|ending| ending == "md");
        // Links of pages are from their folder; whoever names `docs/…` means the repository's.
        let relative = text.split("](").skip(1).filter(|_| is_page).filter_map(|rest| {
            let target = rest.split([')', '#', ' ']).next()?;
            let is_file = !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
            is_file.then(|| file.parent().unwrap().join(target))
        });
        let named = text.split("docs/").skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '.')))?;
            let name = rest[..end].trim_end_matches('.');
            // As a pattern for names it stands for no file.
            (name.ends_with(".md") && !name.contains("NNNN")).then(|| root.join("docs").join(name))
        });
        for target in relative.chain(named.collect::<Vec<_>>()) {
            assert!(target.exists(), "{}: {} is not there", file.display(), target.display());
            links += 1;
        }
    }
    assert!(links > 50, "{links}");
}

#[tokio::test]
async fn health_and_version_need_no_login() {
    let server = start().await;
    let health = read(server.get("health").send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(
        (&health["status"], &health["checks"]["metric_store"]["status"]),
        (&json!("healthy"), &json!("healthy"))
    );
    assert!(health["uptime_seconds"].is_u64() && health["version"].is_string() && health["timestamp"].is_string());
    read(server.get("health/live").send().await.unwrap(), StatusCode::OK).await;
    read(server.get("health/ready").send().await.unwrap(), StatusCode::OK).await;
    let version = read(server.get("version").send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(version["features"].as_array().unwrap().contains(&json!("agent")));
}

#[tokio::test]
async fn its_own_counters_are_prometheus_text() {
    let server = start().await;
    let scrape = server.get("/metrics").header("X-Forwarded-For", "192.0.2.1");
    let answer = scrape.bearer_auth(SCRAPE_TOKEN).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await.unwrap();
    let mut typed = BTreeSet::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert!(kind != "counter" || name.ends_with("_total"), "{line}");
            assert!(typed.insert(name.to_owned()), "{name} has two types");
            assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
            let name = series.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(typed.contains(name) || typed.contains(base), "{line} has no type");
        }
    }
    assert!(text.contains("pganalytics_http_requests_total{status=\"2xx\"}"));
}

#[tokio::test]
async fn every_answer_carries_the_safe_headers() {
    let server = start().await;
    for path in ["/", "/api/v1/health", "/api/v1/nothing", "/api/v1/servers", "/metrics", "/nothing"] {
        let answer = server.get(path).header("X-Request-ID", "trace-me.7").send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        assert_eq!(header("x-request-id"), "trace-me.7", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert!(header("content-security-policy").contains("default-src"), "{path}");
        assert!(header("cache-control").starts_with("no-"), "{path}");
        assert!(header("access-control-allow-origin").is_empty(), "{path}");
    }
    let strange = server.get("health").header("X-Request-ID", "<script>").send().await.unwrap();
    assert_ne!(strange.headers()["x-request-id"], "<script>");
    let lost = server.get("nothing").send().await.unwrap();
    assert_eq!(problem(lost, StatusCode::NOT_FOUND).await.0, "not_found");
}

#[tokio::test]
async fn origins_are_those_of_the_list() {
    let mut listed = settings();
    listed.cors_allowed_origins = vec!["https://grafana.example.com".to_owned()];
    let server = start_with(listed).await;
    for (origin, allowed) in [
        ("https://grafana.example.com", true),
        ("https://grafana.example.com.evil.example", false),
        ("http://grafana.example.com", false),
        ("null", false),
    ] {
        let preflight = server.request(reqwest::Method::OPTIONS, "sql").header("Origin", origin);
        let answer = preflight.header("Access-Control-Request-Method", "POST").send().await.unwrap();
        assert_eq!(answer.headers().contains_key("access-control-allow-origin"), allowed, "{origin}");
        assert_eq!(answer.status() == StatusCode::NO_CONTENT, allowed, "{origin}");
    }
}

#[tokio::test]
async fn the_hundred_and_first_quick_stranger_waits() {
    let mut strict = settings();
    strict.rate_limits = pganalytics_server::RateLimits::default();
    let server = start_with(strict).await;
    let mut statuses = Vec::new();
    for _ in 0..150 {
        let answer = server.get("health").send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers().contains_key("retry-after"));
        }
        statuses.push(answer.status().as_u16());
    }
    let good = statuses.iter().filter(|status| **status == 200).count();
    // A few tokens come back while the test runs.
    assert!((100..130).contains(&good), "{good}");
    assert!(statuses[..100].iter().all(|status| *status == 200), "{statuses:?}");
    assert!(statuses.contains(&429));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = start().await;
    let token = server.admin_token().await;
    for number in 0..5 {
        server.collector(&format!("agent-{number}")).await;
    }
    let get = |query: &str| server.get(&format!("collectors?{query}")).bearer_auth(&token).send();
    let page = read(get("page=2&page_size=2").await.unwrap(), StatusCode::OK).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    assert_eq!((&page["count"], &page["total"], &page["total_pages"]), (&json!(5), &json!(5), &json!(3)));
    assert_eq!(
        (&page["page"], &page["page_size"], &page["data"][0]["name"]),
        (&json!(2), &json!(2), &json!("agent-2"))
    );
    for query in ["page=0", "page_size=0", "page_size=100000", "page=x"] {
        problem(get(query).await.unwrap(), StatusCode::BAD_REQUEST).await;
    }
    let known =
        read(server.get("measurements?page_size=100").bearer_auth(&token).send().await.unwrap(), StatusCode::OK).await;
    assert!(known["count"].as_u64().unwrap() > 15);
    let one = server.get("measurements/pg_stat_database").bearer_auth(&token).send().await.unwrap();
    let one = read(one, StatusCode::OK).await;
    assert!(one["columns"].as_array().unwrap().iter().any(|column| column["kind"] == "counter"));
    let none = server.get("measurements/pg_nothing").bearer_auth(&token).send().await.unwrap();
    problem(none, StatusCode::NOT_FOUND).await;
}

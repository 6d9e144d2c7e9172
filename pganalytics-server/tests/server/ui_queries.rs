//! The catalogue of queries in `ui/queries`: each plans and runs against the
//! catalog, and its columns are those that it says.

use std::{collections::BTreeMap, path::Path};

use pganalytics_core::catalog::Catalog;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::fixture::{read, start};

const KINDS: &[&str] = &["series", "table", "fact"];

struct Query {
    name: String,
    about: BTreeMap<String, String>,
    sql: String,
}

impl Query {
    /// Reads a file as the UI does.
    fn parse(name: &str, text: &str) -> Self {
        let mut about: BTreeMap<String, String> = BTreeMap::new();
        let (mut sql, mut last) = (String::new(), "title".to_owned());
        for line in text.lines() {
            let Some(comment) = line.strip_prefix("--").filter(|_| sql.is_empty()) else {
                sql += line;
                sql.push('\n');
                continue;
            };
            if let Some(more) = comment.strip_prefix("   ") {
                about.get_mut(&last).unwrap().push_str(&format!(" {more}"));
            } else if about.is_empty() {
                about.insert(last.clone(), comment.trim().to_owned());
            } else {
                let (key, value) = comment.trim().split_once(':').unwrap_or_else(|| panic!("{name}: {line}"));
                about.insert(key.to_owned(), value.trim().to_owned());
                last = key.to_owned();
            }
        }
        Self { name: name.to_owned(), about, sql }
    }

    fn words(&self, key: &str) -> Vec<&str> {
        let line = self.about.get(key).unwrap_or_else(|| panic!("{} does not say its {key}", self.name));
        line.split_whitespace().collect()
    }

    fn number(&self, param: &str) -> usize {
        let found = self.words("params").iter().position(|each| *each == param);
        found.unwrap_or_else(|| panic!("{}: {{{param}}} is no parameter", self.name)) + 1
    }

    fn expanded(&self, step: u32) -> String {
        let mut out = String::new();
        let mut rest = self.sql.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap();
            out += before;
            out += &match name {
                "S" => format!("server_id = ${}", self.number("server")),
                "R" => format!("time >= ${} and time < ${}", self.number("from"), self.number("to")),
                "T" => format!("date_bin(interval '{step} seconds', time, timestamp '2000-01-01')"),
                "step" => step.to_string(),
                param => format!("${}", self.number(param)),
            };
            rest = after;
        }
        out + rest
    }

    fn values(&self) -> Vec<Value> {
        let value = |param: &&str| match *param {
            "server" | "instance" | "other" | "collector" => json!("98f6d0e9-9ee0-57e2-9fdf-5ad297ddc0ba"),
            "from" | "before_from" => json!("2026-01-01T00:00:00Z"),
            "to" | "before_to" => json!("2026-01-01T01:00:00Z"),
            "queryid" => json!("-9007199254740993"),
            "relid" => json!("16384"),
            "datname" | "schemaname" | "relname" => json!("shop"),
            "severity" => json!("ERROR"),
            "pattern" => json!("%gone%"),
            other => panic!("{}: nobody knows a value for {other}", self.name),
        };
        self.words("params").iter().map(value).collect()
    }
}

fn all() -> Vec<Query> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/queries");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    paths.sort();
    let query = |path: &std::path::PathBuf| {
        Query::parse(path.file_stem().unwrap().to_str().unwrap(), &std::fs::read_to_string(path).unwrap())
    };
    paths.iter().map(query).collect()
}

#[tokio::test]
async fn every_query_of_the_ui_runs_and_has_the_columns_that_it_says() {
    let server = start().await;
    let token = server.admin_token().await;
    let queries = all();
    assert!(queries.len() >= 93, "{}", queries.len());
    for query in &queries {
        let expected: Vec<String> =
            query.words("columns").iter().map(|column| column.split(':').next().unwrap().to_owned()).collect();
        let body = json!({"sql": query.expanded(60), "params": query.values()});
        let answer = server.post("sql").bearer_auth(&token).json(&body).send().await.unwrap();
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{}: {answer}", query.name);
        let columns: Vec<_> =
            answer["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
        assert_eq!(columns, expected, "{}", query.name);
        // Numbers of this kind are not exact in a browser.
        for column in answer["columns"].as_array().unwrap() {
            let id = matches!(column["name"].as_str().unwrap(), "queryid" | "query_id" | "relid");
            assert!(!id || column["type"] == "text", "{}: {column}", query.name);
        }
    }
}

#[test]
fn every_query_of_the_ui_says_what_it_needs_and_is_bounded() {
    for query in all() {
        assert!(KINDS.contains(&query.about["kind"].as_str()), "{}", query.name);
        for measurement in query.words("needs") {
            let known = Catalog::builtin().iter().any(|known| known.name().as_str() == measurement);
            assert!(known, "{} needs {measurement}, which nobody collects", query.name);
            assert!(query.sql.contains(measurement), "{} does not read {measurement}", query.name);
        }
        // What reads history says from when on.
        let reads_history = query.sql.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| {
            let measurement = word.strip_suffix("_delta").unwrap_or(word);
            Catalog::builtin().iter().any(|known| known.name().as_str() == measurement)
        });
        let bounded = ["{R}", "{from}", "time >", "time ="].iter().any(|bound| query.sql.contains(bound));
        assert!(!reads_history || bounded, "{} reads all that there is", query.name);
        // Nothing that a person types is part of the text.
        assert!(!query.sql.contains("${") && !query.sql.contains(';'), "{}", query.name);
        if query.about["kind"] == "series" {
            assert!(query.words("columns").contains(&"t"), "{}", query.name);
        }
    }
}

#[tokio::test]
async fn a_batch_answers_each_query_by_itself() {
    let server = start().await;
    let token = server.admin_token().await;
    let ask = |queries: Value| server.post("sql/batch").bearer_auth(&token).json(&json!({"queries": queries})).send();
    let queries = json!([
        {"id": "slow", "sql": "select sum(a.value * b.value) from generate_series(1, 3000) a, generate_series(1, 3000) b"},
        {"id": "rows", "sql": "select value, $1 as word from generate_series(1, 5)", "params": ["x\n\"y"], "max_rows": 3},
        {"id": "wrong", "sql": "select nothing from pg_up"},
        {"id": "hostile", "sql": "drop table pg_up"},
    ]);
    let answer = ask(queries.clone()).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let text = answer.text().await.unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{text}");
    let line = |id: &str| lines.iter().find(|line| line["id"] == id).unwrap();
    assert_eq!(line("rows")["rows"], json!([[1, "x\n\"y"], [2, "x\n\"y"], [3, "x\n\"y"]]));
    assert_eq!((&line("rows")["truncated"], &line("rows")["row_count"]), (&json!(true), &json!(3)));
    assert_eq!(line("slow")["row_count"], 1);
    assert_eq!((&line("wrong")["problem"]["status"], line("wrong")["rows"].is_null()), (&json!(400), true));
    assert_eq!(line("hostile")["problem"]["code"], "not_read_only");

    // The same again is not sent again.
    let known = line("rows")["token"].clone();
    let again = json!([{"id": "rows", "sql": queries[1]["sql"], "params": ["x\n\"y"], "max_rows": 3, "token": known}]);
    let text = ask(again).await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({"id": "rows", "unchanged": true}));
}

#[tokio::test]
async fn a_batch_that_makes_no_sense_is_refused_and_each_query_counts() {
    let mut few = crate::fixture::settings();
    few.rate_limits.query = 30;
    let server = crate::fixture::start_with(few).await;
    let token = server.admin_token().await;
    let one = |id: &str| json!({"id": id, "sql": "select 1"});
    let many: Vec<Value> = (0..25).map(|n| one(&n.to_string())).collect();
    for queries in
        [json!([]), json!(many), json!([one("a"), one("a")]), json!([one("")]), json!([one(&"x".repeat(65))])]
    {
        let answer =
            server.post("sql/batch").bearer_auth(&token).json(&json!({"queries": queries})).send().await.unwrap();
        assert_eq!(crate::fixture::problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await.0, "bad_batch");
    }
    let batch = json!({"queries": many.get(..20).unwrap()});
    let ask = || server.post("sql/batch").bearer_auth(&token).json(&batch).send();
    let first = ask().await.unwrap();
    assert_eq!((first.status(), first.text().await.unwrap().lines().count()), (StatusCode::OK, 20));
    let second = ask().await.unwrap();
    assert!(second.headers().contains_key("retry-after"));
    crate::fixture::problem(second, StatusCode::TOO_MANY_REQUESTS).await;
}

#[tokio::test]
async fn what_the_ui_begins_with_says_who_looks_and_what_there_is() {
    let server = start().await;
    let password = server.user("looker", pganalytics_store::meta_store::Role::Viewer).await;
    let token = read(server.login("looker", &password).await, StatusCode::OK).await["token"].clone();
    let ask = |token: &str| server.get("ui/bootstrap").bearer_auth(token).send();
    let viewer = read(ask(token.as_str().unwrap()).await.unwrap(), StatusCode::OK).await;
    assert_eq!(
        viewer["user"],
        json!({"username": "looker", "role": "viewer", "permissions": ["query"], "preferences": {}})
    );
    assert_eq!((&viewer["servers"], &viewer["limits"]["batch_queries"]), (&json!([]), &json!(24)));
    let admin = read(ask(&server.admin_token().await).await.unwrap(), StatusCode::OK).await;
    assert_eq!(admin["user"]["permissions"], json!(["query", "manage_collectors", "annotate"]));
}

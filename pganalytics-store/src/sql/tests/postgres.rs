//! Expressions mean here what they mean to PostgreSQL.

use pganalytics_testkit::Cluster;
use serde_json::Value as Json;
use tokio_postgres::SimpleQueryMessage;

use super::fixture::{Feed, options, query, rows};
use crate::sql::{SqlGuard, SqlLimits, SqlPrincipal};

/// One expression a line, tried on PostgreSQL 17 and on the engine.
const EXPRESSIONS: &str = include_str!("postgres.sql");

/// What an expression came to: a text, NULL, or an error.
#[derive(Debug, PartialEq)]
enum Outcome {
    Text(String),
    Null,
    Error,
}

fn ours(value: &Json) -> Outcome {
    Outcome::Text(match value {
        Json::Null => return Outcome::Null,
        Json::String(text) => text.clone(),
        other => other.to_string(),
    })
}

fn same(ours: &Json, theirs: &Outcome) -> bool {
    let Outcome::Text(theirs) = theirs else { return ours.is_null() && *theirs == Outcome::Null };
    match ours {
        Json::Null => false,
        Json::Bool(value) => theirs == if *value { "t" } else { "f" },
        Json::Number(number) => match (number.as_f64(), theirs.parse::<f64>()) {
            // PostgreSQL's numeric has more digits than a float.
            (Some(a), Ok(b)) => (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
            _ => false,
        },
        Json::Array(_) => ours.to_string().replace('[', "{").replace(']', "}").replace('"', "") == *theirs,
        Json::String(text) if text == theirs => true,
        Json::String(text) => {
            // A time as JSON has it.
            let time = text.replace('T', " ").replace('Z', "+00");
            theirs.starts_with(|c: char| c.is_ascii_digit()) && time == *theirs
        }
        Json::Object(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_mean_what_they_mean_to_postgresql() {
    let cluster = Cluster::start(17).await.unwrap();
    let client = cluster.client("postgres").await.unwrap();
    client.batch_execute("set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'").await.unwrap();
    let feed = Feed::with(options());
    let (mut tried, mut wrong) = (0, Vec::new());
    for line in EXPRESSIONS.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--")) {
        tried += 1;
        let sql = if line.starts_with("select ") { line.to_owned() } else { format!("select {line}") };
        let theirs = match client.simple_query(&sql).await {
            Ok(messages) => messages
                .iter()
                .find_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some((
                        row.columns()[0].name().to_owned(),
                        row.get(0).map_or(Outcome::Null, |text| Outcome::Text(text.to_owned())),
                    )),
                    _ => None,
                })
                .unwrap_or_else(|| (String::new(), Outcome::Null)),
            Err(_) => (String::new(), Outcome::Error),
        };
        let asked = query_of(&feed, &sql).await;
        match (asked, theirs) {
            (Err(_), (_, Outcome::Error)) => {}
            (Err(error), (_, theirs)) => wrong.push(format!("{line}\n    PostgreSQL: {theirs:?}\n    here: {error}")),
            (Ok((name, value)), (their_name, theirs)) => {
                if theirs == Outcome::Error || !same(&value, &theirs) {
                    wrong.push(format!("{line}\n    PostgreSQL: {theirs:?}\n    here: {:?}", ours(&value)));
                } else if name != their_name {
                    wrong.push(format!("{line}\n    PostgreSQL names it {their_name}\n    here: {name}"));
                }
            }
        }
    }
    assert!(tried >= 200, "{tried} expressions");
    assert!(wrong.is_empty(), "{} of {tried} differ:\n{}", wrong.len(), wrong.join("\n"));
}

async fn query_of(feed: &Feed, sql: &str) -> Result<(String, Json), String> {
    let guard = SqlGuard::new(SqlLimits::default());
    let query =
        guard.check(sql, Vec::new(), SqlPrincipal::new(feed.origin.tenant)).map_err(|error| error.to_string())?;
    let stream = crate::MetricStore::query(&feed.store, query).await.map_err(|error| error.to_string())?;
    let answer = stream.into_answer().await.map_err(|error| error.to_string())?;
    let name = answer.schema.fields().first().map(|field| field.name().clone()).unwrap_or_default();
    let value = rows(&answer).into_iter().next().and_then(|row| row.into_iter().next()).unwrap_or(Json::Null);
    Ok((name, value))
}

/// An answer may have a name twice, as PostgreSQL's may.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_may_come_twice() {
    let feed = Feed::with(options());
    let asked =
        query("select 1, 2, count(*), count(1), 3 as a, 4 as a", Vec::new(), feed.origin.tenant, SqlLimits::default());
    let answer = crate::MetricStore::query(&feed.store, asked).await.unwrap().into_answer().await.unwrap();
    let names: Vec<_> = answer.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["?column?", "?column?", "count", "count", "a", "a"]);
    assert_eq!(serde_json::json!(rows(&answer)), serde_json::json!([[1, 2, 1, 1, 3, 4]]));
}

//! What SQL can do, and that the pages of the documentation tell the truth.

use std::sync::Arc;

use pganalytics_core::{CounterFamily, Epoch, Presence, ScrapeKind, Value};
use serde_json::json;

use super::fixture::{Feed, at, query, rows, schema};
use crate::{
    Job, MetricStore,
    sql::{SqlLimits, SqlParam},
};

async fn feed() -> Feed {
    let mut feed = Feed::new();
    let columns = [("id", "key:int"), ("name", "key:text"), ("calls", "counter:int"), ("size", "gauge:int")];
    let schema = Arc::new(schema("m", CounterFamily::Cumulative, &columns));
    let row = |id, calls| vec![Value::Int(id), Value::Text("a"), Value::Int(calls), Value::Int(id * 10)];
    for minute in 0..120 {
        let kind = if minute % 10 == 0 { ScrapeKind::Keyframe } else { ScrapeKind::Delta };
        feed.scrape(&schema, minute, kind, Epoch::default(), &[row(1, minute), row(2, minute * 2)]).await;
    }
    feed
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_of_the_common_dialect_work() {
    let feed = feed().await;
    let one = |sql: &'static str| {
        let feed = &feed;
        async move { json!(feed.ask(sql).await) }
    };
    assert_eq!(
        one("SELECT date_bin(interval '1 hour', time, timestamp '2000-01-01') AS hour, sum(calls)
             FROM m_delta GROUP BY 1 ORDER BY 1")
        .await,
        json!([["2026-01-31T12:00:00Z", 177], ["2026-01-31T13:00:00Z", 180]])
    );
    assert_eq!(one("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY size) FROM m").await, json!([[15.0]]));
    assert_eq!(
        one("SELECT id, lag(calls) OVER (PARTITION BY id ORDER BY time) FROM m ORDER BY time DESC, id LIMIT 1").await,
        json!([[1, 118]])
    );
    assert_eq!(one("SELECT count(*) FILTER (WHERE calls > 100) FROM m WHERE id = 2").await, json!([[69]]));
    assert_eq!(
        one("SELECT extract(hour FROM max(time)), date_trunc('hour', min(time)) FROM m").await,
        json!([[13, "2026-01-31T12:00:00Z"]])
    );
    assert_eq!(
        one("SELECT coalesce(NULL, 'x') || 'y', 7 / 2, 'AbC' ILIKE 'abc', now() > '2020-01-01'").await,
        json!([["xy", 3, true, true]])
    );
    assert_eq!(
        one("SELECT DISTINCT ON (id) id, calls FROM m ORDER BY id, time DESC").await,
        json!([[1, 119], [2, 238]])
    );
    assert_eq!(
        one("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t").await,
        json!([[15]])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_take_the_place_of_values() {
    let feed = feed().await;
    let ask = |sql: &'static str, params: Vec<SqlParam>| {
        let query = query(sql, params, feed.origin.tenant, SqlLimits::default());
        let store = feed.store.clone();
        async move { Ok::<_, crate::StoreError>(json!(rows(&store.query(query).await?.into_answer().await?))) }
    };
    let from = SqlParam::Timestamp(at(60 * 118));
    let sql = "SELECT count(*) FROM m WHERE time >= $1 AND id = $2 AND name = $3";
    let params = vec![from.clone(), SqlParam::Int(2), SqlParam::Text("a".into())];
    assert_eq!(ask(sql, params).await.unwrap(), json!([[2]]));
    let hostile = vec![from.clone(), SqlParam::Int(2), SqlParam::Text("' OR true --".into())];
    assert_eq!(ask(sql, hostile).await.unwrap(), json!([[0]]));
    let text = ask("SELECT count(*) FROM m WHERE time >= $1", vec![SqlParam::Text("2026-01-31T13:59:00Z".into())]);
    assert_eq!(text.await.unwrap(), json!([[2]]));
    let error = ask(sql, vec![from]).await.unwrap_err().to_string();
    assert!(error.contains("$3") && error.contains("1 were given"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_what_is_near() {
    let feed = feed().await;
    let error = feed.refusal("SELECT cals FROM m").await.to_string();
    assert!(error.contains("cals") && error.contains("calls"), "{error}");
    let error = feed.refusal("SELECT * FROM m_lates").await.to_string();
    assert!(error.contains("m_latest"), "{error}");
    let error = feed.refusal("SELECT nosuch(id) FROM m").await.to_string();
    assert!(error.contains("nosuch"), "{error}");
    let error = feed.refusal("SELECT 1 / (id - id) FROM m").await.to_string();
    assert!(error.contains("division by zero"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_stay_and_the_newest_of_a_key_is_the_latest() {
    let mut feed = Feed::new();
    let columns = [("queryid", "key:int"), ("query", "info:text")];
    let schema = schema("texts", CounterFamily::None, &columns).with_presence(Presence::Append);
    let schema = Arc::new(schema);
    let text = |id, text| vec![Value::Int(id), Value::Text(text)];
    feed.scrape(&schema, 0, ScrapeKind::Delta, Epoch::default(), &[text(1, "old"), text(2, "two")]).await;
    feed.scrape(&schema, 9_000, ScrapeKind::Delta, Epoch::default(), &[text(1, "new")]).await;
    assert_eq!(json!(feed.ask("SELECT query FROM texts ORDER BY query").await), json!([["new"], ["old"], ["two"]]));
    let latest = feed.ask("SELECT queryid, query FROM texts_latest ORDER BY queryid").await;
    assert_eq!(json!(latest), json!([[1, "new"], [2, "two"]]));
    let error = feed.refusal("SELECT * FROM texts_delta").await.to_string();
    assert!(error.contains("there is no table"), "{error}");
}

/// One text among numbers, as a field of `curl` that was once "n/a".
#[tokio::test(flavor = "multi_thread")]
async fn one_odd_type_hides_no_value_before_or_after_it() {
    let mut feed = Feed::new();
    let of = |what| Arc::new(schema("m", CounterFamily::None, &[("k", "key:text"), ("v", what)]));
    let (ints, floats, texts) = (of("gauge:int"), of("gauge:float"), of("info:text"));
    let row = |value| [vec![Value::Text("a"), value]];
    feed.scrape(&ints, 0, ScrapeKind::Keyframe, Epoch::default(), &row(Value::Int(1))).await;
    feed.scrape(&floats, 1, ScrapeKind::Keyframe, Epoch::default(), &row(Value::Float(2.5))).await;
    assert_eq!(json!(feed.ask("SELECT v FROM m ORDER BY time").await), json!([[1.0], [2.5]]));
    feed.scrape(&texts, 2, ScrapeKind::Keyframe, Epoch::default(), &row(Value::Text("n/a"))).await;
    let both = "SELECT v, v_text FROM m ORDER BY time";
    let so_far = json!([[1.0, null], [2.5, null], [null, "n/a"]]);
    assert_eq!(json!(feed.ask(both).await), so_far);
    assert_eq!(json!(feed.ask("SELECT sum(v) FROM m").await), json!([[3.5]]));
    assert_eq!(json!(feed.ask("SELECT v, v_text FROM m_latest WHERE v_text = 'n/a'").await), json!([[null, "n/a"]]));
    // A text that is a number is one, and stays as it came.
    feed.scrape(&texts, 3, ScrapeKind::Keyframe, Epoch::default(), &row(Value::Text("17"))).await;
    feed.scrape(&ints, 4, ScrapeKind::Keyframe, Epoch::default(), &row(Value::Int(4))).await;
    let all = json!([[1.0, null], [2.5, null], [null, "n/a"], [17.0, "17"], [4.0, null]]);
    assert_eq!(json!(feed.ask(both).await), all);
    feed.store.maintain(Job::Compact { before: at(7200) }).await.unwrap();
    assert_eq!(json!(feed.ask(both).await), all);
    assert_eq!(json!(feed.ask("SELECT v FROM m_latest WHERE v = 4").await), json!([[4.0]]));
}

/// Each example of the page is run as it stands there.
#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_page_run() {
    // A packaged crate comes without the pages.
    let Ok(page) = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sql.md")) else { return };
    let mut feed = Feed::new();
    let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs());
    let now = (now.unwrap() - super::fixture::START) / 60;
    let measurements: [(&str, &[(&str, &str)]); 5] = [
        (
            "pg_stat_database",
            &[("datname", "key:text"), ("xact_commit", "counter:int"), ("xact_rollback", "counter:int")],
        ),
        (
            "pg_stat_statements",
            &[("queryid", "key:int"), ("total_exec_time", "counter:float"), ("calls", "counter:int")],
        ),
        ("pg_query_text", &[("queryid", "key:int"), ("query", "info:text")]),
        (
            "pg_stat_user_tables",
            &[("schemaname", "key:text"), ("relname", "key:text"), ("relid", "key:int"), ("idx_scan", "counter:int")],
        ),
        ("pg_table_size", &[("relid", "key:int"), ("total_size", "gauge:int")]),
    ];
    for (name, columns) in measurements {
        let schema = Arc::new(schema(name, CounterFamily::Cumulative, columns));
        for minute in [now - 2, now - 1] {
            let value = |(_, what): &(&str, &str)| match *what {
                "counter:int" => Value::Int(if name == "pg_stat_user_tables" { 0 } else { minute - now + 10 }),
                "counter:float" => Value::Float(10.0),
                what if what.ends_with(":text") => Value::Text("public"),
                _ => Value::Int(7),
            };
            let row = columns.iter().map(value).collect();
            feed.scrape(&schema, minute, ScrapeKind::Keyframe, Epoch::default(), &[row]).await;
        }
    }
    let examples: Vec<&str> = page
        .split("```sql\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().trim().trim_end_matches(';'))
        .collect();
    assert!(examples.len() >= 4, "the page has lost its examples");
    for example in examples {
        assert!(!feed.ask(example).await.is_empty(), "no rows: {example}");
    }
}

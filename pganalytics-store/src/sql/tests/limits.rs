//! A query is stopped where it asks for too much, with an error that says which
//! bound it was, and others go on.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pganalytics_core::{CounterFamily, Epoch, ScrapeKind, Value};
use serde_json::json;

use super::fixture::{Feed, options, query, rows, schema};
use crate::{
    MetricStore, StoreError,
    sql::{Answer, EngineOptions, SqlError, SqlLimits},
};

fn limits() -> SqlLimits {
    SqlLimits { timeout: Duration::from_millis(1_500), ..SqlLimits::default() }
}

async fn run(feed: &Feed, sql: &str, limits: SqlLimits) -> Result<Answer, StoreError> {
    feed.store.query(query(sql, Vec::new(), feed.origin.tenant, limits)).await?.into_answer().await
}

async fn feed(options: EngineOptions) -> Feed {
    let mut feed = Feed::with(options);
    let schema = schema("m", CounterFamily::Cumulative, &[("id", "key:int"), ("calls", "counter:int")]);
    let schema = Arc::new(schema);
    let rows: Vec<_> = (0..2_000).map(|id| vec![Value::Int(id), Value::Int(id)]).collect();
    feed.scrape(&schema, 0, ScrapeKind::Keyframe, Epoch::default(), &rows).await;
    feed
}

/// Queries that would run for hours.
const ENDLESS: &[&str] = &[
    "SELECT count(*) FROM m a, m b, m c, m d",
    "SELECT sum(a.calls * b.calls) FROM m a CROSS JOIN m b CROSS JOIN m c",
    "SELECT count(*) FROM m a JOIN m b ON a.id <> b.id JOIN m c ON b.calls < c.calls",
    "SELECT count(*) FROM m a JOIN m b ON a.id <> b.id JOIN m c ON b.calls + c.calls + a.calls < 0",
    "SELECT count(*) FROM m a JOIN m b USING (server) JOIN m c ON a.server = c.server AND a.id + c.id < b.id - 9999",
    "SELECT count(*) FROM (SELECT unnest([a.id, b.id, c.id, d.id]) FROM m a, m b, m c, m d) y",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "WITH RECURSIVE t(n) AS (SELECT id FROM m UNION ALL SELECT t.n + 1 FROM t, m WHERE m.id = 1) SELECT max(n) FROM t",
    "SELECT count(*) FROM generate_series(1, 9000000000000000) AS s",
    "SELECT * FROM generate_series(1, 9000000000000000) AS s(n) WHERE n < 0",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_never_ends_is_ended() {
    // One query at a time: one that was not really stopped would keep out the next.
    let feed = feed(EngineOptions { concurrent_queries: 1, ..options() }).await;
    for sql in ENDLESS {
        let begun = Instant::now();
        let error = run(&feed, sql, limits()).await.expect_err(sql);
        let took = begun.elapsed();
        // Some hold so much that memory comes to its end before time does.
        let bounded = matches!(error, StoreError::Sql(SqlError::Timeout { .. } | SqlError::OutOfMemory { .. }));
        assert!(bounded, "{sql}: {error}");
        assert!(took < Duration::from_secs(6), "{sql} took {took:?}");
        let next = run(&feed, "SELECT count(*) FROM m", SqlLimits::default()).await;
        let next = next.unwrap_or_else(|error| panic!("after {sql}: {error}"));
        assert_eq!(json!(rows(&next)), json!([[2_000]]));
    }
    let error = run(&feed, ENDLESS[0], limits()).await.unwrap_err().to_string();
    assert!(error.contains("longer than 1 s") && error.contains("shorter time range"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_its_query() {
    let feed = feed(EngineOptions { concurrent_queries: 1, ..options() }).await;
    for _ in 0..3 {
        let endless = run(&feed, ENDLESS[0], SqlLimits::default());
        assert!(tokio::time::timeout(Duration::from_millis(200), endless).await.is_err());
    }
    let begun = Instant::now();
    assert_eq!(run(&feed, "SELECT 1", SqlLimits::default()).await.unwrap().rows(), 1);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_too_many_is_told_to_come_again() {
    let feed = feed(EngineOptions { concurrent_queries: 1, ..options() }).await;
    let slow = tokio::spawn({
        let query = query(ENDLESS[0], Vec::new(), feed.origin.tenant, SqlLimits::default());
        let store = feed.store.clone();
        async move { store.query(query).await?.into_answer().await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let error = run(&feed, "SELECT 1", limits()).await.unwrap_err();
    assert!(matches!(error, StoreError::Sql(SqlError::Busy { running: 1 })), "{error}");
    slow.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded() {
    let feed = feed(EngineOptions { query_memory_bytes: 16 << 20, ..options() }).await;
    for sql in [
        "SELECT array_agg(value) FROM generate_series(1, 100000000)",
        "SELECT count(*) FROM generate_series(1, 100000000) a(n) JOIN generate_series(1, 100000000) b(n) ON a.n = b.n + 1",
        "SELECT count(*) FROM (SELECT value % 90000000 AS v, count(*) FROM generate_series(1, 90000000) GROUP BY 1) t",
        "SELECT count(DISTINCT value * 7 % 90000001) FROM generate_series(1, 100000000)",
        "SELECT max(v) FROM (SELECT sum(value) OVER () AS v FROM generate_series(1, 100000000)) t",
        "SELECT a.id, array_agg(b.id * 100000 + c.id) FROM m a, m b, m c GROUP BY a.id",
    ] {
        let error = run(&feed, sql, SqlLimits::default()).await.expect_err(sql);
        assert!(matches!(error, StoreError::Sql(SqlError::OutOfMemory { megabytes: 16 })), "{sql}: {error}");
    }
    // Within the bound it goes.
    let sorted = run(&feed, "SELECT id FROM m ORDER BY calls DESC LIMIT 1", SqlLimits::default()).await.unwrap();
    assert_eq!(json!(rows(&sorted)), json!([[1_999]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_past_the_limit_are_left_out_and_it_is_said() {
    let feed = feed(options()).await;
    let ask = |sql: &'static str, max_rows| {
        let limits = SqlLimits { max_rows, ..SqlLimits::default() };
        let feed = &feed;
        async move {
            let answer = run(feed, sql, limits).await.unwrap();
            (answer.rows(), answer.truncated)
        }
    };
    assert_eq!(ask("SELECT * FROM m", 1_999).await, (1_999, true));
    assert_eq!(ask("SELECT * FROM m", 2_000).await, (2_000, false));
    assert_eq!(ask("SELECT * FROM m LIMIT 10", 10).await, (10, false));
    assert_eq!(ask("SELECT * FROM m WHERE id < 0", 10).await, (0, false));
    assert_eq!(ask("SELECT * FROM generate_series(1, 100000000)", 100).await, (100, true));
    assert_eq!(ask("SELECT count(*) FROM m", 1).await, (1, false));
}

/// What would be copied for each row of a join, a window or an unnest.
#[tokio::test(flavor = "multi_thread")]
async fn values_are_not_copied_without_end() {
    let feed = feed(EngineOptions { query_memory_bytes: 16 << 20, ..options() }).await;
    for sql in [
        "SELECT count(*) FROM (SELECT array_agg(id) l FROM m) x CROSS JOIN m WHERE cardinality(l) + m.id > 0",
        "SELECT count(l) FROM (SELECT array_agg(id) l, 1 AS k FROM m) x JOIN m ON m.id = x.k WHERE cardinality(l) > 0",
        "SELECT count(l) FROM (SELECT array_agg(id) l, 1 AS k FROM m) x LEFT JOIN m ON m.id < x.k",
        "SELECT unnest(l), l FROM (SELECT array_agg(id) l FROM m) x",
        "SELECT array_agg(id) OVER (ORDER BY id) FROM m",
        "SELECT string_agg(server, ',') OVER (ORDER BY id) FROM m",
    ] {
        let error = run(&feed, sql, SqlLimits::default()).await.expect_err(sql);
        assert!(matches!(error, StoreError::Sql(SqlError::Invalid(_))), "{sql}: {error}");
    }
    let long = "SELECT count(s) FROM (SELECT string_agg(server || id::text, ',') s FROM m) x CROSS JOIN m WHERE length(s) + m.id > 0";
    let error = run(&feed, long, SqlLimits::default()).await.expect_err(long);
    assert!(matches!(error, StoreError::Sql(SqlError::OutOfMemory { megabytes: 16 })), "{error}");
    for sql in [
        "SELECT count(*) FROM m a JOIN m b ON a.server = b.server AND a.id = b.id",
        "SELECT max(length(s)) FROM (SELECT string_agg(server, ',') s, id FROM m GROUP BY id) x JOIN m USING (id)",
        "SELECT count(*) FROM (SELECT unnest(l) FROM (SELECT array_agg(id) l FROM m) x) y",
        "SELECT count(*) FROM (SELECT unnest(l), server FROM (SELECT array_agg(id) l, server FROM m GROUP BY server) x) y",
        "SELECT sum(calls) OVER (ORDER BY id), lag(server) OVER (ORDER BY id) FROM m",
    ] {
        run(&feed, sql, SqlLimits::default()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_very_many_columns_is_refused() {
    let feed = feed(options()).await;
    let limits = SqlLimits { max_columns: 20, ..SqlLimits::default() };
    let error = run(&feed, "SELECT * FROM m a, m b, m c", limits.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Sql(SqlError::TooComplex { limit: 20, .. })), "{error}");
    assert_eq!(run(&feed, "SELECT * FROM m a JOIN m b USING (id) LIMIT 1", limits).await.unwrap().rows(), 1);
}

/// Files, the network and what changes anything are out of reach.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_tables_is_reached() {
    let feed = feed(options()).await;
    for sql in [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM '/etc/passwd.csv'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM \"file:///etc/passwd\"",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('/tmp/x.parquet')",
        "SELECT * FROM parquet_metadata('/tmp/x.parquet')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT current_setting('data_directory')",
        "SELECT * FROM pg_catalog.pg_authid",
        "SELECT * FROM main.users",
    ] {
        let error = feed.refusal(sql).await;
        assert!(matches!(&error, StoreError::Sql(error) if error.is_users()), "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_do_not_write_more_than_a_query_may_hold() {
    let feed = feed(EngineOptions { query_memory_bytes: 16 << 20, ..options() }).await;
    for sql in [
        "SELECT length(repeat('x', 100000000))",
        "SELECT length(repeat(repeat('x', 100000), 100000))",
        "SELECT length(lpad('x', 2000000000)) FROM m",
        "SELECT length(rpad(id::text, 50000)) FROM m",
        "SELECT length(replace(repeat('x', 1000000), 'x', repeat('y', 1000000)))",
        "SELECT length(regexp_replace(repeat('x', 1000000), 'x', repeat('y', 1000), 'g'))",
        "SELECT max(length(repeat('x', calls * 100))) FROM m",
        "WITH a AS (SELECT repeat('x', 1000000) AS s), b AS (SELECT s || s || s || s AS s FROM a),
              c AS (SELECT s || s || s || s AS s FROM b) SELECT length(s || s) FROM c",
        "WITH a AS (SELECT repeat('x', 1000000) AS s), b AS (SELECT concat(s, s, s, s, s, s, s, s) AS s FROM a)
         SELECT length(concat(s, s, s, s)) FROM b",
        "WITH a AS (SELECT repeat('x', 1000000) AS s), b AS (SELECT [s, s, s, s, s, s, s, s] AS s FROM a)
         SELECT cardinality([s, s, s, s]) FROM b",
        "SELECT length(array_to_string(array_agg(id), repeat('x', 100000))) FROM m",
    ] {
        let error = run(&feed, sql, SqlLimits::default()).await.expect_err(sql);
        assert!(matches!(error, StoreError::Sql(SqlError::OutOfMemory { megabytes: 16 })), "{sql}: {error}");
    }
    for sql in ["SELECT range(1, 1000000000)", "SELECT array_repeat(1, 1000000000)"] {
        let error = run(&feed, sql, SqlLimits::default()).await.expect_err(sql);
        assert!(matches!(error, StoreError::Sql(SqlError::Invalid(_))), "{sql}: {error}");
    }
    let plain = "SELECT repeat('ab', 3), lpad('7', 3, '0'), replace('a-b', '-', '+'), 'x' || 1 || NULL, 'x' || 1,
                        concat('a', NULL, 'b'), array_to_string([1, 2], ', '), [1] || [2]";
    let plain = json!(rows(&run(&feed, plain, SqlLimits::default()).await.unwrap()));
    assert_eq!(plain, json!([["ababab", "007", "a+b", null, "x1", "ab", "1, 2", [1, 2]]]));
    let many = "SELECT count(*) FROM m a, m b WHERE a.id || '/' || b.id = '7/9'";
    assert_eq!(json!(rows(&run(&feed, many, SqlLimits::default()).await.unwrap())), json!([[1]]));
}

/// What a function wrote is given back when its rows have passed.
#[tokio::test(flavor = "multi_thread")]
async fn functions_may_write_more_in_all_than_a_query_may_hold() {
    let feed = feed(EngineOptions { query_memory_bytes: 32 << 20, ..options() }).await;
    let limits = SqlLimits::default();
    // 64 MB of texts, each written twice.
    let streamed = "SELECT sum(length(regexp_replace(lpad(value::text, 512, 'x'), '[0-9]+', '?', 'g')) - 512) < 0
                    FROM generate_series(1, 125000)";
    assert_eq!(json!(rows(&run(&feed, streamed, limits).await.unwrap())), json!([[true]]));
}

/// A picture or a pattern may not make much out of little, and what takes time
/// by the square of its texts is not there.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_bounded_and_what_is_not_listed_is_not_there() {
    let feed = feed(EngineOptions { query_memory_bytes: 16 << 20, ..options() }).await;
    for sql in [
        "SELECT max(length(to_char(to_timestamp(value), repeat('x', 400000)))) FROM generate_series(1, 8192)",
        "SELECT max(length(to_char(to_timestamp(value), rpad(value::text, 30000, 'x')))) FROM generate_series(1, 8192)",
        "SELECT max(length(format(rpad('%s', 3000, 'x'), rpad(value::text, 3000)))) FROM generate_series(1, 8192)",
        "SELECT max(length(upper(rpad(value::text, 10000, 'x')))) FROM generate_series(1, 8192)",
    ] {
        let error = run(&feed, sql, SqlLimits::default()).await.expect_err(sql);
        assert!(matches!(error, StoreError::Sql(SqlError::OutOfMemory { megabytes: 16 })), "{sql}: {error}");
    }
    for (sql, instead) in [
        ("SELECT levenshtein(repeat('x', 20000), repeat('y', 20000))", "like"),
        ("SELECT median(id) FROM m", "percentile_cont(0.5)"),
        ("SELECT to_date('2024', 'YYYY')", "::date"),
        ("SELECT * FROM range(1, 10)", "generate_series"),
        ("SELECT id FROM m WHERE nvl(id, 1) = 1", "coalesce"),
    ] {
        let error = run(&feed, sql, SqlLimits::default()).await.expect_err(sql);
        let said = matches!(&error, StoreError::Sql(SqlError::Invalid(message)) if message.contains(instead));
        assert!(said, "{sql}: {error}");
    }
}

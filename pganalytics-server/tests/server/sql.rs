//! SQL over HTTP: only reading, only so long, and answers that can be used.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::fixture::{Spool, problem, read, settings, start, start_with};

#[tokio::test]
async fn rows_come_as_json_and_csv() {
    let server = start().await;
    let (_, agent) = server.collector("agent").await;
    read(server.push(&agent, Spool::new("answers", "db1").body(1..101)).send().await.unwrap(), StatusCode::OK).await;
    let token = server.admin_token().await;
    let ask = |body: Value, accept: &'static str| {
        server.post("sql").bearer_auth(&token).header("Accept", accept).json(&body).send()
    };
    let query = json!({"sql": "select id, calls, server from answers where id > $1 order by id", "params": [98]});
    let answer = read(ask(query.clone(), "application/json").await.unwrap(), StatusCode::OK).await;
    assert_eq!(answer["columns"][0], json!({"name": "id", "type": "bigint"}));
    assert_eq!(answer["rows"], json!([[99, 990, "db1"], [100, 1000, "db1"]]));
    assert_eq!((&answer["row_count"], &answer["truncated"]), (&json!(2), &json!(false)));

    let csv = ask(query, "text/csv").await.unwrap();
    assert_eq!(csv.headers()["content-type"], "text/csv; charset=utf-8");
    assert_eq!(csv.text().await.unwrap().replace("\r\n", "\n"), "id,calls,server\n99,990,db1\n100,1000,db1\n");

    let few = json!({"sql": "select id from answers", "max_rows": 7});
    let answer = read(ask(few.clone(), "*/*").await.unwrap(), StatusCode::OK).await;
    assert_eq!((&answer["row_count"], &answer["truncated"]), (&json!(7), &json!(true)));
    problem(ask(few, "image/png").await.unwrap(), StatusCode::NOT_ACCEPTABLE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_follows_while_it_is_computed() {
    let server = start().await;
    let token = server.admin_token().await;
    let ask = |sql: &str, accept: &'static str| {
        let request = server.post("sql").bearer_auth(&token).header("Accept", accept).header("TE", "trailers");
        let request = request.json(&json!({"sql": sql, "max_rows": 30_000}));
        async move { request.send().await.unwrap() }
    };
    let sql = "select value, repeat('x', 100) as text from generate_series(1, 40000)";
    let answer = ask(sql, "application/json").await;
    assert!(answer.content_length().is_none(), "it is not complete when its headers go");
    let answer = read(answer, StatusCode::OK).await;
    assert_eq!((&answer["row_count"], &answer["truncated"]), (&json!(30_000), &json!(true)));
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[29_999][0]), (30_000, &json!(30_000)));

    let csv = ask(sql, "text/csv").await;
    assert_eq!(csv.headers()["trailer"], "x-truncated");
    assert_eq!(csv.text().await.unwrap().lines().count(), 30_001);
    let small = ask("select 1 as one", "text/csv").await;
    assert_eq!((small.content_length(), &small.headers()["x-truncated"]), (Some(6), &"false".parse().unwrap()));

    let arrow = ask(sql, "application/vnd.apache.arrow.stream").await;
    assert_eq!(arrow.headers()["content-type"], "application/vnd.apache.arrow.stream");
    let bytes = arrow.bytes().await.unwrap();
    // Begin and end of a stream of Arrow messages.
    assert!(bytes.starts_with(&[255; 4]) && bytes.ends_with(&[255, 255, 255, 255, 0, 0, 0, 0]));
    assert!(bytes.len() > 3_000_000, "{}", bytes.len());

    // What fails before anything has gone out has its own status; later, the body breaks off.
    let early = ask("select 1 / (value - 3) from generate_series(1, 10)", "application/json").await;
    assert_eq!(problem(early, StatusCode::UNPROCESSABLE_ENTITY).await.0, "query_failed");
    let late = "select 1 / (value - 25000), repeat('x', 100) from generate_series(1, 40000)";
    let late = ask(late, "application/json").await;
    assert_eq!(late.status(), StatusCode::OK);
    assert!(late.bytes().await.is_err(), "nobody takes it for the whole answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stall_are_cut_off_and_hold_no_turn() {
    let mut short = settings();
    short.query.reader_timeout = Duration::from_millis(500);
    short.query.answer_bytes = 16 << 20;
    let server = start_with(short).await;
    let token = server.admin_token().await;
    let large = json!({"sql": "select repeat('x', 10000) from generate_series(1, 6000)"});
    let mut stalled = Vec::new();
    for _ in 0..6 {
        let answer = server.post("sql").bearer_auth(&token).json(&large).send().await.unwrap();
        // Kept, not read.
        if answer.status() != StatusCode::OK {
            panic!("{}", answer.text().await.unwrap());
        }
        stalled.push(answer);
    }
    let answer = server.post("sql").bearer_auth(&token).json(&json!({"sql": "select 1"})).send().await.unwrap();
    assert_eq!(read(answer, StatusCode::OK).await["rows"], json!([[1]]));
    let mut broken = 0;
    for answer in stalled {
        broken += usize::from(answer.bytes().await.is_err());
    }
    assert!(broken >= 4, "{broken} were cut off");
}

#[tokio::test]
async fn what_is_not_reading_is_refused_with_the_reason() {
    let server = start().await;
    let token = server.admin_token().await;
    for sql in [
        "insert into pg_up values (1)",
        "update pg_up set up = false",
        "delete from pg_up",
        "drop table pg_up",
        "create table t (a int)",
        "create external table t stored as csv location '/etc/passwd'",
        "copy (select 1) to '/tmp/x'",
        "set datafusion.execution.batch_size = 1",
        "select 1; select 2",
        "select * from '/etc/passwd'",
        "select pg_read_file('/etc/passwd')",
        "with x as (delete from pg_up returning *) select * from x",
        "selekt 1",
        "",
    ] {
        let answer = server.post("sql").bearer_auth(&token).json(&json!({"sql": sql})).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{sql:?}");
        let (code, message) = problem(answer, StatusCode::BAD_REQUEST).await;
        assert!(!code.is_empty() && message.len() > 5, "{sql:?}: {code}: {message}");
    }
    for body in [json!({}), json!({"sql": 1}), json!({"sql": "select 1", "max_rows": -1})] {
        let answer = server.post("sql").bearer_auth(&token).json(&body).send().await.unwrap();
        problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    let answer = server.post("sql").bearer_auth(&token).json(&json!({"sql": "select $1", "params": [[1]]}));
    assert_eq!(problem(answer.send().await.unwrap(), StatusCode::BAD_REQUEST).await.0, "bad_parameters");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_never_ends_is_ended() {
    let mut short = settings();
    short.query.timeout = Duration::from_secs(1);
    let server = start_with(short).await;
    let (_, agent) = server.collector("agent").await;
    read(server.push(&agent, Spool::new("endless", "db1").body(1..900)).send().await.unwrap(), StatusCode::OK).await;
    let token = server.admin_token().await;
    let started = Instant::now();
    let sql = "select sum(a.id * b.id * c.id * d.id) from endless a, endless b, endless c, endless d";
    let endless = server.post("sql").bearer_auth(&token).json(&json!({"sql": sql})).send();
    // Others are served meanwhile.
    let (endless, health) = tokio::join!(endless, server.get("health").send());
    assert_eq!(health.unwrap().status(), StatusCode::OK);
    let (code, message) = problem(endless.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(code.contains("timeout") && message.contains('1'), "{code}: {message}");
}

#[tokio::test]
async fn series_for_charts_are_ready_made() {
    let server = start().await;
    let (_, agent) = server.collector("agent").await;
    let metrics = json!({"collector_id": "x", "metrics": []});
    assert_eq!(server.post("metrics/push").bearer_auth(&agent).json(&metrics).send().await.unwrap().status(), 403);
    read(server.push(&agent, Spool::new("drawn", "db1").body(1..50)).send().await.unwrap(), StatusCode::OK).await;
    let token = server.admin_token().await;
    let get = |path: String| {
        let request = server.get(&path).bearer_auth(&token);
        async move { request.send().await.unwrap() }
    };
    let servers = read(get("servers".to_owned()).await, StatusCode::OK).await;
    assert_eq!((&servers["count"], &servers["data"][0]["name"]), (&json!(1), &json!("db1")));
    let id = servers["data"][0]["id"].as_str().unwrap();
    read(get(format!("servers/{id}")).await, StatusCode::OK).await;
    let path = format!("servers/{id}/metrics?measurement=drawn&columns=calls&step=3600&from=2020-01-01T00:00:00Z");
    problem(get(path).await, StatusCode::UNPROCESSABLE_ENTITY).await;
    let series = read(get(format!("servers/{id}/metrics?measurement=drawn&columns=calls")).await, StatusCode::OK).await;
    assert_eq!(series["series"].as_array().unwrap().len(), 1, "{series}");
    for (query, status) in [
        ("measurement=nothing", StatusCode::NOT_FOUND),
        ("measurement=drawn&columns=nothing", StatusCode::UNPROCESSABLE_ENTITY),
        ("measurement=drawn&columns=calls%22%3B--", StatusCode::UNPROCESSABLE_ENTITY),
        ("", StatusCode::BAD_REQUEST),
    ] {
        problem(get(format!("servers/{id}/metrics?{query}")).await, status).await;
    }
}

/// Two databases of an instance, and a standby, scraped each at its own moment.
#[tokio::test]
async fn points_of_charts_are_of_all_sources() {
    let server = start().await;
    let (_, agent) = server.collector("agent").await;
    let columns = json!([
        {"name": "state", "kind": "key", "type": "text"},
        {"name": "used", "kind": "gauge", "type": "int", "unit": "connections"},
        {"name": "lag", "kind": "gauge", "type": "float", "unit": "s", "aggregate": "max"},
        {"name": "hit", "kind": "gauge", "type": "float", "unit": "ratio", "aggregate": "avg"},
        {"name": "calls", "kind": "counter", "type": "int"}]);
    let id = "7b0f5a3e-1f3c-5a7e-9d7a-0c1f52b6c001";
    let instances = ["7b0f5a3e-1f3c-5a7e-9d7a-0c1f52b6c002", "7b0f5a3e-1f3c-5a7e-9d7a-0c1f52b6c003"];
    let mut metrics = Vec::new();
    for minute in 0..15 {
        // The standby has other values, and no databases.
        for (number, (instance, database)) in [(0, Some("a")), (0, Some("b")), (1, None)].into_iter().enumerate() {
            let time = format!("2026-01-31T12:{minute:02}:{:02}.{number}Z", 10 * number);
            let lag = if number == 2 { 7.5 } else { 0.5 };
            metrics.push(json!({
                "type": "drawn_gauges", "server": "db1", "server_id": id, "instance_id": instances[instance],
                "database": database, "timestamp": time, "interval": "60s", "family": "cumulative", "columns": columns,
                "kind": "keyframe", "rows": [
                    {"state": "active", "used": 3, "lag": lag, "hit": 0.5, "calls": 10 * minute},
                    {"state": "idle", "used": 4, "lag": 0.25, "hit": 1.0, "calls": 10 * minute}]}));
        }
    }
    let body = json!({"metrics": metrics});
    let pushed = server.post("metrics/push").bearer_auth(&agent).json(&body).send().await.unwrap();
    assert!(pushed.status().is_success(), "{}", pushed.text().await.unwrap());
    let token = server.admin_token().await;
    let get = |more: &str| {
        let range = "from=2026-01-31T12:02:00Z&to=2026-01-31T12:13:00Z&step=300";
        let request = server.get(&format!("servers/{id}/metrics?measurement=drawn_gauges&{range}{more}"));
        let request = request.bearer_auth(&token);
        async move { read(request.send().await.unwrap(), StatusCode::OK).await }
    };
    let points = |answer: &Value, column: &str| -> Vec<Vec<Value>> {
        let all = answer["series"].as_array().unwrap().iter().filter(|series| series["column"] == column);
        all.map(|series| series["points"].as_array().unwrap().iter().map(|point| point[1].clone()).collect()).collect()
    };
    let answer = get("").await;
    // Whatever their moments: all connections, the longest lag, the average ratio.
    assert_eq!(points(&answer, "used"), [vec![json!(21.0); 3]], "{answer}");
    assert_eq!(points(&answer, "lag"), [vec![json!(7.5); 3]]);
    assert_eq!(points(&answer, "hit"), [vec![json!(0.75); 3]]);
    // The first step is whole, though the range begins in it; the last one is not over.
    assert_eq!(points(&answer, "calls"), [[json!(240), json!(300)]], "{answer}");
    assert_eq!(answer["complete_to"], "2026-01-31T12:10:00Z");
    let by_instance = get("&by=instance_id&columns=used").await;
    assert_eq!(points(&by_instance, "used"), [vec![json!(14.0); 3], vec![json!(7.0); 3]], "{by_instance}");
    let by_both = get("&by=state,database_name&columns=used,calls").await;
    assert_eq!(points(&by_both, "used").len(), 6, "{by_both}");
}

#[tokio::test]
async fn a_measurement_that_nobody_knows_is_there_with_its_first_push() {
    let server = start().await;
    let token = server.admin_token().await;
    let ask = |sql: &'static str| server.post("sql").bearer_auth(&token).json(&json!({"sql": sql})).send();
    let (code, _) = problem(ask("select * from app_orders").await.unwrap(), StatusCode::BAD_REQUEST).await;
    assert_eq!(code, "unknown_table");
    let get = || server.get("measurements/app_orders").bearer_auth(&token).send();
    problem(get().await.unwrap(), StatusCode::NOT_FOUND).await;

    let (_, agent) = server.collector("agent").await;
    read(server.push(&agent, Spool::new("app_orders", "db1").body(1..4)).send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(server.rows(&token, "select id, calls from app_orders order by id").await.len(), 3);
    let measurement = read(get().await.unwrap(), StatusCode::OK).await;
    let column = |name: &str, kind: &str| json!({"name": name, "kind": kind, "type": "int", "unit": "", "doc": ""});
    assert_eq!(measurement["columns"], json!([column("id", "key"), column("calls", "gauge")]));
    assert_eq!((&measurement["presence"], &measurement["stored"]["rows"]), (&json!("append"), &json!(3)));
    let list =
        read(server.get("measurements?limit=1000").bearer_auth(&token).send().await.unwrap(), StatusCode::OK).await;
    let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|each| each["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"app_orders") && names.contains(&"pg_stat_database"), "{names:?}");
}

#[tokio::test]
async fn what_the_catalog_knows_and_nobody_sent_is_an_empty_table() {
    let server = start().await;
    let token = server.admin_token().await;
    for measurement in pganalytics_core::catalog::Catalog::builtin() {
        let columns: Vec<_> = measurement.columns().iter().map(|column| format!("\"{}\"", column.name)).collect();
        let columns = columns.join(", ");
        let mut tables = vec![measurement.name().to_string(), format!("{}_latest", measurement.name())];
        if measurement.schema().presence() == pganalytics_core::Presence::State {
            tables.push(format!("{}_delta", measurement.name()));
        }
        for table in tables {
            let rows = server.rows(&token, &format!("select time, {columns} from {table}")).await;
            assert!(rows.is_empty(), "{table}: {rows:?}");
        }
    }
}

//! Sending metrics: frames and JSON, whole and compressed, once and twice.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use pganalytics_core::frame::CONTENT_TYPE;
use pganalytics_server::auth::scope::Scope;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::fixture::{Running, Spool, problem, pushed, read, start};

fn compressed(encoding: &str, body: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(body, 3).unwrap(),
        _ => body.to_vec(),
    }
}

async fn count(server: &Running, measurement: &str) -> Value {
    let token = server.admin_token().await;
    server.rows(&token, &format!("select count(*), count(distinct id), sum(calls) from {measurement}")).await[0].clone()
}

#[tokio::test]
async fn frames_arrive_however_they_are_packed() {
    let server = start().await;
    let (_, token) = server.collector("agent").await;
    let spool = Spool::new("packed", "db1");
    for (at, encoding) in ["identity", "gzip", "zstd"].into_iter().enumerate() {
        let first = 1 + 10 * at as u64;
        let body = compressed(encoding, &spool.body(first..first + 10));
        let answer = server.push(&token, body).header("Content-Encoding", encoding).send().await.unwrap();
        let answer = read(answer, StatusCode::OK).await;
        assert_eq!((&answer["status"], &answer["accepted"]), (&json!("ok"), &json!(10)), "{encoding}");
    }
    assert_eq!(count(&server, "packed").await, json!([30, 30, 10 * 30 * 31 / 2]));
}

#[tokio::test]
async fn json_arrives_however_it_is_packed() {
    let server = start().await;
    let admin = server.admin_token().await;
    let push = |body: Value, encoding: &'static str| {
        let request = server.post("metrics/push").bearer_auth(&admin).header("Content-Type", "application/json");
        request.header("Content-Encoding", encoding).body(compressed(encoding, body.to_string().as_bytes())).send()
    };
    // What old collectors send to see whether they are let in.
    let empty = json!({"collector_id": "col_001", "metrics": []});
    let answer = read(push(empty, "identity").await.unwrap(), StatusCode::OK).await;
    assert_eq!((&answer["status"], &answer["accepted"]), (&json!("success"), &json!(0)));
    for (at, encoding) in ["identity", "gzip", "zstd"].into_iter().enumerate() {
        let body = json!({"collector_id": "col_001", "hostname": "db9", "metrics": [
            {"type": "app_queue", "queue": format!("mail{at}"), "waiting": 3},
            {"type": "no good name!", "queue": "x", "waiting": 1},
        ]});
        let answer = read(push(body, encoding).await.unwrap(), StatusCode::OK).await;
        assert_eq!((&answer["status"], &answer["accepted"]), (&json!("partial"), &json!(1)), "{encoding}: {answer}");
        assert_eq!((&answer["rejected"][0]["index"], answer["rejected"].as_array().unwrap().len()), (&json!(1), 1));
    }
    let rows = server.rows(&admin, "select count(distinct queue), max(waiting), max(server) from app_queue").await;
    assert_eq!(rows[0], json!([3, 3, "db9"]));
    let list = read(server.get("collectors").bearer_auth(&admin).send().await.unwrap(), StatusCode::OK).await;
    assert_eq!((&list["data"][0]["name"], &list["data"][0]["status"]), (&json!("col_001"), &json!("active")));
}

/// Fields of `curl` without `columns`: the type may be another one in each push.
#[tokio::test]
async fn one_text_among_numbers_hides_none_and_is_no_key() {
    let server = start().await;
    let admin = server.admin_token().await;
    let push = async |minute: u32, v: Value| {
        let time = format!("2026-01-31T12:{minute:02}:00Z");
        let body = json!({"metrics": [{"type": "app_odd", "timestamp": time, "k": "a", "v": v}]});
        let request = server.post("metrics/push").bearer_auth(&admin).header("Content-Type", "application/json");
        let answer = read(request.body(body.to_string()).send().await.unwrap(), StatusCode::OK).await;
        assert_eq!(answer["accepted"], json!(1), "{answer}");
    };
    for (minute, v) in (0..).zip([json!(1), json!("n/a"), json!(2.5), json!("error"), json!(3)]) {
        push(minute, v).await;
    }
    // Of each time one row: a text that was a key would be carried on beside the numbers.
    let rows = server.rows(&admin, "select v, v_text from app_odd where k = 'a' order by time").await;
    let wanted = json!([[1.0, null], [null, "n/a"], [2.5, null], [null, "error"], [3.0, null]]);
    assert_eq!(json!(rows), wanted);
    assert_eq!(server.rows(&admin, "select sum(v) from app_odd").await[0], json!([6.5]));
}

#[tokio::test]
async fn what_was_stored_is_acknowledged_again_and_stored_once() {
    let server = start().await;
    let (_, token) = server.collector("agent").await;
    let spool = Spool::new("repeated", "db1");
    let outcome = async |numbers: std::ops::Range<u64>| {
        let answer = server.push(&token, spool.body(numbers)).send().await.unwrap();
        let answer = read(answer, StatusCode::OK).await;
        (answer["accepted"].as_u64().unwrap(), answer["duplicates"].as_u64().unwrap())
    };
    assert_eq!(outcome(1..11).await, (10, 0));
    assert_eq!(outcome(1..11).await, (0, 10));
    assert_eq!(outcome(6..16).await, (5, 5));
    // Many at once, as when replies are lost and a sender is impatient.
    let all = futures::future::join_all((0..20).map(|_| outcome(16..26))).await;
    assert_eq!(all.iter().map(|(accepted, _)| accepted).sum::<u64>(), 10, "{all:?}");
    assert_eq!(count(&server, "repeated").await, json!([25, 25, 10 * 25 * 26 / 2]));
}

#[tokio::test]
async fn a_collector_speaks_for_itself_only() {
    let server = start().await;
    let (own, token) = server.collector("agent").await;
    let (other, _) = server.collector("other").await;
    let spool = Spool::new("spoken", "db1");
    let push =
        |id: &str, first: u64| server.push(&token, spool.body(first..first + 1)).header("X-Collector-ID", id).send();
    read(push(&own, 1).await.unwrap(), StatusCode::OK).await;
    let (code, message) = problem(push(&other, 2).await.unwrap(), StatusCode::FORBIDDEN).await;
    assert_eq!(code, "not_your_collector");
    assert!(message.contains(&own), "{message}");
    let foreign = json!({"collector_id": other, "metrics": []});
    let answer = server.post("metrics/push").bearer_auth(&token).json(&foreign).send().await.unwrap();
    problem(answer, StatusCode::FORBIDDEN).await;
    // A user's token may speak for any collector of the tenant, and then of what that one owns.
    let pusher = server.admin.add_token("admin", "pusher", [Scope::Push]).await.unwrap();
    for (spool, id, accepted) in
        [(&spool, "col_demo_001", 0), (&spool, &*own, 1), (&Spool::new("spoken", "db2"), "col_demo_001", 1)]
    {
        let request = server.push(pusher.expose(), spool.body(3..4)).header("X-Collector-ID", id);
        let answer = pushed(request.send().await.unwrap()).await;
        assert_eq!(answer["accepted"], accepted, "{answer}");
    }
    assert_eq!(count(&server, "spoken").await[0], 3);
}

#[tokio::test]
async fn what_is_no_push_is_told_so() {
    let server = start().await;
    let (_, token) = server.collector("agent").await;
    let push = |kind: &'static str, encoding: &'static str, body: Vec<u8>| {
        let request = server.post("metrics/push").bearer_auth(&token).header("Content-Type", kind);
        request.header("Content-Encoding", encoding).body(body).send()
    };
    for (kind, encoding, body, status, code) in [
        ("text/plain", "identity", vec![], StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
        (CONTENT_TYPE, "br", vec![], StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding"),
        (CONTENT_TYPE, "gzip, gzip", vec![], StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding"),
        (CONTENT_TYPE, "gzip", b"no gzip".to_vec(), StatusCode::BAD_REQUEST, "bad_compression"),
        (CONTENT_TYPE, "zstd", b"no zstd".to_vec(), StatusCode::BAD_REQUEST, "bad_compression"),
        (CONTENT_TYPE, "identity", b"{}".to_vec(), StatusCode::UNPROCESSABLE_ENTITY, "not_a_frame"),
        (CONTENT_TYPE, "identity", vec![], StatusCode::UNPROCESSABLE_ENTITY, "not_a_frame"),
        ("application/json", "identity", b"{".to_vec(), StatusCode::BAD_REQUEST, "bad_json"),
        ("application/json", "identity", b"[1]".to_vec(), StatusCode::UNPROCESSABLE_ENTITY, "bad_document"),
    ] {
        let answer = push(kind, encoding, body.clone()).await.unwrap();
        let (found, message) = problem(answer, status).await;
        assert_eq!(found, code, "{kind} {encoding} {body:?}: {message}");
        assert!(message.len() > 10, "{message}");
    }
}

/// A push of an agent of version 3, one document of each type.
const VERSION_3: &str = include_str!("../../../pganalytics-core/src/json/former/push.json");

#[tokio::test]
async fn agents_of_version_3_are_understood() {
    let server = start().await;
    let admin = server.admin_token().await;
    // They say gzip and send zlib.
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(VERSION_3.as_bytes()).unwrap();
    let zlib = zlib.finish().unwrap();
    let push = || {
        let request = server.post("metrics/push").bearer_auth(&admin).header("Content-Type", "application/json");
        request.header("Content-Encoding", "gzip").body(zlib.clone()).send()
    };
    let answer = read(push().await.unwrap(), StatusCode::OK).await;
    let expected =
        json!({"status": "success", "accepted": 11, "duplicates": 0, "rejected": [], "next_config_version": 0});
    assert_eq!(answer, expected);
    let again = push().await.unwrap();
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(read(again, StatusCode::OK).await, expected);
    for (sql, rows) in [
        ("select relname, n_dead_tup from pg_stat_user_tables order by 1", json!([["noidx", 0], ["plain", 99]])),
        (
            "select database_name, extname from pg_extension where extname <> 'plpgsql'",
            json!([["mon", "pg_stat_statements"]]),
        ),
        (
            "select indexrelname, size from pg_index_size order by 1",
            json!([["plain_pkey", 40960], ["t26_pkey", 16384]]),
        ),
        ("select sum(calls) from pg_stat_statements", json!([[1630]])),
        ("select count(*) from pg_query_text where query like '%pg_stat_user_tables%'", json!([[1]])),
        ("select status, count(*) from v3_pg_stats_indexes group by 1", json!([["UNUSED", 2]])),
        ("select distinct server from sysstat", json!([["db1"]])),
    ] {
        assert_eq!(json!(server.rows(&admin, sql).await), rows, "{sql}");
    }
}

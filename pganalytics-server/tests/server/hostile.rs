//! Pushes and connections that mean harm, or are broken: each is refused with a
//! reason, and nothing else suffers.

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use pganalytics_core::{
    Schema, Seq,
    frame::{encode_push, split_schema},
};
use reqwest::StatusCode;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::fixture::{Running, Spool, now, problem, pushed, read, refused, settings, start, start_with, streamed};

async fn agent() -> (Running, String) {
    let server = start().await;
    let (_, token) = server.collector("agent").await;
    (server, token)
}

/// A push of good frames still works.
async fn still_works(server: &Running, token: &str) {
    let body = Spool::new("after_the_attack", "db1").body(1..4);
    let answer = read(server.push(token, body).send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(answer["accepted"], 3);
}

#[tokio::test]
async fn a_bad_frame_rejects_itself_and_no_neighbour() {
    let (server, token) = agent().await;
    let spool = Spool::new("neighbours", "db1");
    let good = |number: u64| spool.frame_at(number, now());
    let (seq, whole) = good(2);
    let mut flipped = whole.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let frames = [
        good(1),
        (seq, flipped.into()),
        (Seq(3).into(), Bytes::from_static(b"PGAF but not really")),
        (Seq(4).into(), whole.slice(..whole.len() - 5)),
        (Seq(5).into(), Bytes::new()),
        good(6),
    ];
    let answer = server.push(&token, encode_push(spool.stream, &[], &frames)).send().await.unwrap();
    let answer = read(answer, StatusCode::OK).await;
    assert_eq!(answer["accepted"], 2, "{answer}");
    assert_eq!(answer["status"], "partial");
    assert_eq!(refused(&answer).into_iter().map(|(seq, _)| seq).collect::<Vec<_>>(), [2, 3, 4, 5]);
    let stored = |seq: u64| json!({"stream": spool.stream, "first": seq, "last": seq});
    assert_eq!(answer["stored"], json!([stored(1), stored(6)]));
}

#[tokio::test]
async fn a_schema_that_nobody_sent_is_asked_for_and_known_from_then_on() {
    let (server, token) = agent().await;
    let spool = Spool::new("schemas", "db1");
    let bare = |number: u64| {
        let (position, whole) = spool.frame_at(number, now());
        (position, split_schema(&whole).unwrap().0)
    };
    let push = async |schemas: &[Arc<Schema>], numbers: std::ops::Range<u64>| {
        let frames: Vec<_> = numbers.map(bare).collect();
        let answer = server.push(&token, encode_push(spool.stream, schemas, &frames)).send().await.unwrap();
        pushed(answer).await
    };
    let answer = push(&[], 1..3).await;
    // It is not refused for good: the schema can be sent along.
    assert_eq!(
        (&answer["status"], &answer["accepted"], &answer["refused"]),
        (&json!("refused"), &json!(0), &json!([]))
    );
    let unreadable = answer["unreadable"].as_array().unwrap();
    let places: Vec<_> = unreadable.iter().map(|item| (&item["index"], &item["code"])).collect();
    assert_eq!(places, [(&json!(0), &json!("unknown_schema")), (&json!(1), &json!("unknown_schema"))]);
    let answer = push(&[Arc::clone(&spool.schema)], 1..3).await;
    assert_eq!(answer["accepted"], 2, "{answer}");
    let answer = push(&[], 3..5).await;
    assert_eq!(answer["accepted"], 2, "{answer}");
}

#[tokio::test]
async fn clocks_that_are_years_off() {
    let (server, token) = agent().await;
    let year = 365 * 86_400 * 1_000_000_i64;
    let spool = Spool::new("clocks", "db1");
    let frames = [
        spool.frame_at(1, now().plus_micros(-30 * year)),
        spool.frame_at(2, now().plus_micros(2 * year)),
        spool.frame_at(3, now().plus_micros(60_000_000)),
        spool.frame_at(4, now().plus_micros(3_600_000_000)),
    ];
    let answer = server.push(&token, encode_push(spool.stream, &[], &frames)).send().await.unwrap();
    let answer = read(answer, StatusCode::OK).await;
    // The past is taken (and dropped by retention); a minute ahead is a clock as clocks are.
    assert_eq!(answer["accepted"], 2, "{answer}");
    assert_eq!(refused(&answer), [2, 4].map(|seq| (seq, "clock_ahead".to_owned())));
    assert!(answer["refused"][0]["error"].as_str().unwrap().contains("set the clock"), "{answer}");
    let page = server.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("pganalytics_ingest_expired_frames_total 1"), "{page}");
}

#[tokio::test]
async fn too_large_is_refused_before_it_is_read() {
    let (server, token) = agent().await;
    let nine = vec![b' '; 9 << 20];
    let (code, message) =
        problem(server.push(&token, nine.clone()).send().await.unwrap(), StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(code, "body_too_large");
    assert!(message.contains("fewer frames"), "{message}");

    // The same without saying how long it is.
    let pieces: Vec<Bytes> = nine.chunks(1 << 20).map(Bytes::copy_from_slice).collect();
    let body = streamed(futures::stream::iter(pieces));
    // It may be closed on while it still sends: refused all the same.
    if let Ok(answer) = server.push(&token, body).send().await {
        problem(answer, StatusCode::PAYLOAD_TOO_LARGE).await;
    }
    let many: Vec<_> = (1..=1001).map(|number| (Seq(number).into(), Bytes::from_static(b"x"))).collect();
    let spool = Spool::new("many", "db1");
    let answer = server.push(&token, encode_push(spool.stream, &[], &many)).send().await.unwrap();
    problem(answer, StatusCode::PAYLOAD_TOO_LARGE).await;
    still_works(&server, &token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_do_not_go_off() {
    let (server, token) = agent().await;
    let zeros = vec![0_u8; 1 << 20];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let mut zstd = zstd::Encoder::new(Vec::new(), 19).unwrap();
    for _ in 0..200 {
        gzip.write_all(&zeros).unwrap();
        zstd.write_all(&zeros).unwrap();
    }
    let (gzip, zstd) = (gzip.finish().unwrap(), zstd.finish().unwrap());
    for (encoding, body) in [("gzip", gzip), ("zstd", zstd)] {
        assert!(body.len() < 1 << 20, "{encoding}");
        for kind in ["application/vnd.pganalytics.frame", "application/json"] {
            let request = server.post("metrics/push").bearer_auth(&token).header("Content-Type", kind);
            let started = Instant::now();
            let answer = request.header("Content-Encoding", encoding).body(body.clone()).send().await.unwrap();
            assert_eq!(problem(answer, StatusCode::PAYLOAD_TOO_LARGE).await.0, "expands_too_much");
            assert!(started.elapsed() < Duration::from_secs(10), "{encoding}: {:?}", started.elapsed());
        }
    }
    // A window as large as zstd allows asks for memory before the first byte.
    let mut wide = zstd::Encoder::new(Vec::new(), 3).unwrap();
    wide.window_log(27).unwrap();
    wide.write_all(&zeros).unwrap();
    let wide = wide.finish().unwrap();
    let answer = server.push(&token, wide).header("Content-Encoding", "zstd").send().await.unwrap();
    assert!(answer.status().is_client_error());

    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = format!(r#"{{"collector_id":"a","metrics":[{{"type":"t","x":{deep}}}]}}"#);
    let request = server.post("metrics/push").bearer_auth(&token).header("Content-Type", "application/json");
    let answer = request.body(deep).send().await.unwrap();
    assert!(answer.status().is_client_error(), "{}", answer.status());
    still_works(&server, &token).await;
}

#[tokio::test]
async fn who_sends_slowly_is_not_waited_for() {
    let mut quick = settings();
    quick.ingest.body_timeout = Duration::from_millis(300);
    quick.connections.header_timeout = Duration::from_millis(300);
    let server = start_with(quick).await;
    let (_, token) = server.collector("agent").await;

    // A head without an end.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap().unwrap();

    // A body without an end.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /api/v1/metrics/push HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_too_slow"), "{answer}");
    still_works(&server, &token).await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let (server, token) = agent().await;
    let answer = server.get("health").header("X-Large", "x".repeat(40_000)).send().await;
    assert!(answer.is_err() || answer.unwrap().status().is_client_error());
    still_works(&server, &token).await;
}

//! What one collector may take of the server and of its store: senders that
//! mean harm are refused by the name of the limit, and others hear nothing of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use pganalytics_core::{
    Block, Column, ColumnKind, ColumnType, CounterFamily, Epoch, InstanceId, MeasurementName, Position, RowsBuilder,
    Schema, Scrape, ScrapeClock, ScrapeKind, Seq, StreamId, Timestamp, Value,
    frame::{CONTENT_TYPE, encode_block, encode_push},
};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};

use crate::{
    fixture::{REGISTRATION_SECRET, Running, Spool, now, problem, pushed, read, refused, settings, start, start_with},
    process::{Process, program},
};

/// A frame of a few KiB that is large once decoded: as many columns as there may
/// be, all rows alike. It has these scrapes, which share its rows.
fn bomb(rows: usize, scrapes: &[Timestamp]) -> Bytes {
    let columns: Vec<_> =
        (0..512).map(|at| Column::new(&format!("c{at}"), ColumnKind::Gauge, ColumnType::Int)).collect();
    let schema = Schema::new(MeasurementName::new("bomb").unwrap(), CounterFamily::None, columns).unwrap();
    let mut row = RowsBuilder::new(&schema);
    row.push(&vec![Value::Int(7); 512]).unwrap();
    let all = row.finish().take(&vec![0; rows]);
    let scrape = |collected_at: &Timestamp| Scrape {
        collected_at: *collected_at,
        interval_micros: 1_000_000,
        kind: ScrapeKind::Delta,
        epoch: Epoch::default(),
        clock: ScrapeClock::default(),
    };
    let of_row = (0..rows).map(|row| u32::try_from(row * scrapes.len() / rows.max(1)).unwrap()).collect();
    let (schema, source) = (Arc::new(schema), Spool::new("bomb", "bomber").source);
    let block = Block::new(schema, source, scrapes.iter().map(scrape).collect(), of_row, all).unwrap();
    encode_block(&block).unwrap().into()
}

/// A push of these frames, numbered from here on.
fn push_of(first: u64, frames: impl IntoIterator<Item = Bytes>) -> Vec<u8> {
    let frames: Vec<(Position, Bytes)> = (first..).zip(frames).map(|(seq, frame)| (Seq(seq).into(), frame)).collect();
    encode_push(StreamId::random(), &[], &frames)
}

async fn push(server: &Running, token: &str, body: Vec<u8>) -> Json {
    pushed(server.push(token, body).send().await.unwrap()).await
}

#[tokio::test]
async fn a_frame_is_refused_by_its_head_and_its_neighbours_are_taken() {
    let server = start().await;
    let (_, token) = server.collector("agent").await;
    let spool = Spool::new("neighbours", "db1");
    let good = |number: u64| spool.frame_at(number, now()).1;
    let seconds = |seconds: i64| now().plus_micros(seconds * 1_000_000);
    let frames = [
        good(1),
        // 80 MiB once decoded.
        bomb(20_000, &[now()]),
        // From 1970 to now, and a second more than an hour.
        bomb(2, &[Timestamp::from_secs(0), now()]),
        bomb(2, &[seconds(-3602), seconds(-1)]),
        // More scrapes than an hour has seconds.
        bomb(1, &(0..100_000).map(|at| seconds(at / 100 - 1000)).collect::<Vec<_>>()),
        good(2),
        // An hour is good.
        bomb(2, &[seconds(-3590), seconds(-1)]),
    ];
    assert!(frames[1].len() < 20_000, "{}", frames[1].len());
    let answer = push(&server, &token, push_of(1, frames)).await;
    let expected = [(2, "frame_too_large"), (3, "span_too_long"), (4, "span_too_long"), (5, "frame_too_large")];
    let expected: Vec<_> = expected.iter().map(|(seq, code)| (*seq, (*code).to_owned())).collect();
    assert_eq!((refused(&answer), &answer["accepted"]), (expected, &json!(3)), "{answer}");
    let page = server.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("pganalytics_ingest_rejected_frames_total{code=\"span_too_long\"} 2"), "{page}");
}

#[tokio::test]
async fn rows_of_a_scrape_and_bytes_of_a_push_have_an_end() {
    let mut settings = settings();
    settings.ingest.max_rows_per_scrape = 100;
    settings.ingest.max_push_decoded_bytes = 2 << 20;
    let server = start_with(settings).await;
    let (_, token) = server.collector("agent").await;
    let minute = |minute: i64| now().plus_micros(minute * 60_000_000);
    let frames = [bomb(101, &[now()]), bomb(100, &[now()]), bomb(200, &[minute(-2), minute(-1)])];
    let answer = push(&server, &token, push_of(1, frames)).await;
    assert_eq!(refused(&answer), [(1, "too_many_rows".to_owned())], "{answer}");

    // Nothing of it is decoded, and the sender is told to send fewer at once.
    let many = push_of(1, std::iter::repeat_n(bomb(100, &[now()]), 6));
    let (code, message) = problem(server.push(&token, many).send().await.unwrap(), StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(code, "push_too_large");
    assert!(message.contains("fewer frames"), "{message}");
}

#[tokio::test]
async fn json_takes_no_more_memory_than_its_length_allows() {
    let mut settings = settings();
    settings.ingest.max_json_bytes = 1 << 20;
    let server = start_with(settings).await;
    let token = server.admin_token().await;
    let push = |body: String| {
        let request = server.post("metrics/push").bearer_auth(&token).header("Content-Type", "application/json");
        request.body(body).send()
    };
    let rows = |row: &str, count: usize| {
        let rows = vec![row; count].join(",");
        format!(r#"{{"collector_id":"col_1","metrics":[{{"type":"pg_stat_user_tables","rows":[{rows}]}}]}}"#)
    };
    // Each of these few bytes would be a row of all columns.
    let answer = pushed(push(rows("{}", 200_000)).await.unwrap()).await;
    assert_eq!((&answer["accepted"], &answer["rejected"][0]["code"]), (&json!(0), &json!("too_large")), "{answer}");
    let (code, _) = problem(push(rows("{}", 400_000)).await.unwrap(), StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(code, "document_too_large");
    // A document that is long for good reasons is taken.
    let row = r#"{"schemaname":"public","relname":"orders","seq_scan":17,"n_live_tup":1000}"#;
    let answer = read(push(rows(row, 5_000)).await.unwrap(), StatusCode::OK).await;
    assert_eq!(answer["accepted"], 1, "{answer}");
}

#[tokio::test]
async fn a_source_belongs_to_its_collector_until_that_is_revoked_or_hands_over() {
    let server = start().await;
    let admin = server.admin_token().await;
    let ((first, first_token), (second, second_token)) =
        (server.collector("first").await, server.collector("second").await);
    let spool = Spool::new("owned", "db1");
    let mut standby = Spool::new("owned", "db1");
    standby.source.instance_id = InstanceId::of_address(standby.source.server_id, "standby:5432");
    let next = std::cell::Cell::new(0);
    let outcome = async |token: &str, spool: &Spool| {
        next.set(next.get() + 1);
        let answer = push(&server, token, spool.body([next.get()])).await;
        refused(&answer).pop().map_or("ok".to_owned(), |(_, code)| code)
    };
    let anothers = "source_belongs_to_another_collector";
    assert_eq!(outcome(&first_token, &spool).await, "ok");
    assert_eq!(outcome(&second_token, &spool).await, anothers);
    // Agents on the members of a cluster each speak of their own.
    assert_eq!(outcome(&second_token, &standby).await, "ok");

    let id = spool.source.server_id;
    let hand_over = |to: Json| {
        let request = server.post(&format!("servers/{id}/hand-over")).bearer_auth(&admin);
        request.json(&json!({ "collector_id": to })).send()
    };
    assert_eq!(read(hand_over(json!(second)).await.unwrap(), StatusCode::OK).await["instances"], 2);
    assert_eq!(outcome(&second_token, &spool).await, "ok");
    assert_eq!(outcome(&first_token, &spool).await, anothers);
    problem(hand_over(json!("nobody")).await.unwrap(), StatusCode::NOT_FOUND).await;
    let nowhere = server.post(&format!("servers/{}/hand-over", uuid::Uuid::nil())).bearer_auth(&admin);
    problem(nowhere.json(&json!({})).send().await.unwrap(), StatusCode::NOT_FOUND).await;

    // Who is revoked owns nothing any more.
    let revoke = server.post(&format!("collectors/{second}/revoke")).bearer_auth(&admin);
    read(revoke.send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(outcome(&first_token, &spool).await, "ok");
    let (code, _) = problem(hand_over(json!(second)).await.unwrap(), StatusCode::CONFLICT).await;
    assert_eq!(code, "collector_revoked");
    let remove = server.request(reqwest::Method::DELETE, &format!("collectors/{first}")).bearer_auth(&admin);
    assert_eq!(remove.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let (_, third_token) = server.collector("third").await;
    assert_eq!(outcome(&third_token, &spool).await, "ok");
}

/// A server in a process of its own, with collectors.
struct Target {
    process: Process,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Target {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program(folder.path());
        command.env("REGISTRATION_SECRET", REGISTRATION_SECRET);
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        Self { process: Process::start(command).await, http, _folder: folder }
    }

    async fn collector(&self, name: &str) -> String {
        let request = self.http.post(format!("{}/api/v1/collectors/register", self.process.base));
        let request = request.header("X-Registration-Secret", REGISTRATION_SECRET).json(&json!({ "name": name }));
        let answer = read(request.send().await.unwrap(), StatusCode::CREATED).await;
        answer["token"].as_str().unwrap().to_owned()
    }

    fn push(&self, token: &str, kind: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        let request = self.http.post(format!("{}/api/v1/metrics/push", self.process.base)).bearer_auth(token);
        request.header("Content-Type", kind).body(body)
    }

    /// Resident memory now and at its highest, in bytes.
    #[cfg(target_os = "linux")]
    fn resident(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id().unwrap())).unwrap();
        let kib = |label: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(label)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
        };
        (kib("VmRSS:"), kib("VmHWM:"))
    }

    /// An agent as agents are, until it is told to stop: how many of its frames
    /// were stored. None of its pushes may fail.
    async fn good_agent(&self, token: &str, stop: &AtomicBool) -> u64 {
        let spool = Spool::new("good", "good1");
        let mut next = 1;
        while !stop.load(Relaxed) {
            let answer = self.push(token, CONTENT_TYPE, spool.body(next..next + 20)).send().await.unwrap();
            let answer = read(answer, StatusCode::OK).await;
            assert_eq!(answer["accepted"], 20, "{answer}");
            next += 20;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        next - 1
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_of_several_collectors_move_neither_memory_nor_a_real_agent() {
    /// What may be added to the memory of a quiet server: less than the setting
    /// `ingest_memory`.
    const MOST: u64 = 384 << 20;
    let target = Target::start().await;
    let good = target.collector("good").await;
    let mut bad = Vec::new();
    for number in 0..3 {
        bad.push(target.collector(&format!("bad{number}")).await);
    }
    // As large as allowed: 48 MiB a frame, 240 MiB a push, in some KiB.
    let largest = push_of(1, std::iter::repeat_n(bomb(12_000, &[now()]), 5));
    assert!(largest.len() < 100_000, "{}", largest.len());
    let too_large = push_of(1, std::iter::repeat_n(bomb(20_000, &[now()]), 1000));
    let names = "{},".repeat(2_000_000);
    let json = format!(r#"{{"metrics":[{{"type":"pg_stat_user_tables","rows":[{names}{{}}]}}]}}"#);
    let bodies =
        [(CONTENT_TYPE, Bytes::from(largest)), (CONTENT_TYPE, too_large.into()), ("application/json", json.into())];
    // What a server takes once it has worked is no sign of harm.
    let stop = AtomicBool::new(false);
    let warm = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        stop.store(true, Relaxed);
    };
    tokio::join!(target.good_agent(&good, &stop), warm);
    let (quiet, _) = target.resident();

    let stop = AtomicBool::new(false);
    let attack = async {
        let attackers = bad.iter().flat_map(|token| bodies.iter().map(move |(kind, body)| (token, kind, body)));
        let attackers = attackers.flat_map(|attacker| [attacker; 3]).map(|(token, kind, body)| async {
            for _ in 0..12 {
                let answer = target.push(token, kind, body.clone()).send().await.unwrap();
                let status = answer.status().as_u16();
                assert!(matches!(status, 200 | 413 | 422 | 429 | 503), "{status}");
            }
        });
        futures::future::join_all(attackers).await;
        stop.store(true, Relaxed);
    };
    let ((), stored) = tokio::join!(attack, target.good_agent(&good, &stop));
    let (_, highest) = target.resident();
    assert!(stored > 100, "{stored}");
    eprintln!("quiet {} MiB, highest {} MiB, {stored} frames of the real agent", quiet >> 20, highest >> 20);
    assert!(highest < quiet + MOST, "from {} MiB to {} MiB", quiet >> 20, highest >> 20);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_without_end_are_stopped_at_the_quota() {
    /// What may be added to the memory of a quiet server.
    const MOST: u64 = 128 << 20;
    // `HOSTILE_NAMES=1000000` for the long form.
    let names = std::env::var("HOSTILE_NAMES").map_or(40_000, |names| names.parse::<u64>().unwrap());
    let target = Target::start().await;
    let (good, bad) = (target.collector("good").await, target.collector("bad").await);
    let stop = AtomicBool::new(false);
    let attack = async {
        let (mut accepted, mut quiet) = (0, 0);
        for push in 0..names / 1000 {
            let names = (0..1000).map(|name| Spool::new("names", &format!("bad-{push}-{name}")));
            let frames: Vec<_> = names.map(|spool| spool.frame_at(1, now()).1).collect();
            let answer = target.push(&bad, CONTENT_TYPE, push_of(1, frames)).send().await.unwrap();
            let answer = pushed(answer).await;
            accepted += answer["accepted"].as_u64().unwrap();
            let codes = refused(&answer);
            assert!(codes.iter().all(|(_, code)| code == "too_many_sources"), "{codes:?}");
            if push == 9 {
                quiet = target.resident().0;
            }
        }
        stop.store(true, Relaxed);
        (accepted, quiet)
    };
    let ((accepted, quiet), stored) = tokio::join!(attack, target.good_agent(&good, &stop));
    assert_eq!(accepted, 5_000);
    assert!(stored > 100, "{stored}");
    let (_, highest) = target.resident();
    eprintln!("quiet {} MiB, highest {} MiB, {stored} frames of the real agent", quiet >> 20, highest >> 20);
    assert!(highest < quiet + MOST, "from {} MiB to {} MiB", quiet >> 20, highest >> 20);
}

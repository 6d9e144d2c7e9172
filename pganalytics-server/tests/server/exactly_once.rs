//! Both formats of a push store what comes once, say what became of each frame, and find out
//! when two agents send one stream.

use pganalytics_core::{Incarnation, Position, PushReply, PushStatus, Ranges, Seq, Timestamp, frame::encode_push};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value as Json, json};

use crate::fixture::{Running, Spool, now, problem, pushed, read, start};

/// The reply to a push of frames, as agents read it.
async fn reply(request: RequestBuilder) -> PushReply {
    serde_json::from_value(pushed(request.send().await.unwrap()).await).unwrap()
}

fn ranges(text: &[(u64, u64)]) -> Ranges {
    text.iter().map(|(first, last)| Seq(*first)..=Seq(*last)).collect()
}

#[tokio::test]
async fn a_reply_names_every_frame_by_its_number() {
    let server = start().await;
    let (_, token) = server.collector("agent").await;
    let spool = Spool::new("ranges", "db1");
    let push = |numbers: Vec<u64>| reply(server.push(&token, spool.body(numbers)));
    let first = push(vec![1, 2, 3, 9, 12]).await;
    assert_eq!((first.status, first.stored(spool.stream)), (PushStatus::Ok, ranges(&[(1, 3), (9, 9), (12, 12)])));
    // Reordered, repeated, and with the holes filled: the reply before was lost.
    let second = push(vec![12, 10, 4, 3, 9, 11, 10, 5]).await;
    assert_eq!(second.stored(spool.stream), ranges(&[(4, 5), (10, 11)]));
    assert_eq!(second.duplicate(spool.stream), ranges(&[(3, 3), (9, 10), (12, 12)]));
    assert_eq!((second.accepted, second.duplicates), (4, 4));

    let late = spool.frame_at(20, now().plus_micros(7_200_000_000));
    let frames = [spool.frame_at(21, now()), late.clone()];
    let partial = reply(server.push(&token, encode_push(spool.stream, &[], &frames))).await;
    assert_eq!((partial.status, partial.stored(spool.stream)), (PushStatus::Partial, ranges(&[(21, 21)])));
    assert_eq!(partial.refusal(spool.stream, Seq(20)).unwrap().code, "clock_ahead");
    let none = server.push(&token, encode_push(spool.stream, &[], &[late])).send().await.unwrap();
    assert_eq!(none.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(pushed(none).await["status"], "refused");
    let nothing = reply(server.push(&token, encode_push(spool.stream, &[], &[]))).await;
    assert_eq!(nothing.status, PushStatus::Ok);
}

/// A queue of `waiting` jobs, pushed as JSON.
fn document(waiting: u32, timestamp: Option<Timestamp>) -> Json {
    let mut document = json!({"collector_id": "col_1", "metrics": [
        {"type": "app_queue", "queue": "mail", "waiting": waiting},
        {"type": "no good name!", "queue": "x", "waiting": 1},
    ]});
    if let Some(timestamp) = timestamp {
        document["timestamp"] = json!(timestamp.to_string());
    }
    document
}

async fn queue(server: &Running, token: &str) -> Vec<Json> {
    server.rows(token, "select count(*), sum(waiting) from app_queue").await
}

#[tokio::test]
async fn a_document_that_comes_again_is_stored_once_and_answered_as_before() {
    let server = start().await;
    let token = server.admin_token().await;
    let push = async |key: Option<&str>, document: &Json| {
        let request = server.post("metrics/push").bearer_auth(&token).json(document);
        let request = if let Some(key) = key { request.header("Idempotency-Key", key) } else { request };
        let answer = request.send().await.unwrap();
        let replayed = answer.headers().contains_key("idempotency-replayed");
        (pushed(answer).await, replayed)
    };
    let dated = document(1, Some(now()));
    let (first, replayed) = push(None, &dated).await;
    assert_eq!((&first["status"], &first["accepted"], replayed), (&json!("partial"), &json!(1), false));
    // The same again, many at once, as senders do whose answer was lost.
    for (again, replayed) in futures::future::join_all((0..8).map(|_| push(None, &dated))).await {
        assert!(replayed);
        assert_eq!(again, first);
    }
    assert_eq!(queue(&server, &token).await, [json!([1, 1])]);

    // Without a time of its own it is another sample each time, unless it has a name.
    let undated = document(10, None);
    assert!(!push(None, &undated).await.1 && !push(None, &undated).await.1);
    assert!(!push(Some("a"), &undated).await.1 && push(Some("a"), &undated).await.1);
    assert!(!push(Some("b"), &undated).await.1);
    assert_eq!(queue(&server, &token).await, [json!([5, 41])]);

    // One key, two documents.
    let request = server.post("metrics/push").bearer_auth(&token).json(&document(3, None));
    let answer = request.header("Idempotency-Key", "a").send().await.unwrap();
    assert_eq!(problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await.0, "idempotency_key_reused");
    let request = server.post("metrics/push").bearer_auth(&token).json(&document(3, None));
    let answer = request.header("Idempotency-Key", "x".repeat(256)).send().await.unwrap();
    assert_eq!(problem(answer, StatusCode::BAD_REQUEST).await.0, "bad_header");
    // The key is one sender's: another one has its own.
    let (_, other) = server.collector("agent").await;
    let mut own = document(7, None);
    own.as_object_mut().unwrap().remove("collector_id");
    own["hostname"] = json!("db2");
    let request = server.post("metrics/push").bearer_auth(&other).json(&own);
    let answer = request.header("Idempotency-Key", "a").send().await.unwrap();
    assert_eq!(pushed(answer).await["accepted"], 1);
    assert_eq!(queue(&server, &token).await, [json!([6, 48])]);
}

#[tokio::test]
async fn a_document_of_which_nothing_is_taken_is_a_422() {
    let server = start().await;
    let token = server.admin_token().await;
    let bad = json!({"collector_id": "col_1", "metrics": [{"type": "no good name!", "x": 1}, {"type": 7}]});
    let answer = server.post("metrics/push").bearer_auth(&token).json(&bad).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let reply = pushed(answer).await;
    assert_eq!((&reply["status"], &reply["accepted"]), (&json!("refused"), &json!(0)));
    assert_eq!(reply["rejected"].as_array().unwrap().len(), 2);
    assert!(reply["rejected"][1]["message"].as_str().unwrap().len() > 10);
}

#[tokio::test]
async fn a_stream_that_two_agents_send_is_a_fork() {
    let server = start().await;
    let (_, token) = server.collector("agent").await;
    let spool = Spool::new("forks", "db1");
    read(server.push(&token, spool.body(1..100)).send().await.unwrap(), StatusCode::OK).await;
    // A copy of the spool: the same numbers, other samples.
    let copy = Spool { stream: spool.stream, ..Spool::new("forks", "db1") };
    for first in [50, 99] {
        let (code, message) =
            problem(server.push(&token, copy.body(first..120)).send().await.unwrap(), StatusCode::CONFLICT).await;
        assert_eq!(code, "fork");
        assert!(message.contains("begin a new stream") && message.contains(&first.to_string()), "{message}");
    }
    let admin = server.admin_token().await;
    assert_eq!(server.rows(&admin, "select count(*), max(id) from forks").await, [json!([99, 99])]);
    let told = "select stored_frames, missing_frames, forks, fork_reason, last_fork_at > now() - interval '1 minute' \
                from pganalytics_streams";
    assert_eq!(server.rows(&admin, told).await, [json!([99, 0, 2, "other_content", true])]);
    // The original goes on.
    let reply = reply(server.push(&token, spool.body(90..110))).await;
    assert_eq!(reply.stored(spool.stream), ranges(&[(100, 109)]));
    let page = server.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("pganalytics_ingest_forks_total 2"), "{page}");
}

#[tokio::test]
async fn an_opening_of_a_stream_that_has_a_successor_may_not_go_on() {
    let server = start().await;
    let (_, token) = server.collector("agent").await;
    let spool = Spool::new("openings", "db1");
    let push = async |opening: u64, numbers: std::ops::Range<u64>| {
        let at = |number: u64| {
            let (position, frame) = spool.frame_at(number, Timestamp::from_micros(now().as_micros() - 1_000_000));
            (Position { incarnation: Incarnation(opening), ..position }, frame)
        };
        let frames: Vec<_> = numbers.map(at).collect();
        server.push(&token, encode_push(spool.stream, &[], &frames)).send().await.unwrap()
    };
    pushed(push(1, 1..50).await).await;
    // Live frames of the second opening come before the rest of the first one's.
    for (opening, numbers) in [(2, 60..70), (1, 50..60), (2, 70..80)] {
        assert_eq!(pushed(push(opening, numbers).await).await["status"], "ok");
    }
    // The first one goes on; and one that was restored begins within what is known.
    for (opening, numbers) in [(1, 2000..2001), (3, 75..76), (1, 80..81)] {
        let answer = push(opening, numbers.clone()).await;
        assert_eq!(problem(answer, StatusCode::CONFLICT).await.0, "fork", "{opening} {numbers:?}");
    }
    assert_eq!(pushed(push(3, 80..90).await).await["status"], "ok");
}

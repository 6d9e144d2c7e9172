//! `kill -9` at any moment: what was acknowledged is there, once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pganalytics_core::frame::CONTENT_TYPE;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    fixture::{Spool, read},
    process::{Process, program, push_token},
};

const KILLS: usize = 50;
const SENDERS: u64 = 3;
/// Frames of one push.
const GROUP: u64 = 5;

/// A sender as agents are: it tries the same group until it is acknowledged.
async fn send(
    number: u64,
    token: Arc<str>,
    mut base: watch::Receiver<Option<String>>,
    acknowledged: Arc<AtomicU64>,
) -> u64 {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let spool = Spool::new(&format!("survived_{number}"), &format!("db{number}"));
    let mut next = 1;
    let mut body = spool.body(next..next + GROUP);
    loop {
        // Without an address, and the channel closed: the end.
        let Ok(url) = base.wait_for(Option::is_some).await.map(|base| base.clone().unwrap()) else { return next - 1 };
        let request = http.post(format!("{url}/api/v1/metrics/push")).bearer_auth(&token);
        let request = request.header("Content-Type", CONTENT_TYPE).header("X-Collector-ID", format!("sender-{number}"));
        let answer = match request.body(body.clone()).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => answer.json::<Value>().await.ok(),
            Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => None,
            Ok(answer) => panic!("{}: {:?}", answer.status(), answer.text().await),
            // It was killed, or is not there yet.
            Err(_) => None,
        };
        let Some(answer) = answer else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let stored = answer["accepted"].as_u64().unwrap() + answer["duplicates"].as_u64().unwrap();
        assert_eq!(stored, GROUP, "{answer}");
        next += GROUP;
        acknowledged.fetch_add(1, Ordering::Relaxed);
        body = spool.body(next..next + GROUP);
    }
}

/// A sender of JSON: it tries the same document, by its key, until it is
/// acknowledged. The number of documents that were.
async fn send_documents(
    token: Arc<str>,
    mut base: watch::Receiver<Option<String>>,
    acknowledged: Arc<AtomicU64>,
) -> u64 {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let mut number = 1;
    loop {
        let Ok(url) = base.wait_for(Option::is_some).await.map(|base| base.clone().unwrap()) else { return number - 1 };
        let metric = json!({"type": "survived_documents", "id": format!("document {number}"), "calls": number});
        let request = http.post(format!("{url}/api/v1/metrics/push")).bearer_auth(&token);
        let request = request.header("Idempotency-Key", format!("push {number}"));
        let document = json!({"collector_id": "documents", "hostname": "db9", "metrics": [metric]});
        match request.json(&document).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => {
                if let Ok(answer) = answer.json::<Value>().await {
                    assert_eq!(answer["accepted"], 1, "{answer}");
                    number += 1;
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {}
            Ok(answer) => panic!("{}: {:?}", answer.status(), answer.text().await),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_fifty_kills_once() {
    let folder = tempfile::tempdir().unwrap();
    let token: Arc<str> = push_token(folder.path()).await.into();

    let (address, base) = watch::channel(None);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|number| tokio::spawn(send(number, Arc::clone(&token), base.clone(), Arc::clone(&acknowledged))))
        .collect();
    let documents = Arc::new(AtomicU64::new(0));
    let document_sender = tokio::spawn(send_documents(Arc::clone(&token), base.clone(), Arc::clone(&documents)));
    drop(base);
    for round in 0..KILLS {
        let mut process = Process::start(program(folder.path())).await;
        let before = acknowledged.load(Ordering::Relaxed);
        address.send(Some(process.base.clone())).unwrap();
        // Some kills come while the first pushes are under way, some later.
        while acknowledged.load(Ordering::Relaxed) < before + (round as u64 % 4) * SENDERS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros((round as u64 * 7919) % 20_000)).await;
        process.child.start_kill().unwrap();
        process.child.wait().await.unwrap();
        address.send(None).unwrap();
    }

    let process = Process::start(program(folder.path())).await;
    // The last groups get their answer, too; then the senders stop.
    let before = acknowledged.load(Ordering::Relaxed);
    address.send(Some(process.base.clone())).unwrap();
    while acknowledged.load(Ordering::Relaxed) < before + 2 * SENDERS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    address.send(None).unwrap();
    drop(address);
    for (number, sender) in senders.into_iter().enumerate() {
        let last = sender.await.unwrap();
        assert!(last > 0);
        let sql = format!("select id, calls from survived_{number}");
        let request = reqwest::Client::new().post(format!("{}/api/v1/sql", process.base)).bearer_auth(&token);
        let answer = request.json(&json!({"sql": sql})).send().await.unwrap();
        let rows = read(answer, StatusCode::OK).await["rows"].as_array().unwrap().clone();
        let ids: Vec<u64> = rows.iter().map(|row| row[0].as_u64().unwrap()).collect();
        let distinct: BTreeSet<u64> = ids.iter().copied().collect();
        assert_eq!(distinct.len(), ids.len(), "sender {number}: stored twice");
        let missing: Vec<u64> = (1..=last).filter(|id| !distinct.contains(id)).collect();
        assert!(missing.is_empty(), "sender {number}: acknowledged and lost: {missing:?}");
        // A group whose answer was lost may be there whole, never in parts.
        assert_eq!(ids.len() as u64 % GROUP, 0, "sender {number}: half a push");
        assert!(rows.iter().all(|row| row[1].as_u64() == row[0].as_u64().map(|id| id * 10)));
    }
    let last = document_sender.await.unwrap();
    assert!(last > 0);
    let sql = "select count(distinct time), count(distinct id), max(calls) from survived_documents";
    let request = reqwest::Client::new().post(format!("{}/api/v1/sql", process.base)).bearer_auth(&token);
    let answer = read(request.json(&json!({"sql": sql})).send().await.unwrap(), StatusCode::OK).await;
    let row: Vec<u64> = answer["rows"][0].as_array().unwrap().iter().map(|value| value.as_u64().unwrap()).collect();
    // Each push is a scrape of its own. The one behind the last acknowledged may be there, too.
    assert!((last..=last + 1).contains(&row[0]) && row.iter().all(|count| *count == row[0]), "{last}: {row:?}");
    assert_eq!(process.terminate().await.code(), Some(0));
}

//! An agent's spool and sender against a real server.

use std::{fs, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use pganalytics_collect::{
    HttpSink, Outbox,
    delivery::{Backoff, NewFrame, Sender, Spool as AgentSpool, Token},
};
use pganalytics_core::Secret;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Running, Spool, now, start};

/// Delivers until nothing waits.
async fn drain(server: &Running, token: &str, spool: &Arc<AgentSpool>) {
    let url = format!("http://{}", server.address);
    let sink = HttpSink::builder(url).token(Token::Text(Secret::new(token.to_owned()))).build().unwrap();
    let outbox = Arc::clone(spool) as Arc<dyn Outbox>;
    let sender = Sender::new(outbox, Arc::new(sink)).with_backoff(Backoff::new(
        Duration::from_millis(10),
        Duration::from_millis(50),
        true,
    ));
    let stop = CancellationToken::new();
    let sending = tokio::spawn(sender.run(stop.clone(), Duration::ZERO));
    while spool.stats().queued_frames > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    sending.await.unwrap();
}

fn row(frames: &Spool, number: u64) -> Vec<NewFrame> {
    let (_, bytes): (_, Bytes) = frames.frame_at(number, now());
    vec![NewFrame { bytes, series: Some((frames.schema.measurement().clone(), frames.source.clone())) }]
}

async fn stored(server: &Running, admin: &str, measurement: &str) -> (u64, u64) {
    let rows = server.rows(admin, &format!("select count(*), count(distinct id) from {measurement}")).await;
    (rows[0][0].as_u64().unwrap(), rows[0][1].as_u64().unwrap())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[tokio::test]
async fn what_a_full_spool_drops_is_declared_and_the_rest_is_stored_once() {
    let server = start().await;
    let (_, token) = server.collector("agent").await;
    let admin = server.admin_token().await;
    let (folder, frames) = (tempfile::tempdir().unwrap(), Spool::new("outage", "db1"));
    let spool = Arc::new(AgentSpool::open(folder.path(), 20_000).unwrap());
    for number in 1..=150 {
        spool.put(row(&frames, number), None).await;
    }
    let dropped = spool.stats().dropped;
    assert!(dropped > 20, "{dropped}");
    drain(&server, &token, &spool).await;
    let stats = spool.stats();
    // Gaps are frames, and the server takes them.
    assert_eq!((stats.rejected, stats.delivered), (0, stats.produced - stats.dropped), "{stats:?}");
    let (rows, distinct) = stored(&server, &admin, "outage").await;
    assert!(rows == distinct && rows < 150 && rows + dropped >= 150, "{rows} {stats:?}");
}

#[tokio::test]
async fn two_agents_with_one_folder_are_told_apart_and_nothing_is_lost() {
    let server = start().await;
    let (_, token) = server.collector("agent").await;
    let admin = server.admin_token().await;
    let (folder, frames) = (tempfile::tempdir().unwrap(), Spool::new("copied", "db1"));
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    {
        let spool = Arc::new(AgentSpool::open(&one, 1 << 20).unwrap());
        for number in 1..=3 {
            spool.put(row(&frames, number), None).await;
        }
        drain(&server, &token, &spool).await;
    }
    // The image of a machine is started a second time.
    copy(&one, &two);
    let first = Arc::new(AgentSpool::open(&one, 1 << 20).unwrap());
    let second = Arc::new(AgentSpool::open(&two, 1 << 20).unwrap());
    assert_eq!(first.stream(), second.stream());
    for number in 10..=12 {
        first.put(row(&frames, number), None).await;
        second.put(row(&frames, number + 10), None).await;
    }
    drain(&server, &token, &first).await;
    drain(&server, &token, &second).await;
    assert_ne!(first.stream(), second.stream());
    assert_eq!(stored(&server, &admin, "copied").await, (9, 9));
    second.put(row(&frames, 30), None).await;
    drain(&server, &token, &second).await;
    assert_eq!((first.stats().rejected, second.stats().rejected), (0, 0));
    assert_eq!(stored(&server, &admin, "copied").await, (10, 10));
}

//! Stopping in order: what is under way ends, nothing new begins.

use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use tokio::sync::mpsc;

use crate::fixture::{Spool, read, settings, start, start_with, streamed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_under_way_is_taken_in_and_answered() {
    let mut server = start().await;
    let (_, token) = server.collector("agent").await;
    let body = Spool::new("drained", "db1").body(1..50);
    let (first, second) = body.split_at(body.len() / 2);
    let (first, second) = (Bytes::copy_from_slice(first), Bytes::copy_from_slice(second));
    let (pieces, receiver) = mpsc::unbounded_channel::<Bytes>();
    let stream = futures::stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    let push = server.push(&token, streamed(stream)).send();
    let push = tokio::spawn(push);
    pieces.send(first).unwrap();
    // Until the server has begun to read.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.stop();
    tokio::time::sleep(Duration::from_millis(300)).await;
    // A new client: the old one keeps a connection.
    let refused = reqwest::Client::new().get(format!("http://{}/api/v1/health", server.address)).send().await;
    assert!(refused.is_err(), "it took a connection after it was told to stop");
    pieces.send(second).unwrap();
    drop(pieces);
    let answer = read(push.await.unwrap().unwrap(), StatusCode::OK).await;
    assert_eq!(answer["accepted"], 49);
    tokio::time::timeout(Duration::from_secs(5), server.stopped()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_never_ends_does_not_hold_it_up() {
    let mut impatient = settings();
    impatient.drain_timeout = Duration::from_millis(300);
    let mut server = start_with(impatient).await;
    let (_, token) = server.collector("agent").await;
    let push = tokio::spawn(server.push(&token, streamed(futures::stream::pending())).send());
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.stop();
    tokio::time::timeout(Duration::from_secs(5), server.stopped()).await.unwrap();
    push.abort();
}

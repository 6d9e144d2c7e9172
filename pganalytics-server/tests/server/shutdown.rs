//! Stopping in order: what is under way ends, nothing new begins.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use pganalytics_core::{CollectorId, StreamId, TenantId, Timestamp, frame::VerifiedFrame};
use pganalytics_server::Server;
use pganalytics_store::{
    AppendOutcome, Job, JobReport, MetricStore, Origin, Owned, PushKey, SeenSource, StoreError, StoredFork, StoredGap,
    StoredMeasurement, StreamAccount, Unnumbered,
    memory::MemoryStore,
    sql::{EngineOptions, RecordStream, SqlQuery},
    unnumbered::MakeReply,
};
use reqwest::StatusCode;
use tokio::{net::TcpListener, process::Command, sync::mpsc};

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

/// Set in the child of the test below.
const CHILD: &str = "PGANALYTICS_TEST_FAILED_STORE";

/// A store whose writer is dead from the beginning.
struct Dead;

fn dead() -> StoreError {
    StoreError::Unavailable("a bug has stopped its writer".to_owned())
}

#[async_trait::async_trait]
impl MetricStore for Dead {
    async fn append(&self, _: &Origin, _: StreamId, _: Vec<VerifiedFrame>) -> Result<AppendOutcome, StoreError> {
        Err(dead())
    }
    async fn append_unnumbered(
        &self,
        _: &Origin,
        _: Option<PushKey>,
        _: Vec<VerifiedFrame>,
        _: MakeReply,
    ) -> Result<Unnumbered, StoreError> {
        Err(dead())
    }
    async fn query(&self, _: SqlQuery) -> Result<RecordStream, StoreError> {
        Err(dead())
    }
    async fn stream_accounts(&self, _: TenantId) -> Result<Vec<StreamAccount>, StoreError> {
        Err(dead())
    }
    async fn measurements(&self, _: TenantId) -> Result<Vec<StoredMeasurement>, StoreError> {
        Err(dead())
    }
    async fn sources(&self, _: TenantId) -> Result<Vec<SeenSource>, StoreError> {
        Err(dead())
    }
    async fn gaps(&self, _: TenantId) -> Result<Vec<StoredGap>, StoreError> {
        Err(dead())
    }
    async fn forks(&self, _: TenantId) -> Result<Vec<StoredFork>, StoreError> {
        Err(dead())
    }
    async fn hand_over(&self, _: TenantId, _: Owned, _: Option<CollectorId>, _: Timestamp) -> Result<u64, StoreError> {
        Err(dead())
    }
    async fn maintain(&self, _: Job) -> Result<JobReport, StoreError> {
        Err(dead())
    }
    async fn check(&self) -> Result<(), StoreError> {
        Err(dead())
    }
    async fn failed(&self) -> StoreError {
        dead()
    }
}

/// What runs in the child: a program like ours, that serves until `serve` ends.
#[tokio::test]
async fn child_server() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let meta = Arc::new(MemoryStore::new(EngineOptions::default()).unwrap());
    let builder = Server::builder().metric_store(Arc::new(Dead)).meta_store(meta).settings(settings());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let served = builder.build().await.unwrap().serve(listener, std::future::pending()).await;
    if let Err(error) = served {
        eprintln!("child: {error}");
        std::process::exit(1);
    }
}

#[tokio::test]
async fn a_store_that_can_not_go_on_ends_the_process() {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "shutdown::child_server", "--nocapture"]).env(CHILD, "1").kill_on_drop(true);
    let ended =
        tokio::time::timeout(Duration::from_secs(30), child.output()).await.expect("it ends by itself").unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("child: ") && said.contains("a bug has stopped its writer"), "{said}");
}

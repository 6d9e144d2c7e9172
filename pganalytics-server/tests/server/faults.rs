//! The shipped server in trouble: a full disk, requests that are cut, repeated and
//! mixed. What was acknowledged is stored once, and nothing in parts.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use pganalytics_core::{
    Position, PushReply, Ranges, Seq,
    frame::{CONTENT_TYPE, encode_push},
};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

use crate::{
    fixture::{REGISTRATION_SECRET, Spool, problem, pushed, read},
    process::{Process, program},
};

/// A server in a process of its own, an admin and a collector.
struct Target {
    process: Process,
    http: reqwest::Client,
    admin: String,
    agent: String,
}

impl Target {
    async fn start(folder: &Path) -> Self {
        let mut command = program(folder);
        command.env("REGISTRATION_SECRET", REGISTRATION_SECRET);
        let process = Process::start(command).await;
        let http = reqwest::Client::new();
        let admin = process.token(&http).await;
        let request = http.post(format!("{}/api/v1/collectors/register", process.base));
        let request = request.header("X-Registration-Secret", REGISTRATION_SECRET).json(&json!({"name": "agent"}));
        let answer = read(request.send().await.unwrap(), StatusCode::CREATED).await;
        let agent = answer["token"].as_str().unwrap().to_owned();
        Self { process, http, admin, agent }
    }

    fn push(&self, body: Vec<u8>) -> RequestBuilder {
        let request = self.http.post(format!("{}/api/v1/metrics/push", self.process.base)).bearer_auth(&self.agent);
        request.header("Content-Type", CONTENT_TYPE).body(body)
    }

    /// The rows of whole numbers that a query gives.
    async fn ask(&self, sql: &str) -> Vec<Vec<u64>> {
        let request = self.http.post(format!("{}/api/v1/sql", self.process.base)).bearer_auth(&self.admin);
        let answer = read(request.json(&json!({ "sql": sql })).send().await.unwrap(), StatusCode::OK).await;
        let row = |row: &Json| row.as_array().unwrap().iter().map(|value| value.as_u64().unwrap()).collect();
        answer["rows"].as_array().unwrap().iter().map(row).collect()
    }
}

/// A file system of limited size; given back when this is dropped.
pub(crate) struct SmallDisk(pub(crate) PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount one.
    pub(crate) async fn mount(at: PathBuf, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir(&at).unwrap();
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).status().await;
        mounted.is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Rows of a large frame.
pub(crate) const ROWS: u64 = 5_000;

/// A frame of some 40 KiB that do not compress.
pub(crate) fn large(spool: &Spool, number: u64) -> (Position, bytes::Bytes) {
    let mut random = number | 1;
    let rows = (0..ROWS).map(|row| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        [i64::try_from(number * 10_000 + row).unwrap(), (random >> 1).cast_signed()]
    });
    spool.frame_of(number, spool.start.plus_micros(i64::try_from(number).unwrap() * 1000), rows)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_a_503_until_there_is_room_and_no_push_is_there_in_parts() {
    const GROUP: u64 = 4;
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk"), 24).await else {
        eprintln!("NOT TESTED: a server on a full disk; mounting a file system needs root");
        return;
    };
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; 14 << 20]).unwrap();
    let mut target = Target::start(&disk.0.join("data")).await;
    let spool = Spool::new("cramped", "db1");
    let body = |group: u64| {
        let frames: Vec<_> = (group * GROUP + 1..=(group + 1) * GROUP).map(|number| large(&spool, number)).collect();
        encode_push(spool.stream, &[], &frames)
    };
    let mut group = 0;
    let refused = loop {
        let answer = target.push(body(group)).send().await.unwrap();
        if answer.status() != StatusCode::OK {
            break answer;
        }
        assert_eq!(pushed(answer).await["accepted"], GROUP);
        group += 1;
        assert!(group < 1_000, "the disk is never full");
    };
    assert!(group > 0, "some fit");
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(problem(refused, StatusCode::SERVICE_UNAVAILABLE).await.0, "disk_full");
    // It stays so, readers go on, and nothing of what was refused is there.
    for _ in 0..5 {
        problem(target.push(body(group)).send().await.unwrap(), StatusCode::SERVICE_UNAVAILABLE).await;
    }
    let frames = "select id / 10000, count(*), count(distinct id) from cramped group by 1 order by 1";
    let whole = |groups: u64| (1..=groups * GROUP).map(|number| vec![number, ROWS, ROWS]).collect::<Vec<_>>();
    assert_eq!(target.ask(frames).await, whole(group));

    // Killed while it is full, and started again without room.
    target.process.child.start_kill().unwrap();
    target.process.child.wait().await.unwrap();
    std::fs::remove_file(&ballast).unwrap();
    target.process = Process::start(program(&disk.0.join("data"))).await;
    for group in group..group + 3 {
        assert_eq!(pushed(target.push(body(group)).send().await.unwrap()).await["accepted"], GROUP, "group {group}");
    }
    let again = pushed(target.push(body(group)).send().await.unwrap()).await;
    assert_eq!(again["duplicates"], GROUP, "{again}");
    assert_eq!(target.ask(frames).await, whole(group + 3));
    assert_eq!(target.process.terminate().await.code(), Some(0));
}

/// What becomes of a request on its way.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    None,
    /// The connection ends within the body.
    Cut,
    /// The reply is lost.
    ReplyLost,
}

/// Sends a push over a connection of its own; the reply, when it comes back.
async fn send(target: &Target, body: &[u8], trouble: Trouble) -> Option<Json> {
    let address = target.process.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/v1/metrics/push HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: {CONTENT_TYPE}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        target.agent,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let end = if matches!(trouble, Trouble::Cut) { body.len() * 2 / 3 } else { body.len() };
    stream.write_all(&body[..end]).await.unwrap();
    if !matches!(trouble, Trouble::None) {
        // Some die at once, some while the server works or has answered.
        tokio::time::sleep(Duration::from_micros(body.len() as u64 % 3_000)).await;
        return None;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8(answer).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    Some(serde_json::from_str(body).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_cut_repeated_and_mixed_store_each_frame_once() {
    const LAST: u64 = 300;
    const SENDERS: u64 = 6;
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(folder.path()).await;
    let spool = Spool::new("mixed", "db1");
    let sender = async |seed: u64| {
        let mut random = seed;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut acknowledged = Ranges::new();
        for _ in 0..60 {
            let first = 1 + next(LAST - 20);
            let mut numbers: Vec<u64> = (first..first + 1 + next(20)).collect();
            // Reordered, with some twice.
            for at in (1..numbers.len()).rev() {
                numbers.swap(at, usize::try_from(next(at as u64 + 1)).unwrap());
            }
            numbers.push(first);
            let trouble = [Trouble::None, Trouble::Cut, Trouble::ReplyLost][usize::try_from(next(3)).unwrap()];
            let Some(reply) = send(&target, &spool.body(numbers.clone()), trouble).await else { continue };
            let reply: PushReply = serde_json::from_value(reply).unwrap();
            let mut named = reply.stored(spool.stream);
            named.extend(reply.duplicate(spool.stream).iter());
            assert_eq!(named, numbers.into_iter().map(Seq).collect(), "each frame is named");
            acknowledged.extend(named.iter());
        }
        acknowledged
    };
    let mut acknowledged = Ranges::new();
    for held in futures::future::join_all((1..=SENDERS).map(sender)).await {
        acknowledged.extend(held.iter());
    }
    assert!(acknowledged.len() > 100, "{acknowledged}");
    let ids: Vec<u64> = target.ask("select id from mixed order by id").await.concat();
    let stored: Ranges = ids.iter().copied().map(Seq).collect();
    assert_eq!(stored.len(), ids.len() as u64, "stored twice");
    assert!(acknowledged.without(&stored).is_empty(), "acknowledged and lost: {}", acknowledged.without(&stored));
    // Whoever sends all of it again fills the holes, and only those.
    let reply = send(&target, &spool.body(1..=LAST), Trouble::None).await.unwrap();
    let reply: PushReply = serde_json::from_value(reply).unwrap();
    let whole: Ranges = (1..=LAST).map(Seq).collect();
    assert_eq!(reply.stored(spool.stream), whole.without(&stored));
    assert_eq!(target.ask("select id from mixed order by id").await.concat(), (1..=LAST).collect::<Vec<_>>());
    assert_eq!(target.process.terminate().await.code(), Some(0));
}

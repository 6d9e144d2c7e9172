//! An agent's spool and sender against a real server.

use std::{fs, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use pganalytics_collect::{
    Agent, CollectError, Collector, HttpSink, Outbox, Plan,
    clock::{Clock, SystemClock},
    collector::{CollectContext, Collected},
    delivery::{Backoff, NewFrame, Sender, Spool as AgentSpool, Token},
};
use pganalytics_core::{Secret, Timestamp, catalog::Measurement};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use crate::{
    faults::{ROWS, SmallDisk, large},
    fixture::{Running, Spool, eventually, now, start},
};

/// Delivers until nothing waits.
async fn drain(server: &Running, token: &str, spool: &Arc<AgentSpool>) {
    drain_to(&format!("http://{}", server.address), token, spool).await;
}

/// The same by way of another address.
async fn drain_to(url: &str, token: &str, spool: &Arc<AgentSpool>) {
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

/// Puts these numbers in, some at a time: each put waits for others.
async fn put(spool: &AgentSpool, frames: &Spool, numbers: std::ops::RangeInclusive<u64>) {
    for first in numbers.clone().step_by(5) {
        let last = numbers.end().min(&(first + 4)).to_owned();
        spool.put((first..=last).flat_map(|number| row(frames, number)).collect(), None).await;
    }
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
    put(&spool, &frames, 1..=150).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_disk_is_full_goes_on_in_memory_and_every_row_arrives_once() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk"), 8).await else {
        eprintln!("NOT TESTED: an agent on a full disk; mounting a file system needs root");
        return;
    };
    let server = start().await;
    let (_, token) = server.collector("agent").await;
    let admin = server.admin_token().await;
    let frames = Spool::new("cramped_agent", "db1");
    let spool = Arc::new(AgentSpool::open(disk.0.join("spool"), 100 << 20).unwrap());
    put(&spool, &frames, 1..=20).await;
    assert_eq!(spool.stats().fault, None);
    // Another program takes all the room that there is.
    let mut ballast = fs::File::create(disk.0.join("ballast")).unwrap();
    while std::io::Write::write_all(&mut ballast, &[1; 4096]).is_ok() {}
    put(&spool, &frames, 21..=40).await;
    let stats = spool.stats();
    assert!(stats.fault.is_some(), "{stats:?}");
    drain(&server, &token, &spool).await;
    let (rows, distinct) = stored(&server, &admin, "cramped_agent").await;
    let lost = server.rows(&admin, "select coalesce(sum(lost_frames), 0) from pganalytics_streams").await;
    // On a full disk the oldest may be dropped for room; then it is said.
    assert_eq!((rows, rows + lost[0][0].as_u64().unwrap()), (distinct, 40), "{stats:?}");
}

/// A proxy in front of the server that takes bodies of a megabyte, and answers for
/// itself where there is more. Gives its address.
async fn small_proxy(server: std::net::SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(proxied(client, server));
        }
    });
    url
}

/// One request.
async fn proxied(mut client: TcpStream, server: std::net::SocketAddr) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<u64>().ok());
    if length.is_none_or(|length| length > 1 << 20) {
        let answer = "HTTP/1.1 413 Too Large\r\ncontent-length: 19\r\nconnection: close\r\n\r\n<h1>Too large.</h1>";
        client.write_all(answer.as_bytes()).await?;
        // What is still coming must not turn into a reset that swallows the answer.
        tokio::io::copy(&mut client, &mut tokio::io::sink()).await?;
        return Ok(());
    }
    let mut upstream = TcpStream::connect(server).await?;
    head.truncate(head.len() - 2);
    upstream.write_all(&head).await?;
    upstream.write_all(b"connection: close\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_that_takes_a_megabyte_every_row_arrives_once() {
    const FRAMES: u64 = 60;
    let server = start().await;
    let (_, token) = server.collector("agent").await;
    let admin = server.admin_token().await;
    let (folder, frames) = (tempfile::tempdir().unwrap(), Spool::new("behind_proxy", "db1"));
    let spool = Arc::new(AgentSpool::open(folder.path(), 100 << 20).unwrap());
    // Some 40 KiB each: a push of all is larger than the proxy takes.
    let all = (1..=FRAMES).map(|number| {
        let (_, bytes) = large(&frames, number);
        NewFrame { bytes, series: Some((frames.schema.measurement().clone(), frames.source.clone())) }
    });
    spool.put(all.collect(), None).await;
    assert!(spool.stats().queued_bytes > 2 << 20, "{:?}", spool.stats());
    drain_to(&small_proxy(server.address).await, &token, &spool).await;
    let (rows, distinct) = stored(&server, &admin, "behind_proxy").await;
    assert_eq!((rows, distinct), (FRAMES * ROWS, FRAMES * ROWS));
    assert_eq!((spool.stats().rejected, spool.stats().dropped), (0, 0));
}

/// A host's clock that is so many microseconds ahead.
#[derive(Debug)]
struct Off(i64);

impl Clock for Off {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_micros(self.0)
    }
}

/// An agent needs something to collect; what is looked at are its own figures.
struct Nothing;

#[async_trait]
impl Collector for Nothing {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        Vec::new()
    }

    async fn collect(&mut self, _: &CollectContext) -> Result<Collected, CollectError> {
        Ok(Collected::default())
    }
}

#[tokio::test]
async fn an_agent_whose_clock_is_an_hour_off_has_the_servers_time_from_its_first_reply_on() {
    const HOUR: i64 = 3_600_000_000;
    for (name, off, refused) in [("slow", -HOUR, false), ("fast", HOUR, true)] {
        let server = start().await;
        let admin = server.admin_token().await;
        let (_, token) = server.collector(name).await;
        let url = format!("http://{}", server.address);
        let sink = HttpSink::builder(url).token(Token::Text(Secret::new(token))).build().unwrap();
        let mut plan = Plan::default();
        plan.set_interval("agent_stats", Duration::from_secs(1));
        let agent = Agent::builder().name(name).collector(Nothing).clock(Off(off)).plan(plan).sink(sink);
        let agent = agent.build().unwrap().start().unwrap();
        let right = format!(
            "select round(clock_offset), abs(extract(epoch from now() - time)) < 60 from agent_stats \
             where agent = '{name}' and clock_offset is not null and time > now() - interval '1 minute' limit 1"
        );
        let row =
            eventually(name, Duration::from_secs(30), async || server.rows(&admin, &right).await.first().cloned());
        let expected = if off < 0 { 3600.0 } else { -3600.0 };
        let row = row.await;
        assert!((row[0].as_f64().unwrap() - expected).abs() <= 2.0, "{row}");
        assert_eq!(row[1], json!(true));
        // What came before is as the host had it: an hour old, or refused and declared lost.
        let before =
            format!("select count(*) from agent_stats where agent = '{name}' and time < now() - interval '50 minutes'");
        let before = server.rows(&admin, &before).await[0][0].as_u64().unwrap();
        assert_eq!((before > 0, agent.status().outbox.rejected > 0), (!refused, refused), "{name}: {before}");
        agent.stop().await.unwrap();
    }
}

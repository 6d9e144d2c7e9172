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
use tokio_util::sync::CancellationToken;

use crate::fixture::{Running, Spool, eventually, now, start};

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

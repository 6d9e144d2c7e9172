//! One agent, many servers: what is wrong with some costs the others nothing,
//! and each comes back by itself.

use std::{sync::Arc, time::Duration};

use pganalytics_collect::{
    Agent, MemorySink, Plan,
    postgres::{PostgresConfig, PostgresServer},
};
use pganalytics_core::{Batch, Timestamp, Value};
use pganalytics_testkit::{Cluster, versions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::watch::{only, value};

const SECOND: Duration = Duration::from_secs(1);

/// Ticks that are watched before the trouble and in it.
const TICKS: usize = 15;

fn watched(name: &str, url: &str) -> PostgresConfig {
    let mut config = PostgresConfig::from_url(url).unwrap().named(name);
    config.connect_timeout = 5 * SECOND;
    config.statement_timeout = 5 * SECOND;
    config
}

/// Takes connections and never says a word.
async fn silent() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    port
}

/// Hands on what it is told, late.
async fn slow(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            tokio::spawn(hand_on(from_client, to_server));
            tokio::spawn(hand_on(from_server, to_client));
        }
    });
    own
}

async fn hand_on(mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}

/// What an agent has brought so far.
struct Seen(MemorySink);

impl Seen {
    fn of(&self, server: &str, measurement: &str) -> Vec<Batch> {
        self.0.batches_of(measurement).into_iter().filter(|batch| &*batch.source.server == server).collect()
    }

    /// When a server was found up, or down.
    fn times(&self, server: &str, up: bool) -> Vec<Timestamp> {
        let is_it = |batch: &Batch| !batch.rows.is_empty() && value(batch, 0, "up") == Value::Bool(up);
        self.of(server, "pg_up").into_iter().filter(is_it).map(|batch| batch.scrape.collected_at).collect()
    }

    async fn until(&self, what: &str, satisfied: impl Fn(&Self) -> bool) {
        let wait = async {
            while !satisfied(self) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(180 * SECOND, wait).await.is_err() {
            let last: Vec<_> = self.0.batches_of("pg_up").into_iter().rev().take(20).collect();
            panic!("never {what}: {last:#?}");
        }
    }

    /// Waits for so many ticks of each of these and says how many were missed
    /// among them: the longest row of one of them.
    async fn missed_in_next(&self, servers: &[&str], ticks: usize) -> i64 {
        let counts: Vec<_> = servers.iter().map(|server| self.of(server, "pg_up").len()).collect();
        let enough = |seen: &Self| {
            servers.iter().zip(&counts).all(|(server, before)| seen.of(server, "pg_up").len() >= before + ticks)
        };
        self.until("so many ticks", enough).await;
        let missed = |(server, before): (&&str, &usize)| {
            let times: Vec<_> = self.of(server, "pg_up").iter().map(|batch| batch.scrape.collected_at).collect();
            let window = &times[before - 1..];
            let micros = window.last().unwrap().micros_since(window[0]);
            // Rounded: a visit on a busy machine is a little late.
            (micros + 500_000) / 1_000_000 - i64::try_from(window.len() - 1).unwrap()
        };
        servers.iter().zip(&counts).map(missed).max().unwrap()
    }

    /// Whether the agent ever said that it left out a tick there.
    fn skipped(&self, server: &str) -> bool {
        self.of(server, "agent_scrape")
            .iter()
            .any(|batch| (0..batch.rows.len()).any(|row| value(batch, row, "status") == Value::Text("skipped")))
    }

    fn up_since(&self, server: &str, since: Timestamp) -> bool {
        self.times(server, true).iter().any(|time| *time > since)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn trouble_with_some_servers_costs_the_others_no_tick_and_each_comes_back() {
    let (Some(oldest), Some(newest)) = (versions().first().copied(), versions().last().copied()) else { return };
    let start = |version| async move { Arc::new(Cluster::builder(version).start().await.unwrap()) };
    let (healthy, primary, hung, restarted, upgraded) =
        tokio::join!(start(newest), start(newest), start(newest), start(newest), start(oldest));
    let promoted = primary.replica().await.unwrap();
    let (silent, slow) = (silent().await, slow(healthy.port()).await);

    let mut agent = Agent::builder().sink(MemorySink::new());
    let wanted = only(&["pg_up", "pg_server", "pg_event", "pg_stat_activity", "pg_wait_sampling", "agent_sampling"]);
    let url = |cluster: &Cluster| cluster.monitor_url("postgres");
    let at = |port: u16| format!("postgres://monitor:{}@127.0.0.1:{port}/postgres", healthy.password());
    let servers = [
        ("healthy", url(&healthy)),
        ("primary", url(&primary)),
        ("hung", url(&hung)),
        ("restarted", url(&restarted)),
        ("upgraded", url(&upgraded)),
        ("promoted", url(&promoted)),
        ("silent", at(silent)),
        ("slow", at(slow)),
    ];
    for (name, url) in &servers {
        agent = agent.server(PostgresServer::new(watched(name, url), wanted.clone()));
    }
    let sink = MemorySink::new();
    let mut plan = Plan::default();
    wanted.iter().for_each(|measurement| plan.set_interval(measurement.name().as_str(), SECOND));
    let agent = agent.plan(plan).push_interval(Duration::from_millis(100)).sink(sink.clone()).build().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    let seen = Seen(sink);

    // All but the silent one are there, and keep their rhythm.
    for (name, _) in servers.iter().filter(|(name, _)| *name != "silent") {
        seen.until(name, |seen| !seen.times(name, true).is_empty()).await;
    }
    let before = seen.missed_in_next(&["healthy", "primary"], TICKS).await;

    // Trouble.
    let frozen = hung.freeze().unwrap();
    restarted.stop().await.unwrap();
    upgraded.stop().await.unwrap();
    promoted.sql("postgres", "select pg_promote()").await.unwrap();
    let during = seen.missed_in_next(&["healthy", "primary"], TICKS).await;
    seen.until("known to be hung", |seen| !seen.times("hung", false).is_empty()).await;
    seen.until("known to be stopped", |seen| !seen.times("restarted", false).is_empty()).await;
    seen.until("known to be silent", |seen| !seen.times("silent", false).is_empty()).await;
    let slow_ticks = seen.times("slow", true).len();
    seen.until("slow, but there", |seen| seen.times("slow", true).len() > slow_ticks).await;
    // Ticks that the hung ones hold up are ten in a row; a busy machine may cost a few.
    assert!(during <= before + 4, "{during} ticks missed while others were in trouble, {before} before");
    for server in ["healthy", "primary"] {
        assert!(!seen.skipped(server), "{server}");
        assert!(seen.times(server, false).is_empty(), "{server}");
        let samples = seen.of(server, "agent_sampling");
        let last = samples.iter().rfind(|batch| !batch.rows.is_empty()).unwrap();
        assert_eq!(value(last, 0, "failures"), Value::Int(0), "{server}");
        let Value::Int(count) = value(last, 0, "samples") else { panic!() };
        assert!(count >= i64::try_from(TICKS).unwrap(), "{server}: {count} samples in more than {} s", 2 * TICKS);
    }

    // The end of it.
    let now = seen.times("healthy", true).last().copied().unwrap();
    drop(frozen);
    restarted.start_again().await.unwrap();
    let successor = Cluster::builder(newest).in_place_of(&upgraded).start().await.unwrap();
    for server in ["hung", "restarted", "upgraded", "promoted"] {
        seen.until(server, |seen| seen.up_since(server, now)).await;
    }
    let events = |seen: &Seen, server: &str, kind: &str| {
        let batches = seen.of(server, "pg_event");
        batches.iter().any(|batch| (0..batch.rows.len()).any(|row| value(batch, row, "kind") == Value::Text(kind)))
    };
    seen.until("a role event", |seen| events(seen, "promoted", "role")).await;
    // The server of the new version is another one, and its samples are its own.
    let version = i64::from(successor.version());
    let is_new = |batch: &Batch| match value(batch, 0, "server_version_num") {
        Value::Int(number) => number / 10_000 == version,
        other => panic!("{other:?}"),
    };
    let with_rows = |seen: &Seen, name: &str| {
        let batches = seen.of("upgraded", name).into_iter();
        batches.filter(|batch| !batch.rows.is_empty()).collect::<Vec<_>>()
    };
    seen.until("upgraded", |seen| with_rows(seen, "pg_server").iter().any(is_new)).await;
    let servers = with_rows(&seen, "pg_server");
    let (old, new) = (&servers[0].source, &servers.iter().find(|batch| is_new(batch)).unwrap().source);
    if oldest != newest {
        assert!(!is_new(&servers[0]));
    }
    assert_ne!(old.server_id, new.server_id);
    let sampled = |seen: &Seen| with_rows(seen, "agent_sampling").iter().any(|b| b.source.server_id == new.server_id);
    seen.until("samples of the new one", sampled).await;

    stop.cancel();
    let summary = timeout(60 * SECOND, running).await.expect("the agent stops").unwrap().unwrap();
    assert_eq!((summary.outbox.dropped, summary.outbox.rejected), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_stops_at_once_while_servers_hang() {
    let port = silent().await;
    let mut config = watched("silent", &format!("postgres://monitor@127.0.0.1:{port}/postgres"));
    config.connect_timeout = 3600 * SECOND;
    let server = PostgresServer::new(config, only(&["pg_up", "pg_wait_sampling", "pg_stat_user_tables"]));
    let agent = Agent::builder().server(server).sink(MemorySink::new()).build().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    sleep(2 * SECOND).await;
    stop.cancel();
    timeout(60 * SECOND, running).await.expect("the agent stops").unwrap().unwrap();
}

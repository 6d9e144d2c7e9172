//! `kill -9` of agent and server in turns: each number that the agent counted is
//! stored once, or its loss is declared to the frame. `audit` is clean after each kill.
//!
//! `PGANALYTICS_KILLS=500` kills each of the two as often.

use std::{collections::BTreeSet, env, io::Write as _, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use pganalytics_collect::{
    Agent, CollectError, Collector, HttpSink, Outbox, Plan,
    collector::{CollectContext, Collected},
    delivery::{Backoff, Sender, Spool, Token},
    scrape::full_scrape,
};
use pganalytics_core::{InstanceId, Secret, ServerId, Source, Value, catalog::Measurement};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    fixture::read,
    process::{Process, program, push_token, run},
};

/// Settings of the child that is killed; without them it is none.
const CHILD: &str = "PGANALYTICS_TEST_COUNTING_CHILD";
/// Kills of each program in a normal test run.
const KILLS: u64 = 12;
/// Numbers of one visit, and so of one frame.
const VISIT: i64 = 10;

/// Collectors of the agent.
const COLLECTORS: i64 = 8;
/// Numbers of each begin at a multiple of this.
const APART: i64 = 1_000_000_000;

/// Counts: each visit brings the next numbers, and remembers how far it came.
struct Counting {
    name: String,
    measurement: Arc<Measurement>,
    source: Source,
    next: i64,
}

impl Counting {
    fn new(number: i64) -> Self {
        let text = "name = \"counted\"\nscope = \"agent\"\ninterval = \"1s\"\npresence = \"append\"\n\
                    [[column]]\nname = \"number\"\nkind = \"key\"\ntype = \"int\"\n";
        let name = format!("counting {number}");
        let server_id = ServerId::of_host(&name);
        let source = Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, &name),
            server: name.as_str().into(),
            database: None,
        };
        Self { measurement: Arc::new(Measurement::parse(text, "counted").unwrap()), source, next: number * APART, name }
    }
}

#[async_trait]
impl Collector for Counting {
    fn name(&self) -> &str {
        &self.name
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        vec![Arc::clone(&self.measurement)]
    }

    fn resume(&mut self, state: Option<&[u8]>) {
        if let Some(state) = state {
            self.next = i64::from_le_bytes(state.try_into().unwrap());
        }
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let numbers: Vec<i64> = (self.next..self.next + VISIT).collect();
        let batch = full_scrape(&self.measurement, self.source.clone(), cx.now, &numbers, |number, _| {
            Some(Value::Int(*number))
        })?;
        self.next += VISIT;
        let state = Some(Bytes::copy_from_slice(&self.next.to_le_bytes()));
        Ok(Collected { batches: vec![batch], state, ..Collected::default() })
    }
}

/// What runs in the child: an agent that counts as fast as it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_counts() {
    let Ok(settings) = env::var(CHILD) else { return };
    let settings: Json = serde_json::from_str(&settings).unwrap();
    let text = |name: &str| settings[name].as_str().unwrap().to_owned();
    let mut plan = Plan::default();
    plan.set_interval("counted", Duration::from_millis(5));
    let quota = usize::try_from(settings["quota"].as_u64().unwrap()).unwrap();
    let agent = Agent::builder()
        .plan(plan)
        .own_figures(false)
        .push_interval(Duration::from_millis(5))
        .backoff(Backoff::new(Duration::from_millis(5), Duration::from_millis(100), true))
        .collectors((0..COLLECTORS).map(|number| Box::new(Counting::new(number)) as Box<dyn Collector>))
        .outbox(Spool::open(text("spool"), quota).unwrap())
        .sink(HttpSink::builder(text("url")).token(Token::Text(Secret::new(text("token")))).build().unwrap());
    agent.build().unwrap().run(CancellationToken::new()).await.unwrap();
}

/// A server, and the folders of both.
struct World {
    folder: tempfile::TempDir,
    port: u16,
    token: String,
    quota: u64,
    random: u64,
}

impl World {
    async fn new(quota: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("server");
        let token = push_token(&data).await;
        // The agent knows one address, so the server keeps its port.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, port, token, quota, random: 88_172_645_463_325_252 }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("server")
    }

    fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn program(&self) -> Command {
        let mut command = program(&self.data());
        command.env("PORT", self.port.to_string());
        command
    }

    async fn server(&self) -> Process {
        Process::start(self.program()).await
    }

    fn agent(&self) -> Child {
        let settings = json!({"spool": self.spool(), "url": self.url(), "token": self.token, "quota": self.quota});
        Command::new(env::current_exe().unwrap())
            .args(["kills::child_that_counts", "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, settings.to_string())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn some_millis(&mut self, most: u64) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        sleep(Duration::from_micros(self.random % (most * 1000))).await;
    }

    async fn ask(&self, sql: &str) -> Vec<Json> {
        let request = reqwest::Client::new().post(format!("{}/api/v1/sql", self.url())).bearer_auth(&self.token);
        let answer = request.json(&json!({"sql": sql})).send().await.unwrap();
        read(answer, StatusCode::OK).await["rows"].as_array().unwrap().clone()
    }

    /// What the command says, and whether all is accounted for.
    async fn audit(&self) -> (bool, Json) {
        let output = run(self.program().args(["audit", "--json"])).await;
        let report = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.success(), report)
    }

    /// Whatever the agent has sent first, and however late what is older comes: in the end nothing
    /// is missing between the numbers that the server knows.
    async fn audit_becomes_clean(&self, after: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (clean, report) = self.audit().await;
            if clean {
                return;
            }
            assert!(Instant::now() < deadline, "after the kill of the {after}: {report}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops the agent when nothing waits in its spool; all numbers that it counted.
    async fn drain(&self, mut agent: Child) -> BTreeSet<i64> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            agent.kill().await.unwrap();
            {
                let spool = Spool::open(self.spool(), usize::try_from(self.quota).unwrap()).unwrap();
                let mut counted = BTreeSet::new();
                for number in 0..COLLECTORS {
                    let state = spool.state(&format!("counting {number}")).await;
                    let next = state.map_or(number * APART, |state| i64::from_le_bytes(state[..].try_into().unwrap()));
                    counted.extend(number * APART..next);
                }
                if spool.stats().queued_frames == 0 {
                    return counted;
                }
                deliver(&Arc::new(spool), &self.url(), &self.token).await;
            }
            assert!(Instant::now() < deadline, "the spool does not run dry");
        }
    }
}

/// Delivers what waits.
async fn deliver(spool: &Arc<Spool>, url: &str, token: &str) {
    let sink = HttpSink::builder(url).token(Token::Text(Secret::new(token.to_owned()))).build().unwrap();
    let outbox = Arc::clone(spool) as Arc<dyn Outbox>;
    let stop = CancellationToken::new();
    let sending = tokio::spawn(Sender::new(outbox, Arc::new(sink)).run(stop.clone(), Duration::from_secs(30)));
    let deadline = Instant::now() + Duration::from_secs(60);
    while spool.stats().queued_frames > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    sending.await.unwrap();
}

fn kills() -> u64 {
    env::var("PGANALYTICS_KILLS").ok().map_or(KILLS, |kills| kills.parse().unwrap())
}

/// The numbers that are stored; each must be there once.
async fn stored(world: &World) -> BTreeSet<i64> {
    let mut found = BTreeSet::new();
    loop {
        let after = found.last().copied().unwrap_or(-1);
        let sql = format!("select number from counted where number > {after} order by number limit 5000");
        let rows = world.ask(&sql).await;
        for row in &rows {
            assert!(found.insert(row[0].as_i64().unwrap()), "stored twice: {row}");
        }
        if rows.len() < 5000 {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_and_server_are_killed_in_turns_and_every_number_is_there_once() {
    let mut world = World::new(100 << 20).await;
    let (mut server, mut agent) = (world.server().await, world.agent());
    let begun = Instant::now();
    for round in 0..kills() {
        world.some_millis(400).await;
        server.child.start_kill().unwrap();
        server.child.wait().await.unwrap();
        if round % 3 == 0 {
            // Some visits are made while nobody takes them.
            world.some_millis(200).await;
        }
        server = world.server().await;
        world.audit_becomes_clean("server").await;
        // An agent makes its first visit within a second.
        world.some_millis(1600).await;
        agent.kill().await.unwrap();
        agent = world.agent();
        world.audit_becomes_clean("agent").await;
    }
    sleep(Duration::from_millis(1500)).await;
    let counted = world.drain(agent).await;
    assert!(!counted.is_empty());
    let found = stored(&world).await;
    writeln!(std::io::stdout(), "{} kills each, {} numbers, {:?}", kills(), counted.len(), begun.elapsed()).unwrap();
    assert_eq!(found.difference(&counted).next(), None, "stored, and not counted");
    let missing: Vec<&i64> = counted.difference(&found).collect();
    assert!(missing.is_empty(), "lost of {}: {missing:?}", counted.len());
    let (clean, report) = world.audit().await;
    assert!(clean && frames_of(&report["streams"][0]["lost"]) == 0, "{report}");
    assert_eq!(server.terminate().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_small_spool_drops_between_kills_is_declared_to_the_frame() {
    let mut world = World::new(20_000).await;
    let mut agent = world.agent();
    for _ in 0..kills() / 2 {
        // Nobody takes anything: the spool fills, drops, and is killed.
        world.some_millis(3000).await;
        agent.kill().await.unwrap();
        agent = world.agent();
    }
    let mut server = world.server().await;
    for _ in 0..kills() / 4 {
        world.some_millis(300).await;
        server.child.start_kill().unwrap();
        server.child.wait().await.unwrap();
        world.some_millis(500).await;
        server = world.server().await;
        world.audit_becomes_clean("server").await;
    }
    sleep(Duration::from_millis(1500)).await;
    let counted = world.drain(agent).await;
    let found = stored(&world).await;
    let (clean, report) = world.audit().await;
    assert!(clean, "{report}");
    let lost: u64 = report["streams"].as_array().unwrap().iter().map(|stream| frames_of(&stream["lost"])).sum();
    assert_eq!(found.difference(&counted).next(), None, "stored, and not counted");
    let (counted, missing) = (counted.len(), counted.difference(&found).count() as u64);
    writeln!(std::io::stdout(), "{counted} numbers, {missing} of them lost in {lost} frames").unwrap();
    assert!(lost > 0, "nothing was dropped: {report}");
    // Gaps are frames too, and may be dropped for a larger one.
    assert!(missing <= lost * VISIT as u64, "{missing} numbers are missing, {lost} frames declared");
    let sql = "select count(*), count(distinct reason) from pganalytics_gaps";
    assert!(world.ask(sql).await[0][0].as_i64().unwrap() > 0);
    assert_eq!(server.terminate().await.code(), Some(0));
}

/// Frames of ranges as `[[1, 9], [12, 12]]`.
fn frames_of(ranges: &Json) -> u64 {
    let ends = |range: &Json| (range[0].as_u64().unwrap(), range[1].as_u64().unwrap());
    ranges.as_array().unwrap().iter().map(ends).map(|(first, last)| last - first + 1).sum()
}

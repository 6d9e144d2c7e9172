//! An agent that reads a log is killed, again and again: each line arrives once.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pganalytics_collect::{
    Agent, Delivery, FrameGroup, Plan, Sink, SinkError, Spool, logs::MEASUREMENTS, postgres::PostgresServer,
};
use pganalytics_core::frame::{Frame, Limits};
use tokio_util::sync::CancellationToken;

use crate::{
    server_log::{collecting, each_once, log_numbers, newest, numbers_in},
    watch::{config, only},
};

/// Settings of the child that is killed; without them it is none.
const CHILD: &str = "PGANALYTICS_TEST_LOG_CHILD";

/// Takes frames as a server does: to the disk, each number of a stream once.
struct FolderSink(PathBuf);

#[async_trait]
impl Sink for FolderSink {
    async fn deliver(&self, group: FrameGroup) -> Result<Delivery, SinkError> {
        for (place, frame) in &group.frames {
            let path = self.0.join(format!("{}-{:020}", group.stream, place.seq.0));
            let new = path.with_extension("new");
            fs::write(&new, frame).unwrap();
            if let Ok(known) = fs::read(&path) {
                assert!(known == frame.as_ref(), "{} is another frame now", path.display());
            }
            fs::rename(new, path).unwrap();
        }
        Ok(Delivery::all(&group))
    }
}

/// What runs in the child: an agent that reads the log as fast as it can.
#[tokio::test(flavor = "multi_thread")]
async fn child_agent() {
    let Ok(settings) = env::var(CHILD) else { return };
    let mut settings = settings.lines();
    let (url, folder) = (settings.next().unwrap(), PathBuf::from(settings.next().unwrap()));
    let mut config = config(url);
    config.log.from_start = true;
    config.log.redaction = pganalytics_collect::logs::Redaction::None;
    let mut plan = Plan::default();
    for name in MEASUREMENTS {
        plan.set_interval(name, Duration::from_millis(20));
    }
    let agent = Agent::builder()
        .plan(plan)
        .own_figures(false)
        .push_interval(Duration::from_millis(5))
        .server(PostgresServer::new(config, only(MEASUREMENTS)))
        .outbox(Spool::open(folder.join("spool"), 100 << 20).unwrap())
        .sink(FolderSink(folder.join("sink")))
        .build()
        .unwrap();
    agent.run(CancellationToken::new()).await.unwrap();
}

fn stored(folder: &Path) -> BTreeMap<u32, u32> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder.join("sink")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() == Some(&OsString::from("new")) {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let batch = Frame::parse(bytes.into(), &Limits::default()).unwrap().to_batch().unwrap();
        if batch.schema.measurement().as_str() == "pg_log" {
            numbers_in(std::iter::once(&batch), &mut found);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_again_and_again_brings_each_line_once() {
    let Some(version) = newest() else { return };
    let settings = [("log_filename", "pg-%H%M%S.log"), ("log_rotation_size", "256kB"), ("log_destination", "stderr")];
    let cluster = collecting(version, &settings).await;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sink")).unwrap();
    let start = || {
        Command::new(env::current_exe().unwrap())
            .args(["log_kills::child_agent", "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, format!("{}\n{}", cluster.monitor_url("postgres"), folder.path().display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let begun = Instant::now();
    let (mut next, mut kills, mut random) = (0_u32, 0, 88_172_645_463_325_252_u64);
    while kills < 25 && begun.elapsed() < Duration::from_secs(60) {
        let mut child = start();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let until = Instant::now() + Duration::from_millis(200 + random % 900);
        while Instant::now() < until {
            log_numbers(&cluster, next..next + 20).await;
            next += 20;
        }
        let early = child.try_wait().unwrap();
        assert!(early.is_none(), "the agent ended by itself: {early:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    let mut child = start();
    let deadline = Instant::now() + Duration::from_secs(180);
    let mut found = BTreeMap::new();
    while found.len() < next as usize && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(500)).await;
        found = stored(folder.path());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    writeln!(std::io::stdout(), "{kills} kills, {next} entries, {:?}", begun.elapsed()).unwrap();
    each_once(&stored(folder.path()), next);
    assert!(kills >= 5, "only {kills} kills");
}

//! What one agent costs that watches fifty servers every ten seconds.
//!
//! ```sh
//! cargo build --release -p pganalytics-collect --bin pganalytics-agent
//! cargo run --release -p pganalytics-collect --example fifty_servers -- [servers] [seconds]
//! ```
//!
//! Starts so many small clusters (50), lets the agent's program watch them with
//! everything that is on by default, each measurement of 60 s every 10 s, sampling
//! every second, and prints its CPU time and memory over so many seconds (120)
//! after a warm-up. Fails when a limit is broken. Wants some 3 GiB of memory and a
//! machine that has nothing else to do.

use std::{
    fmt::Write as _,
    process::ExitCode,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::Context;
use pganalytics_testkit::{Cluster, versions};
use tokio::task::JoinSet;

mod agent_process;
use agent_process::{AgentProcess, Receiver, argument};

/// The promises.
const MOST_LOAD: f64 = 0.05;
const MOST_KIB: u64 = 150 * 1024;

const WARM_UP: Duration = Duration::from_secs(30);
/// Clusters that are made at the same time.
const AT_ONCE: usize = 3;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    let (servers, seconds) = (argument(1, 50)?, argument(2, 120)?);
    let version = versions().last().copied().context("no PostgreSQL is installed; see pganalytics-testkit")?;
    let began = Instant::now();
    let clusters = start(version, servers).await?;
    println!("{servers} clusters of PostgreSQL {version}, started in {:.0} s", began.elapsed().as_secs_f64());

    let receiver = Receiver::start().await?;
    let folder = tempfile::tempdir()?;
    let mut settings = format!(
        "[collector]\nname = \"fifty\"\ninterval = 10\n[backend]\nurl = \"{}\"\ntoken = \"none\"\n",
        receiver.url
    );
    for (number, cluster) in clusters.iter().enumerate() {
        write!(
            settings,
            "[[postgres]]\nname = \"server{number}\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"monitor\"\n\
             password = \"{}\"\ndatabase = \"postgres\"\nsslmode = \"disable\"\n",
            cluster.port(),
            cluster.password()
        )?;
    }
    let agent = AgentProcess::start(folder.path(), &settings)?;
    receiver.until_first().await;
    tokio::time::sleep(WARM_UP).await;

    let (began, before) = (Instant::now(), agent.cpu()?);
    let (frames, bytes) = (receiver.frames.load(Ordering::Relaxed), receiver.bytes.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let load = (agent.cpu()? - before) / began.elapsed().as_secs_f64();
    let (held, most) = agent.memory()?;
    let frames = receiver.frames.load(Ordering::Relaxed) - frames;
    let bytes = receiver.bytes.load(Ordering::Relaxed) - bytes;
    println!("sent: {frames} frames, {bytes} bytes in {seconds} s");
    println!("CPU: {:.2} % of a core (limit {:.0} %)", load * 100.0, MOST_LOAD * 100.0);
    println!("memory: {} MiB, {} MiB at most (limit {})", held / 1024, most / 1024, MOST_KIB / 1024);
    let log = std::fs::read_to_string(folder.path().join("agent.log"))?;
    if !log.is_empty() {
        println!("the agent said:\n{}", log.lines().take(20).collect::<Vec<_>>().join("\n"));
    }
    Ok(if load < MOST_LOAD && most < MOST_KIB { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn start(version: u16, servers: u64) -> anyhow::Result<Vec<Cluster>> {
    let mut clusters = Vec::new();
    let mut starting = JoinSet::new();
    for _ in 0..servers {
        if starting.len() == AT_ONCE {
            clusters.extend(starting.join_next().await.transpose()?.transpose()?);
        }
        let builder = Cluster::builder(version)
            .with_statements()
            .setting("shared_buffers", "4MB")
            .setting("max_connections", "20")
            .setting("max_wal_size", "64MB")
            .setting("min_wal_size", "32MB")
            .setting("pg_stat_statements.max", "1000");
        starting.spawn(builder.start());
    }
    while let Some(started) = starting.join_next().await {
        clusters.push(started??);
    }
    Ok(clusters)
}

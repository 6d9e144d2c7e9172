//! How much throughput a server loses because it is watched.
//!
//! ```sh
//! cargo build --release -p pganalytics-collect --bin pganalytics-agent
//! cargo run --release -p pganalytics-collect --example watched_throughput -- [pairs] [seconds] [clients]
//! ```
//!
//! One run of `pgbench` (prepared statements, everything in memory, no fsync: as
//! much work for the processor as can be) is cut into windows of so many seconds
//! (5). In one window of each of so many pairs (100) the agent is stopped (SIGSTOP),
//! in the other it runs with everything on at its default intervals; every second
//! pair is the other way round. What was due while it was stopped it does when it
//! goes on, so the figure is too high rather than too low. Windows are short
//! because throughput of one machine drifts by more in a minute than what is looked
//! for. Prints mean, its standard error, and the spread of what the pairs lost; and,
//! as a figure without noise, the processor time of the agent and of its sessions.
//! `PGBENCH` names the program where it is not on the path or where Debian puts it.

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use pganalytics_testkit::{Cluster, versions};
use rustix::process::{Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

mod agent_process;
use agent_process::{AgentProcess, Receiver, argument};

/// The promise.
const MOST_LOST: f64 = 0.01;

/// The agent's first visit asks for everything at once; it is over by then.
const WARM_UP: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    let (pairs, seconds, clients) = (argument(1, 100)?, argument(2, 5)?, argument(3, 4)?);
    let version = versions().last().copied().context("no PostgreSQL is installed; see pganalytics-testkit")?;
    let cluster = Cluster::builder(version)
        .with_statements()
        .setting("shared_buffers", "512MB")
        .setting("max_wal_size", "4GB")
        .setting("synchronous_commit", "off")
        .start()
        .await?;
    let mut initialize = pgbench(&cluster)?;
    initialize.args(["--initialize", "--scale=10", "--quiet", "postgres"]);
    let output = initialize.output().await?;
    if !output.status.success() {
        bail!("pgbench failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let receiver = Receiver::start().await?;
    let folder = tempfile::tempdir()?;
    let agent = watch(&cluster, &receiver, folder.path())?;
    receiver.until_first().await;
    tokio::time::sleep(WARM_UP).await;

    let before = (agent.cpu()?, of_sessions(&cluster).await?);
    let windows = windows(&cluster, &agent, pairs, seconds, clients).await?;
    let of_agent = agent.cpu()? - before.0;
    let of_sessions = of_sessions(&cluster).await? - before.1;
    let lost: Vec<f64> = windows.iter().map(|(without, with)| 1.0 - with / without).collect();
    let loss = Loss::of(lost);
    let watched = (pairs * seconds) as f64;
    println!("PostgreSQL {version}, {clients} clients, {pairs} pairs of windows of {seconds} s");
    println!(
        "lost: {:.2} % on average, standard error {:.2}; median {:.2}, quartiles {:.2} and {:.2}, from {:.2} to {:.2} (limit {:.0} %)",
        loss.mean * 100.0,
        loss.error * 100.0,
        loss.at(0.5) * 100.0,
        loss.at(0.25) * 100.0,
        loss.at(0.75) * 100.0,
        loss.at(0.0) * 100.0,
        loss.at(1.0) * 100.0,
        MOST_LOST * 100.0
    );
    println!(
        "processor time: agent {:.3} % of a core ({} MiB), its sessions on the server {:.3} %",
        of_agent / watched * 100.0,
        agent.memory()?.0 / 1024,
        of_sessions / watched * 100.0
    );
    Ok(if loss.mean < MOST_LOST { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What pairs of windows lost.
struct Loss {
    mean: f64,
    /// Standard error of the mean.
    error: f64,
    sorted: Vec<f64>,
}

impl Loss {
    fn of(mut lost: Vec<f64>) -> Self {
        lost.sort_by(f64::total_cmp);
        let count = lost.len().max(2) as f64;
        let mean = lost.iter().sum::<f64>() / count;
        let variance = lost.iter().map(|part| (part - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { mean, error: (variance / count).sqrt(), sorted: lost }
    }

    fn at(&self, part: f64) -> f64 {
        let at = (self.sorted.len().saturating_sub(1) as f64 * part).round() as usize;
        self.sorted.get(at).copied().unwrap_or_default()
    }
}

fn watch(cluster: &Cluster, receiver: &Receiver, folder: &Path) -> anyhow::Result<AgentProcess> {
    let settings = format!(
        "[backend]\nurl = \"{}\"\ntoken = \"none\"\n[[postgres]]\nname = \"bench\"\nhost = \"127.0.0.1\"\nport = {}\n\
         user = \"monitor\"\npassword = \"{}\"\ndatabase = \"postgres\"\nsslmode = \"disable\"\n",
        receiver.url,
        cluster.port(),
        cluster.password()
    );
    AgentProcess::start(folder, &settings)
}

/// Transactions a second, without and with the agent, of each pair.
async fn windows(
    cluster: &Cluster,
    agent: &AgentProcess,
    pairs: u64,
    seconds: u64,
    clients: u64,
) -> anyhow::Result<Vec<(f64, f64)>> {
    // The first window warms the caches; pgbench tells nothing of the last one.
    let time = (2 * pairs + 2) * seconds;
    let mut running = pgbench(cluster)?
        .args(["--protocol=prepared", "--no-vacuum"])
        .args([format!("--time={time}"), format!("--client={clients}"), format!("--progress={seconds}")])
        .arg("postgres")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(running.stderr.take().context("pgbench has no standard error")?).lines();
    // Whether the agent runs in a window: off on, on off, off on …
    let runs = |window: u64| (window / 2 + window) % 2 == 1;
    let (mut told, mut all) = (0, Vec::new());
    while all.len() < 2 * usize::try_from(pairs)? {
        let line = lines.next_line().await?.context("pgbench ended early")?;
        let Some(tps) = line.strip_prefix("progress: ").and_then(|rest| rest.split(", ").nth(1)) else { continue };
        let tps: f64 = tps.trim_end_matches(" tps").parse().with_context(|| format!("pgbench says {line:?}"))?;
        if told > 0 {
            all.push(tps);
        }
        pause(agent, !runs(told))?;
        told += 1;
    }
    pause(agent, false)?;
    let pair = |(number, pair): (usize, &[f64])| match (pair, number % 2) {
        ([without, with], 0) | ([with, without], _) => Some((*without, *with)),
        _ => None,
    };
    Ok(all.chunks(2).enumerate().filter_map(pair).collect())
}

/// Stops the agent, or lets it go on.
fn pause(agent: &AgentProcess, pause: bool) -> anyhow::Result<()> {
    let pid = agent.pid().context("no process")?;
    Ok(kill_process(pid, if pause { Signal::STOP } else { Signal::CONT })?)
}

/// Processor time that the sessions of the role `monitor` have used so far; they stay open.
async fn of_sessions(cluster: &Cluster) -> anyhow::Result<f64> {
    let client = cluster.client("postgres").await?;
    let rows = client.query("select pid from pg_stat_activity where usename = 'monitor'", &[]).await?;
    let mut sum = 0.0;
    for row in rows {
        sum += agent_process::cpu_of(u32::try_from(row.get::<_, i32>(0))?)?;
    }
    Ok(sum)
}

/// It, with the way to the cluster.
fn pgbench(cluster: &Cluster) -> anyhow::Result<Command> {
    let mut command = Command::new(program()?);
    command
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", cluster.port().to_string())
        .env("PGUSER", "postgres")
        .env("PGPASSWORD", cluster.password());
    Ok(command)
}

fn program() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("PGBENCH") {
        return Ok(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = (14..=18).rev().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    let found = std::env::split_paths(&path).chain(debian).map(|folder| folder.join("pgbench")).find(|it| it.is_file());
    found.context("pgbench is not here; name it in PGBENCH (Debian: package postgresql-15)")
}

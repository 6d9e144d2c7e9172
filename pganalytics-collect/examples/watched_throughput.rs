//! How much throughput a server loses because it is watched.
//!
//! ```sh
//! cargo build --release -p pganalytics-collect --bin pganalytics-agent
//! cargo run --release -p pganalytics-collect --example watched_throughput -- [rounds] [seconds] [clients]
//! ```
//!
//! Runs `pgbench` (prepared statements, everything in memory, no fsync: as much
//! work for the processor as can be) for so many seconds (60) without the agent
//! and as long with it, in turns, so many rounds (8); every second round the other
//! way round. The agent has everything on at its default intervals. Prints each
//! round, and median and spread of what is lost. Wants a machine that has nothing
//! else to do. `PGBENCH` names the program where it is not on the path or where
//! Debian puts it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use pganalytics_testkit::{Cluster, versions};
use tokio::process::Command;

mod agent_process;
use agent_process::{AgentProcess, Receiver, argument};

/// The promise.
const MOST_LOST: f64 = 0.01;

/// The agent's first visit asks for everything at once; it is over by then.
const WARM_UP: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    let (rounds, seconds, clients) = (argument(1, 8)?, argument(2, 60)?, argument(3, 4)?);
    let pgbench = Pgbench { program: program()?, seconds, clients };
    let version = versions().last().copied().context("no PostgreSQL is installed; see pganalytics-testkit")?;
    let cluster = Cluster::builder(version)
        .with_statements()
        .setting("shared_buffers", "512MB")
        .setting("max_wal_size", "4GB")
        .setting("synchronous_commit", "off")
        .start()
        .await?;
    pgbench.run(&cluster, &["--initialize", "--scale=10", "--quiet"]).await?;
    let receiver = Receiver::start().await?;
    let folder = tempfile::tempdir()?;
    // Warms the caches.
    pgbench.throughput(&cluster).await?;

    let mut lost = Vec::new();
    for round in 0..rounds {
        let (without, with) = if round % 2 == 0 {
            let without = pgbench.throughput(&cluster).await?;
            (without, watched(&pgbench, &cluster, &receiver, folder.path()).await?)
        } else {
            let with = watched(&pgbench, &cluster, &receiver, folder.path()).await?;
            (pgbench.throughput(&cluster).await?, with)
        };
        let part = 1.0 - with / without;
        println!("round {round}: {without:.0} tps, watched {with:.0} tps, lost {:.2} %", part * 100.0);
        lost.push(part);
    }
    lost.sort_by(f64::total_cmp);
    let at = |part: f64| lost.get(((lost.len().saturating_sub(1)) as f64 * part).round() as usize).copied();
    let of = |part| at(part).unwrap_or_default() * 100.0;
    println!(
        "PostgreSQL {version}, {clients} clients, {rounds} rounds of {seconds} s: lost {:.2} % (median; quartiles {:.2} and {:.2}, \
         from {:.2} to {:.2}; limit {:.0} %)",
        of(0.5),
        of(0.25),
        of(0.75),
        of(0.0),
        of(1.0),
        MOST_LOST * 100.0
    );
    Ok(if at(0.5).is_some_and(|median| median < MOST_LOST) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn watched(pgbench: &Pgbench, cluster: &Cluster, receiver: &Receiver, folder: &Path) -> anyhow::Result<f64> {
    let settings = format!(
        "[backend]\nurl = \"{}\"\ntoken = \"none\"\n[[postgres]]\nname = \"bench\"\nhost = \"127.0.0.1\"\nport = {}\n\
         user = \"monitor\"\npassword = \"{}\"\ndatabase = \"postgres\"\nsslmode = \"disable\"\n",
        receiver.url,
        cluster.port(),
        cluster.password()
    );
    let agent = AgentProcess::start(folder, &settings)?;
    tokio::time::sleep(WARM_UP).await;
    let (before, throughput) = (agent.cpu()?, pgbench.throughput(cluster).await?);
    println!("  the agent: {:.2} s of CPU, {} MiB", agent.cpu()? - before, agent.memory()?.0 / 1024);
    Ok(throughput)
}

struct Pgbench {
    program: PathBuf,
    seconds: u64,
    clients: u64,
}

impl Pgbench {
    async fn throughput(&self, cluster: &Cluster) -> anyhow::Result<f64> {
        let (time, clients) = (format!("--time={}", self.seconds), format!("--client={}", self.clients));
        let said = self.run(cluster, &["--protocol=prepared", "--no-vacuum", &time, &clients]).await?;
        let tps = said.lines().find_map(|line| line.strip_prefix("tps = ")).context("pgbench says no tps")?;
        Ok(tps.split_whitespace().next().context("pgbench says no number")?.parse()?)
    }

    async fn run(&self, cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", cluster.port().to_string())
            .env("PGUSER", "postgres")
            .env("PGPASSWORD", cluster.password())
            .arg("postgres")
            .output()
            .await?;
        if !output.status.success() {
            bail!("pgbench failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
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

//! What one full collection costs on a big database: 10,000 tables, 20,000
//! indexes, 5,000 statements.
//!
//! ```sh
//! cargo run --release -p pganalytics-collect --example collect_cost
//! ```
//!
//! Builds such a cluster, then lets a process of its own collect everything
//! several times, through change filter and frame codec, and prints the CPU
//! time and memory of that process and the time spent inside PostgreSQL. Fails
//! when a limit is broken. `PGANALYTICS_TEST_PG=16` chooses the version.

use std::{
    process::{Command, ExitCode},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use pganalytics_collect::{
    ChangeFilter, CollectContext, Outcome,
    postgres::{PostgresConfig, PostgresServer},
};
use pganalytics_core::{Timestamp, catalog::Catalog, frame};
use pganalytics_testkit::{Cluster, versions};

mod tables;
use tables::make_tables;

const TABLES: usize = 10_000;
const STATEMENTS: usize = 5_000;
/// The promises.
const MOST_CPU: f64 = 2.0;
const MOST_KIB: u64 = 64 * 1024;

fn main() -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match std::env::args().nth(1) {
        // The process that is measured.
        Some(url) => runtime.block_on(collect(&url)),
        None => runtime.block_on(measure()),
    }
}

async fn measure() -> anyhow::Result<ExitCode> {
    let version = versions().last().copied().context("no PostgreSQL is installed; see pganalytics-testkit")?;
    let cluster = Cluster::builder(version)
        .with_statements()
        .setting("pg_stat_statements.max", "10000")
        .setting("max_locks_per_transaction", "256")
        .setting("autovacuum", "off")
        .start()
        .await?;
    let began = Instant::now();
    build(&cluster).await?;
    println!("PostgreSQL {version}: built in {:.0} s", began.elapsed().as_secs_f64());

    let client = cluster.client("postgres").await?;
    let inside = "select coalesce(sum(total_exec_time + total_plan_time), 0)::float8, coalesce(sum(calls), 0)::int8 \
                  from pg_stat_statements where userid = 'monitor'::regrole";
    let before = client.query_one(inside, &[]).await?;
    let status = Command::new(std::env::current_exe()?).arg(cluster.monitor_url("postgres")).status()?;
    let after = client.query_one(inside, &[]).await?;
    let (ms, calls) =
        (after.get::<_, f64>(0) - before.get::<_, f64>(0), after.get::<_, i64>(1) - before.get::<_, i64>(1));
    println!("inside PostgreSQL, all {VISITS} visits: {ms:.0} ms in {calls} statements");
    let slowest = "select (total_exec_time / calls)::float8, calls, left(regexp_replace(query, '\\s+', ' ', 'g'), 90) \
                   from pg_stat_statements where userid = 'monitor'::regrole order by total_exec_time desc limit 8";
    for row in client.query(slowest, &[]).await? {
        println!("  {:8.1} ms × {:2}  {}", row.get::<_, f64>(0), row.get::<_, i64>(1), row.get::<_, String>(2));
    }
    let errors = cluster.errors_in_log()?;
    if !errors.is_empty() {
        bail!("the server's log has errors: {errors:#?}");
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn build(cluster: &Cluster) -> anyhow::Result<()> {
    let client = cluster.client("postgres").await?;
    make_tables(&client, TABLES).await?;
    for from in (0..STATEMENTS).step_by(500) {
        let statements: String = (from..from + 500)
            .map(|n| format!("select a, b, c, count(*) from t{n} where a = {n} and b between 1 and {n} and c like '%x%' group by a, b, c;"))
            .collect();
        client.batch_execute(&statements).await?;
    }
    client.batch_execute("checkpoint").await?;
    Ok(())
}

const VISITS: usize = 4;

async fn collect(url: &str) -> anyhow::Result<ExitCode> {
    let mut settings = PostgresConfig::from_url(url)?;
    settings.databases = vec![String::from("postgres")];
    let mut collectors = PostgresServer::new(settings, Catalog::builtin().iter().cloned()).collectors();
    let mut filter = ChangeFilter::new();
    let mut worst = 0.0_f64;
    for visit in 1..=VISITS {
        let (cpu, began) = (cpu_seconds()?, Instant::now());
        let (mut rows, mut values, mut sent, mut bytes) = (0, 0, 0, 0);
        for collector in &mut collectors {
            let cx = CollectContext {
                due: collector.measurements().iter().map(|measurement| measurement.name().clone()).collect(),
                now: now()?,
                deadline: tokio::time::Instant::now() + Duration::from_secs(60),
                only_visit: false,
            };
            let collected = collector.collect(&cx).await?;
            for report in collected.reports {
                if let Outcome::Failed { message: why } | Outcome::Skipped { reason: why } = report.outcome {
                    bail!("{}: {why}", report.measurement);
                }
            }
            for batch in collected.batches {
                rows += batch.rows.len();
                values += batch.rows.len() * batch.schema.columns().len();
                let changed = filter.apply(batch, tokio::time::Instant::now())?.batch;
                sent += changed.rows.len();
                bytes += frame::encode(&changed)?.len();
            }
        }
        let cpu = cpu_seconds()? - cpu;
        worst = worst.max(cpu);
        println!(
            "visit {visit}: {rows} rows, {values} values read; {sent} rows, {bytes} bytes to send; CPU {cpu:.2} s, wall {:.2} s",
            began.elapsed().as_secs_f64()
        );
        // Statistics of the next visit differ a little.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let memory = peak_kib()?;
    println!(
        "agent: worst visit {worst:.2} s of CPU (limit {MOST_CPU}), peak memory {} MiB (limit {})",
        memory / 1024,
        MOST_KIB / 1024
    );
    Ok(if worst < MOST_CPU && memory < MOST_KIB { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn now() -> anyhow::Result<Timestamp> {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    Ok(Timestamp::from_micros(i64::try_from(micros)?))
}

/// User and system time of this process so far.
fn cpu_seconds() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat has no name")?;
    let ticks = |at: usize| -> anyhow::Result<f64> {
        Ok(fields.split_whitespace().nth(at).context("/proc/self/stat is short")?.parse()?)
    };
    // Fields 14 and 15 of the whole line, in hundredths of a second on every Linux that counts.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

fn peak_kib() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.split_whitespace().next().context("no number")?.parse()?)
}

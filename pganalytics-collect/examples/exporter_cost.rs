//! What a scrape costs beside `prometheus-postgres-exporter`, on one cluster
//! with 2,000 tables.
//!
//! ```sh
//! cargo build --release -p pganalytics-collect --bin pganalytics-agent
//! cargo run --release -p pganalytics-collect --example exporter_cost
//! ```
//!
//! Both exporters run as processes of their own, each with a role of its own,
//! and are scraped in turns. Prints the CPU time of each process, the time
//! inside PostgreSQL by `pg_stat_statements` (planning and execution), and the
//! CPU time of the sessions of each. Fails when ours needs more than half of
//! the other's. `PGANALYTICS_TEST_PG=16` chooses the version,
//! `PGANALYTICS_SCRAPES` the number, `PGANALYTICS_EVERY` the seconds between two.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use pganalytics_testkit::{Cluster, versions};
use tokio_postgres::Client;

mod tables;
use tables::make_tables;

const TABLES: usize = 2_000;
const REFERENCE: &str = "prometheus-postgres-exporter";

/// An exporter under measurement.
struct Exporter {
    name: &'static str,
    role: &'static str,
    port: u16,
    child: Child,
    wall: Duration,
    bytes: usize,
    cpu: f64,
    inside: f64,
    calls: i64,
    sessions: f64,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure())
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

async fn measure() -> anyhow::Result<ExitCode> {
    let version = match std::env::var("PGANALYTICS_TEST_PG").ok().and_then(|text| text.parse().ok()) {
        Some(version) => version,
        // The newest that the Debian version of the other knows.
        None => versions().into_iter().rfind(|version| *version <= 16).context("no PostgreSQL is installed")?,
    };
    let scrapes = number("PGANALYTICS_SCRAPES", 20);
    let every = Duration::from_secs(number("PGANALYTICS_EVERY", 6));
    let cluster = Cluster::builder(version)
        .with_statements()
        .setting("pg_stat_statements.track_planning", "on")
        .setting("max_locks_per_transaction", "256")
        .setting("autovacuum", "off")
        .start()
        .await?;
    let client = cluster.client("postgres").await?;
    make_tables(&client, TABLES).await?;
    let password = cluster.password();
    client
        .batch_execute(&format!(
            "create role other login password '{password}' in role pg_monitor; analyze; checkpoint; \
             select pg_stat_statements_reset()"
        ))
        .await?;
    println!("PostgreSQL {version}, {TABLES} tables, {scrapes} scrapes of each, one every {} s", every.as_secs());

    let folder = tempfile::tempdir()?;
    let names = std::env::var("PGANALYTICS_NAMES").unwrap_or_else(|_| String::from("drop_in"));
    let mut both = [agent(&cluster, folder.path(), &names)?, reference(&cluster, folder.path())?];
    for exporter in &mut both {
        exporter.scrape()?; // connects, prepares
        exporter.wall = Duration::ZERO;
    }
    let mut start = Vec::new();
    for exporter in &both {
        start.push(exporter.totals(&client).await?);
    }
    for _ in 0..scrapes {
        for exporter in &mut both {
            exporter.scrape()?;
        }
        tokio::time::sleep(every).await;
    }
    for (exporter, (cpu, inside, calls, sessions)) in both.iter_mut().zip(start) {
        let end = exporter.totals(&client).await?;
        exporter.cpu = end.0 - cpu;
        exporter.inside = end.1 - inside;
        exporter.calls = end.2 - calls;
        exporter.sessions = end.3 - sessions;
    }
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let each = |value: f64| value * 1000.0 / scrapes as f64;
    for exporter in &both {
        println!(
            "{:28} CPU {:7.2} ms  inside PostgreSQL {:7.2} ms in {:4.1} statements  CPU of its sessions {:7.2} ms  \
             wall {:7.2} ms  page {} kB",
            exporter.name,
            each(exporter.cpu),
            each(exporter.inside / 1000.0),
            each(exporter.calls as f64) / 1000.0,
            each(exporter.sessions),
            each(exporter.wall.as_secs_f64()),
            exporter.bytes / 1024,
        );
    }
    let [ours, other] = &both;
    let (cpu, inside) = (ours.cpu / other.cpu, ours.inside / other.inside);
    println!("ours of the other's: CPU {:.0} %, inside PostgreSQL {:.0} %", cpu * 100.0, inside * 100.0);
    for exporter in &both {
        println!("{}:", exporter.name);
        let slowest = "select ((total_exec_time + total_plan_time) / calls)::float8, calls, \
                       left(regexp_replace(query, '\\s+', ' ', 'g'), 100) \
                       from pg_stat_statements where userid = $1::text::regrole order by total_exec_time desc limit 6";
        for row in client.query(slowest, &[&exporter.role]).await? {
            println!("  {:8.2} ms × {:4}  {}", row.get::<_, f64>(0), row.get::<_, i64>(1), row.get::<_, String>(2));
        }
    }
    Ok(if cpu <= 0.5 && inside <= 0.5 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn agent(cluster: &Cluster, folder: &std::path::Path, names: &str) -> anyhow::Result<Exporter> {
    let program: PathBuf = std::env::current_exe()?
        .parent()
        .and_then(|folder| folder.parent())
        .context("no folder")?
        .join("pganalytics-agent");
    if !program.exists() {
        bail!("{} is missing; see the first lines of this example", program.display());
    }
    let port = free_port()?;
    let file = folder.join("agent.toml");
    let settings = format!(
        "[exporter]\nlisten = \"127.0.0.1:{port}\"\npgbouncer_listen = \"\"\nnames = \"{names}\"\n\
         [[postgres]]\nname = \"main\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"monitor\"\ndatabase = \"postgres\"\n",
        cluster.port()
    );
    std::fs::write(&file, settings)?;
    let mut command = Command::new(program);
    command.arg("run").arg("--config").arg(&file).env("PGPASSWORD", cluster.password());
    Exporter::start("pganalytics-agent", "monitor", port, &mut command)
}

/// What 0.20 asks for each table, in the form that older versions take.
fn queries() -> String {
    let mut text = String::new();
    let coalesced = |column: &str| format!("COALESCE({column}, '1970-01-01Z') AS {column}");
    let counters = "seq_scan seq_tup_read idx_scan idx_tup_fetch n_tup_ins n_tup_upd n_tup_del n_tup_hot_upd n_live_tup \
                    n_dead_tup n_mod_since_analyze vacuum_count autovacuum_count analyze_count autoanalyze_count";
    let times = "last_vacuum last_autovacuum last_analyze last_autoanalyze";
    let blocks = "heap_blks_read heap_blks_hit idx_blks_read idx_blks_hit toast_blks_read toast_blks_hit tidx_blks_read \
                  tidx_blks_hit";
    let mut tables: Vec<String> = counters.split_whitespace().map(str::to_owned).collect();
    tables.extend(times.split_whitespace().map(coalesced));
    tables.push(String::from("pg_table_size(relid) AS table_size_bytes"));
    tables.push(String::from("pg_indexes_size(relid) AS index_size_bytes"));
    let blocks: Vec<String> = blocks.split_whitespace().map(str::to_owned).collect();
    for (view, columns) in [("pg_stat_user_tables", tables), ("pg_statio_user_tables", blocks)] {
        let list = columns.join(", ");
        text.push_str(&format!(
            "{view}:\n  query: \"SELECT current_database() datname, schemaname, relname, {list} FROM {view}\"\n  metrics:\n"
        ));
        for label in ["datname", "schemaname", "relname"] {
            text.push_str(&format!("    - {label}:\n        usage: \"LABEL\"\n        description: \"{label}\"\n"));
        }
        for column in columns {
            let name = column.rsplit(' ').next().unwrap_or_default();
            text.push_str(&format!("    - {name}:\n        usage: \"GAUGE\"\n        description: \"{name}\"\n"));
        }
    }
    text
}

fn reference(cluster: &Cluster, folder: &std::path::Path) -> anyhow::Result<Exporter> {
    let port = free_port()?;
    let file = folder.join("queries.yaml");
    std::fs::write(&file, queries())?;
    let mut command = Command::new(REFERENCE);
    command
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--extend.query-path={}", file.display()))
        .env("DATA_SOURCE_NAME", format!("{}?sslmode=disable", cluster.url("other", "postgres")));
    Exporter::start(REFERENCE, "other", port, &mut command)
        .with_context(|| format!("{REFERENCE} is not installed (Debian has a package of this name)"))
}

impl Exporter {
    fn start(name: &'static str, role: &'static str, port: u16, command: &mut Command) -> anyhow::Result<Self> {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let exporter = Self {
            name,
            role,
            port,
            child,
            wall: Duration::ZERO,
            bytes: 0,
            cpu: 0.0,
            inside: 0.0,
            calls: 0,
            sessions: 0.0,
        };
        for _ in 0..400 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(exporter);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("{name} does not listen");
    }

    /// One scrape, as Prometheus does it.
    fn scrape(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut tcp = TcpStream::connect(("127.0.0.1", self.port))?;
        tcp.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\nAccept: text/plain\r\n\r\n")?;
        let mut page = Vec::new();
        tcp.read_to_end(&mut page)?;
        self.wall += began.elapsed();
        self.bytes = page.len();
        let text = String::from_utf8_lossy(&page);
        if !text.contains("\npg_up 1\n") || !text.contains("relname=\"t1999\"") {
            bail!("{}: the page is not whole: {}", self.name, text.chars().take(500).collect::<String>());
        }
        Ok(())
    }

    /// CPU of the process, time and statements inside PostgreSQL, CPU of its
    /// sessions that live.
    async fn totals(&self, client: &Client) -> anyhow::Result<(f64, f64, i64, f64)> {
        let row = client
            .query_one(
                "select coalesce(sum(total_exec_time + total_plan_time), 0)::float8, coalesce(sum(calls), 0)::int8 \
                 from pg_stat_statements where userid = $1::text::regrole",
                &[&self.role],
            )
            .await?;
        let pids = client.query("select pid from pg_stat_activity where usename = $1::text", &[&self.role]).await?;
        let sessions = pids.iter().filter_map(|row| u32::try_from(row.get::<_, i32>(0)).ok());
        let sessions = sessions.filter_map(|pid| cpu_seconds(pid).ok()).sum();
        Ok((cpu_seconds(self.child.id())?, row.get(0), row.get(1), sessions))
    }
}

/// User and system time of a process so far.
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(')').context("no name")?;
    let ticks =
        |at: usize| -> anyhow::Result<f64> { Ok(fields.split_whitespace().nth(at).context("it is short")?.parse()?) };
    // Fields 14 and 15 of the whole line, in hundredths of a second on every Linux that counts.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

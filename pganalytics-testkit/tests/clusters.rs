//! The kit keeps its promises, on every version.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pganalytics_testkit::{Cluster, PgBouncer, demo::Demo, versions};
use tokio_postgres::NoTls;

async fn number(cluster: &Cluster, sql: &str) -> Result<i64> {
    let client = cluster.client("postgres").await?;
    Ok(client.query_one(sql, &[]).await?.get(0))
}

fn newest() -> Result<u16> {
    versions().into_iter().max().context("no PostgreSQL here; run fetch-postgres.sh")
}

fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie is dead; whoever inherited it may take its time to notice.
    !stat.is_empty() && !stat.contains(") Z ")
}

fn is_gone(folder: &Path, pid: u32, limit: Duration) -> bool {
    let start = Instant::now();
    while folder.exists() || alive(pid) {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_starts_with_statements_and_a_monitor() -> Result<()> {
    for version in versions() {
        let start = Instant::now();
        let cluster = Cluster::start(version).await?;
        eprintln!("PostgreSQL {version} started in {:?}", start.elapsed());
        let major = number(&cluster, "SELECT current_setting('server_version_num')::bigint / 10000").await?;
        assert_eq!(major, i64::from(version));
        assert_eq!(cluster.version(), version);

        let (monitor, connection) = tokio_postgres::connect(&cluster.monitor_url("postgres"), NoTls).await?;
        tokio::spawn(connection);
        let row = monitor
            .query_one(
                "SELECT count(*), current_setting('is_superuser') FROM pg_stat_statements WHERE query LIKE 'CREATE EXTENSION%'",
                &[],
            )
            .await?;
        assert_eq!(row.get::<_, i64>(0), 1, "the monitor reads texts of others");
        assert_eq!(row.get::<_, &str>(1), "off");
        assert_eq!(cluster.errors_in_log()?, Vec::<String>::new());

        ensure!(cluster.sql("postgres", "SELECT nonsense").await.is_err());
        assert_eq!(cluster.errors_in_log()?.len(), 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn data_survives_restart_crash_and_the_kill_of_a_backend() -> Result<()> {
    for version in versions() {
        let cluster = Cluster::builder(version).setting("fsync", "on").start().await?;
        cluster.sql("postgres", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS i").await?;
        let (port, first) = (cluster.port(), cluster.pid());

        cluster.restart().await?;
        assert_eq!(number(&cluster, "SELECT count(*) FROM t").await?, 1000);
        assert_ne!(cluster.pid(), first);
        assert_eq!(cluster.port(), port);

        let second = cluster.pid();
        cluster.kill9_backend().await?;
        assert_eq!(number(&cluster, "SELECT count(*) FROM t").await?, 1000);
        assert_eq!(cluster.pid(), second, "the postmaster survives");

        cluster.stop_immediate_and_start().await?;
        assert_eq!(number(&cluster, "SELECT count(*) FROM t").await?, 1000);

        cluster.stop().await?;
        assert_eq!(cluster.pid(), None);
        assert!(cluster.client("postgres").await.is_err());
        cluster.start_again().await?;
        assert_eq!(number(&cluster, "SELECT count(*) FROM t").await?, 1000);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_streams() -> Result<()> {
    for version in versions() {
        let primary = Cluster::start(version).await?;
        primary.sql("postgres", "CREATE TABLE t (i int)").await?;
        let replica = primary.replica().await?;
        primary.sql("postgres", "INSERT INTO t SELECT generate_series(1, 500)").await?;
        let start = Instant::now();
        while number(&replica, "SELECT count(*) FROM t").await? != 500 {
            ensure!(start.elapsed() < Duration::from_secs(20), "PostgreSQL {version}: no rows arrive");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(number(&replica, "SELECT pg_is_in_recovery()::int::bigint").await?, 1);
        let id = "SELECT system_identifier FROM pg_control_system()";
        assert_eq!(number(&replica, id).await?, number(&primary, id).await?);
        replica.restart().await?;
        assert_eq!(number(&replica, "SELECT count(*) FROM t").await?, 500);
        assert_eq!(primary.errors_in_log()?, Vec::<String>::new());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_started_at_once_differ_in_identity_and_port() -> Result<()> {
    let version = newest()?;
    let (a, b, c) = tokio::try_join!(Cluster::start(version), Cluster::start(version), Cluster::start(version))?;
    let mut ids = Vec::new();
    for cluster in [&a, &b, &c] {
        ids.push(number(cluster, "SELECT system_identifier FROM pg_control_system()").await?);
        ids.push(i64::from(cluster.port()));
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6, "{ids:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_further_libraries_are_taken() -> Result<()> {
    let builder = Cluster::builder(newest()?).preload("auto_explain").with_statements();
    let builder = builder.setting("pg_stat_statements.max", "321").setting("application_name", "it's");
    let cluster = builder.password(false).start().await?;
    let client = cluster.client("postgres").await?;
    let row = client
        .query_one(
            "SELECT current_setting('pg_stat_statements.max'), current_setting('shared_preload_libraries'), current_setting('application_name')",
            &[],
        )
        .await?;
    assert_eq!(row.get::<_, &str>(0), "321");
    assert_eq!(row.get::<_, &str>(1), "auto_explain,pg_stat_statements");
    assert_eq!(row.get::<_, &str>(2), "it's");
    let open = format!("postgres://postgres@127.0.0.1:{}/postgres", cluster.port());
    drop(tokio_postgres::connect(&open, NoTls).await.context("no password is asked for")?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pgbouncer_answers() -> Result<()> {
    if !PgBouncer::is_installed() {
        eprintln!("!!! NOT TESTED: pgbouncer is not installed");
        ensure!(!std::env::var("PGANALYTICS_REQUIRE_PG").is_ok_and(|v| v == "1"));
        return Ok(());
    }
    for version in versions() {
        let cluster = Cluster::start(version).await?;
        let pooler = PgBouncer::in_front_of(&cluster).setting("pool_mode", "transaction").start().await?;
        let (client, connection) = tokio_postgres::connect(&pooler.url("monitor", "postgres"), NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("SELECT 1").await?;
        let (console, connection) = tokio_postgres::connect(&pooler.console_url(), NoTls).await?;
        tokio::spawn(connection);
        ensure!(!console.simple_query("SHOW POOLS").await?.is_empty());
        let (pid, log) = (pooler.pid().context("it runs")?, pooler.log()?);
        drop(pooler);
        assert!(!alive(pid), "{log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_after_drop() -> Result<()> {
    for version in versions() {
        let cluster = Cluster::start(version).await?;
        let _busy = cluster.client("postgres").await?;
        let folder = cluster.socket_dir().to_owned();
        let pid = cluster.pid().context("it runs")?;
        drop(cluster);
        assert!(!folder.exists());
        assert!(!alive(pid));
    }
    Ok(())
}

/// Not a test of its own: [`nothing_is_left_when_a_process_dies`] runs it in a process that dies.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "dies on purpose; run by nothing_is_left_when_a_process_dies"]
async fn dies() -> Result<()> {
    let manner = std::env::var("PGANALYTICS_DIE_BY").unwrap_or_default();
    let cluster = Cluster::start(newest()?).await?;
    let pid = cluster.pid().context("it runs")?;
    // Both streams of a test are captured; a file is not.
    let note = std::env::var("PGANALYTICS_DIE_NOTE")?;
    std::fs::write(note, format!("{pid} {}", cluster.socket_dir().display()))?;
    match manner.as_str() {
        "panic" => panic!("on purpose"),
        "abort" => std::process::abort(),
        _ => std::future::pending().await,
    }
}

#[test]
fn nothing_is_left_when_a_process_dies() -> Result<()> {
    newest()?;
    for manner in ["panic", "abort", "kill"] {
        let notes = tempfile::tempdir()?;
        let note = notes.path().join("note");
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--ignored", "--exact", "dies"])
            .env("PGANALYTICS_DIE_BY", manner)
            .env("PGANALYTICS_DIE_NOTE", &note)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let start = Instant::now();
        let text = loop {
            let text = std::fs::read_to_string(&note).unwrap_or_default();
            if !text.is_empty() {
                break text;
            }
            ensure!(start.elapsed() < Duration::from_secs(60), "{manner}: no cluster came up");
            std::thread::sleep(Duration::from_millis(20));
        };
        let (pid, folder) = text.split_once(' ').context("two words")?;
        let pid: u32 = pid.parse()?;
        if manner == "kill" {
            assert!(alive(pid) && Path::new(folder).exists());
            child.kill()?;
        }
        child.wait()?;
        assert!(is_gone(Path::new(folder), pid, Duration::from_secs(10)), "{manner} leaves {text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_is_ready_soon_and_does_something() -> Result<()> {
    let start = Instant::now();
    let demo = Demo::start(newest()?).await?;
    let took = start.elapsed();
    eprintln!("the demo was ready in {took:?}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let cluster = demo.cluster();
    let databases = "SELECT count(*) FROM pg_database WHERE datname IN ('shop', 'billing', 'analytics')";
    assert_eq!(number(cluster, databases).await?, 3);
    let client = cluster.client("shop").await?;
    let row =
        client.query_one("SELECT count(*), sum(n_tup_ins + n_tup_upd)::bigint FROM pg_stat_user_tables", &[]).await?;
    assert!(row.get::<_, i64>(0) >= 100);
    assert!(row.get::<_, i64>(1) > 0);
    assert_eq!(number(cluster, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").await?, 1);
    assert_eq!(cluster.errors_in_log()?, Vec::<String>::new());
    let folder = cluster.socket_dir().to_owned();
    drop(demo);
    assert!(!folder.exists());
    Ok(())
}

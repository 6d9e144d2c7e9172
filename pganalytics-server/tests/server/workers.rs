//! Queries in processes of their own: what a worker is and has, how it ends, and
//! that its place is never lost.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use pganalytics_core::TenantId;
use pganalytics_store::{
    MetricStore as _, StoreError,
    sql::{
        Answer, InProcess, PerPrincipal, SqlGuard, SqlLimits, SqlPrincipal, SqlQuery, SqlRunner, to_json_rows,
        worker::{WorkerOptions, WorkerPool},
    },
    sqlite::{SqliteOptions, SqliteStore},
};
use serde_json::json;

use crate::{
    fixture::eventually,
    hostile_sql::children,
    process::{Process, program},
};

/// Runs for hours.
const ENDLESS: &str =
    "select sum(sin(a.value) * cos(b.value)) from generate_series(1, 1000000) a, generate_series(1, 1000000) b";
const PATIENCE: Duration = Duration::from_secs(20);

fn store(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, SqliteOptions::default()).unwrap()
}

fn options(folder: &Path, workers: usize) -> WorkerOptions {
    let args = ["sql-worker".as_ref(), "--data-dir".as_ref(), folder.as_os_str()];
    let mut options = WorkerOptions::new(env!("CARGO_BIN_EXE_pganalytics-server"), args);
    options.workers = workers;
    options
}

fn query(sql: &str) -> SqlQuery {
    let guard = SqlGuard::new(SqlLimits::default())
        .knowing(pganalytics_core::catalog::Catalog::builtin().iter().map(|known| Arc::clone(known.schema())));
    guard.check(sql, Vec::new(), SqlPrincipal::new(TenantId::DEFAULT)).unwrap()
}

async fn ask(runner: &dyn SqlRunner, sql: &str) -> Result<Answer, StoreError> {
    runner.run(query(sql)).await?.into_answer().await
}

fn code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Sql(error) => error.code(),
        _ => "not of SQL",
    }
}

async fn all_free(pool: &WorkerPool, workers: usize) {
    eventually("each place is free again", PATIENCE, async || (pool.free() == workers).then_some(())).await;
}

#[tokio::test]
async fn a_worker_answers_as_the_server_itself_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store(folder.path()));
    let pool = WorkerPool::start(options(folder.path(), 1)).await.unwrap();
    let here = InProcess::new(store.clone());
    for sql in [
        "select 1 as a, 'x' as b, null as c, 1.5 as d, true as e, interval '1 day' as f",
        "select value, repeat('x', value::int) as text from generate_series(1, 3000)",
        "select [1, 2, 3] as list, ['a', null, 'b'] as texts",
        "select * from pg_stat_database",
        "select timestamp '2026-01-31 12:00:00' as t, date '2026-01-31' as d",
        "select count(*) from generate_series(1, 100000)",
        "explain select 1",
        "show tables",
    ] {
        let (there, here) = (ask(&pool, sql).await.unwrap(), ask(&here, sql).await.unwrap());
        assert_eq!(there.schema, here.schema, "{sql}");
        let rows = |answer: &Answer| json!(answer.batches.iter().flat_map(to_json_rows).collect::<Vec<_>>());
        assert_eq!(rows(&there), rows(&here), "{sql}");
    }
    let cut = pool.run(query("select * from generate_series(1, 100)").with_max_rows(7)).await.unwrap();
    let cut = cut.into_answer().await.unwrap();
    assert_eq!((cut.rows(), cut.truncated), (7, true));
    for (sql, expected) in [
        ("select * from nothing", "unknown_table"),
        ("select nothing from pg_stat_database", "unknown_column"),
        ("select $1", "bad_parameters"),
        ("select 1 / 0", "query_failed"),
    ] {
        assert_eq!(code(&ask(&pool, sql).await.unwrap_err()), expected, "{sql}");
    }
    drop(store);
}

#[tokio::test]
async fn a_worker_has_no_file_no_secret_and_its_limits() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path());
    command.env("REGISTRATION_SECRET", "hunter2 hunter2 hunter2").env("PGANALYTICS_SQL_WORKERS", "2");
    let process = Process::start(command).await;
    let pid = process.child.id().unwrap();
    let workers = eventually("both workers run", PATIENCE, async || {
        let workers = children(pid);
        // A process that was forked is a worker when it has another program's name.
        let ready =
            |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| has(&line, "sql-worker"));
        (workers.len() == 2 && workers.iter().all(ready)).then_some(workers)
    })
    .await;
    for worker in workers {
        let read = |what: &str| std::fs::read(format!("/proc/{worker}/{what}")).unwrap();
        let environment = read("environ");
        assert!(!has(&environment, "hunter2") && !has(&environment, "REGISTRATION"), "its environment");
        assert!(!has(&read("cmdline"), "hunter2"));
        let limits = eventually("its limits are set", PATIENCE, async || {
            let limits = String::from_utf8(read("limits")).unwrap();
            limits.lines().any(|line| line.starts_with("Max file size") && line.contains(" 0 ")).then_some(limits)
        })
        .await;
        let limit = |name: &str| limits.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        for name in ["Max address space", "Max data size", "Max core file size"] {
            assert!(!limit(name).contains("unlimited"), "{name}: {}", limit(name));
        }
        // The 19th field, nice; the second one, a name in parentheses, may hold blanks.
        let nice = |stat: Vec<u8>| {
            let stat = String::from_utf8(stat).unwrap();
            stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
        };
        let server = std::fs::read(format!("/proc/{pid}/stat")).unwrap();
        assert!(nice(read("stat")) > nice(server), "the server is served first");
        for fd in std::fs::read_dir(format!("/proc/{worker}/fd")).unwrap().flatten() {
            let Ok(file) = std::fs::read_link(fd.path()) else { continue };
            let file = file.to_str().unwrap().to_owned();
            assert!(!file.starts_with("socket:"), "a connection");
            assert!(!file.contains("meta.db"), "a worker has nothing to do with passwords: {file}");
            if file.ends_with("metrics.db") {
                let info = read(&format!("fdinfo/{}", fd.file_name().to_str().unwrap()));
                let info = String::from_utf8(info).unwrap();
                let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
                assert_eq!(u32::from_str_radix(flags, 8).unwrap() & 3, 0, "the store is open to read only: {info}");
            }
        }
    }
    process.terminate().await;
}

fn has(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

#[tokio::test]
async fn workers_end_with_their_server_however_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(program(folder.path())).await;
    let pid = process.child.id().unwrap();
    let workers = eventually("four workers run", PATIENCE, async || {
        let workers = children(pid);
        (workers.len() == 4).then_some(workers)
    })
    .await;
    process.child.kill().await.unwrap();
    for worker in workers {
        eventually("it is gone", PATIENCE, async || {
            let state = std::fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
            (state.is_empty() || state.contains(") Z ")).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn each_end_of_a_worker_has_a_name_and_the_next_query_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let _store = store(folder.path());
    let mut options = options(folder.path(), 1);
    options.cpu = Some(Duration::from_secs(1));
    let pool = WorkerPool::start(options).await.unwrap();
    let me = std::process::id();
    let well = async || assert_eq!(ask(&pool, "select 1").await.unwrap().rows(), 1);

    let error = ask(&pool, ENDLESS).await.unwrap_err();
    assert_eq!(code(&error), "out_of_cpu", "{error}");
    well().await;

    let lists = "select count(l) from (select array_agg(value) as l from generate_series(1, 100000000)) x";
    let error = ask(&pool, lists).await.unwrap_err();
    assert_eq!(code(&error), "out_of_memory", "{error}");
    well().await;

    let killed = tokio::spawn({
        let pool = pool.clone();
        async move { ask(&pool, ENDLESS).await }
    });
    // Of all that this test binary has started, those with this folder.
    let path = folder.path().to_str().unwrap().to_owned();
    let worker = eventually("its worker", PATIENCE, async || {
        let mine = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| has(&line, &path));
        (pool.free() == 0).then(|| children(me).into_iter().find(mine)).flatten()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let kill = tokio::process::Command::new("kill").args(["-KILL", &worker.to_string()]).status().await.unwrap();
    assert!(kill.success());
    let error = killed.await.unwrap().unwrap_err();
    assert_eq!(code(&error), "query_killed", "{error}");
    well().await;
    all_free(&pool, 1).await;
}

#[tokio::test]
async fn who_goes_away_or_is_late_gives_the_place_back() {
    let folder = tempfile::tempdir().unwrap();
    let _store = store(folder.path());
    let pool = WorkerPool::start(options(folder.path(), 2)).await.unwrap();
    all_free(&pool, 2).await;
    for _ in 0..3 {
        let gone = tokio::time::timeout(Duration::from_millis(100), ask(&pool, ENDLESS)).await;
        assert!(gone.is_err());
    }
    // With no time left to hand it over: the worker that has half a question is no broken one.
    let begun = Instant::now();
    let error = pool.run(query("select 1").with_timeout(Duration::ZERO)).await.unwrap_err();
    assert_eq!(code(&error), "timeout", "{error}");
    assert!(begun.elapsed() < Duration::from_secs(3));
    // In the middle of the rows.
    let mut rows = pool.run(query("select * from generate_series(1, 100000)")).await.unwrap();
    assert!(rows.next().await.unwrap().is_ok());
    drop(rows);
    // At its deadline, with a planner that can't be stopped from within.
    let begun = Instant::now();
    let late =
        query("select levenshtein(repeat('x', 200000), repeat('y', 200000))").with_timeout(Duration::from_secs(1));
    let late = async { pool.run(late).await?.into_answer().await };
    if let Err(error) = late.await {
        assert!(matches!(code(&error), "timeout" | "invalid_query" | "out_of_memory"), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
    all_free(&pool, 2).await;
    assert_eq!(ask(&pool, "select 1").await.unwrap().rows(), 1);
}

#[tokio::test]
async fn a_program_that_is_no_worker_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let error = WorkerPool::start(options(folder.path(), 1)).await.unwrap_err().to_string();
    assert!(error.contains("did not start") && error.contains("metrics.db"), "there is no store: {error}");
    let error = WorkerPool::start(WorkerOptions::new("/nowhere/at-all", [""; 0])).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/at-all"), "{error}");
    let error = WorkerPool::start(WorkerOptions::new("true", [""; 0])).await.unwrap_err().to_string();
    assert!(error.contains("did not start"), "{error}");
}

#[tokio::test]
async fn a_principal_has_its_turns_and_others_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store(folder.path()));
    store.check().await.unwrap();
    let turns = Arc::new(PerPrincipal::new(Arc::new(InProcess::new(store)), 2, 1));
    let of = |name: &str, sql: &str, seconds: u64| {
        let asks = SqlPrincipal::new(TenantId::DEFAULT).named(name);
        let query = SqlGuard::default().check(sql, Vec::new(), asks).unwrap();
        let (turns, query) = (Arc::clone(&turns), query.with_timeout(Duration::from_secs(seconds)));
        async move { turns.run(query).await?.into_answer().await }
    };
    let held = [(); 2].map(|()| tokio::spawn(of("a", ENDLESS, 20)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The third waits, as long as it may; one more is not taken.
    let third = tokio::spawn(of("a", "select 1", 1));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    assert_eq!(code(&of("a", "select 1", 10).await.unwrap_err()), "too_many_of_yours");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(of("b", "select 1", 10).await.unwrap().rows(), 1);
    assert_eq!(code(&third.await.unwrap().unwrap_err()), "too_many_of_yours");
    for query in held {
        query.abort();
    }
    assert_eq!(of("a", "select 1", 10).await.unwrap().rows(), 1);
}

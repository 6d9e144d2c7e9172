//! Killed at any moment, a store holds what it acknowledged, once.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use pganalytics_core::CollectorId;
use pganalytics_store::{
    Job, MetricStore,
    sqlite::{SqliteOptions, SqliteStore},
};

use crate::spool::{Spool, minute, stored};

/// Folder of the store that the child writes; without it the child is no child.
const STORE: &str = "PGANALYTICS_TEST_KILL_STORE";
/// Last number acknowledged to each writer, separated by commas.
const ACKNOWLEDGED: &str = "PGANALYTICS_TEST_KILL_ACKNOWLEDGED";

const WRITERS: usize = 4;
/// Minutes, and so frames of a writer, that retention keeps.
const KEPT: i64 = 1_000;
const KILLS: usize = 60;
const LONGEST: Duration = Duration::from_secs(45);

/// What runs in the child: appends for ever, and says what was acknowledged.
#[test]
fn child_writer() {
    let Ok(folder) = env::var(STORE) else { return };
    let acknowledged: Vec<i64> = env::var(ACKNOWLEDGED).unwrap().split(',').map(|n| n.parse().unwrap()).collect();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(async {
        let store = SqliteStore::open(&folder, SqliteOptions::default()).unwrap();
        for (writer, last) in acknowledged.iter().copied().enumerate() {
            let (store, spool) = (store.clone(), Spool::new(writer as u128));
            tokio::spawn(async move {
                let mut next = last + 1;
                loop {
                    let count = 1 + next % 5;
                    let frames = spool.frames(next..next + count);
                    let outcome = store.append(&spool.origin, spool.stream, frames).await.unwrap();
                    assert_eq!(outcome.accepted() + outcome.duplicates(), usize::try_from(count).unwrap());
                    next += count;
                    // One write a line: what the parent reads whole was acknowledged.
                    std::io::stdout().write_all(format!("acknowledged {writer} {}\n", next - 1).as_bytes()).unwrap();
                }
            });
        }
        let oldest = acknowledged.iter().min().copied().unwrap_or_default();
        loop {
            let (now, keep) = (minute(oldest + 30), Duration::from_secs(60 * KEPT.unsigned_abs()));
            store.maintain(Job::Compact { before: now }).await.unwrap();
            store.maintain(Job::Heads).await.unwrap();
            store.maintain(Job::Retain { now, default: keep, retention: Vec::new() }).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

/// Starts a child, kills it after a while, and returns what it said.
fn run_and_kill(folder: &Path, acknowledged: &[i64], after: Duration) -> Vec<i64> {
    let list: Vec<String> = acknowledged.iter().map(ToString::to_string).collect();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["kill::child_writer", "--exact", "--nocapture", "--test-threads=1"])
        .env(STORE, folder)
        .env(ACKNOWLEDGED, list.join(","))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        let mut lines = Vec::new();
        let mut line = String::new();
        while output.read_line(&mut line).unwrap_or(0) > 0 {
            lines.push(std::mem::take(&mut line));
        }
        lines
    });
    thread::sleep(after);
    let early = child.try_wait().unwrap();
    assert!(early.is_none(), "the writer ended by itself: {early:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let mut last = acknowledged.to_vec();
    for line in reader.join().unwrap() {
        // The first one stands behind what the test harness prints.
        let said = line.find("acknowledged").and_then(|at| line.get(at..)).filter(|_| line.ends_with('\n'));
        let words: Vec<&str> = said.unwrap_or_default().split_whitespace().collect();
        if let ["acknowledged", writer, number] = words.as_slice() {
            last[writer.parse::<usize>().unwrap()] = number.parse().unwrap();
        }
    }
    last
}

/// Each writer's rows from a minute on: without holes, each once, and not less
/// than was acknowledged.
fn check(folder: &Path, acknowledged: &[i64], from: i64) {
    let store = SqliteStore::open(folder, SqliteOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rows: BTreeMap<CollectorId, Vec<i64>> = BTreeMap::new();
    for (collector, number) in runtime.block_on(stored(&store, from)) {
        rows.entry(collector).or_default().push(number);
    }
    for (writer, &last) in acknowledged.iter().enumerate() {
        let found = rows.remove(&Spool::new(writer as u128).origin.collector).unwrap_or_default();
        let first = found.first().copied().unwrap_or(1);
        assert!(first <= from.max(1), "writer {writer}: rows {from} to {first} are missing");
        let expected: Vec<i64> = (first..first + i64::try_from(found.len()).unwrap()).collect();
        assert_eq!(found, expected, "writer {writer}: rows are missing or stored twice");
        let newest = found.last().copied().unwrap_or_default();
        assert!(newest >= last, "writer {writer}: {last} was acknowledged, {newest} is the newest stored");
        assert!(newest <= last + 5, "writer {writer}: {newest} is stored, but only {last} was answered");
    }
    assert!(rows.is_empty(), "rows of somebody else: {rows:?}");
}

#[test]
fn what_was_acknowledged_survives_kill_9_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos() | 1;
    let mut acknowledged = vec![0; WRITERS];
    let begun = Instant::now();
    let mut kills = 0;
    while kills < KILLS && begun.elapsed() < LONGEST {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let before = acknowledged.iter().min().copied().unwrap_or_default();
        acknowledged = run_and_kill(folder.path(), &acknowledged, Duration::from_millis(u64::from(20 + random % 330)));
        check(folder.path(), &acknowledged, before - 90);
        kills += 1;
    }
    check(folder.path(), &acknowledged, acknowledged.iter().min().copied().unwrap_or_default() + 31 - KEPT);
    let size = fs::metadata(folder.path().join("metrics.db")).unwrap().len();
    println!("{kills} kills, {acknowledged:?} frames acknowledged, file of {size} bytes, {:?}", begun.elapsed());
    assert!(kills >= 50, "only {kills} kills in {LONGEST:?}");
    assert!(acknowledged.iter().all(|&last| last > 100), "too little was written: {acknowledged:?}");
}

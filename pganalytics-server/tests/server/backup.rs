//! The drill: backed up while agents push and people ask, the machine is lost, and what was
//! acknowledged before the backup is there on another one.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pganalytics_core::frame::CONTENT_TYPE;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    fixture::{Spool, read},
    process::{Process, program, push_token, run},
};

const GROUP: u64 = 5;
const SENDERS: usize = 3;

/// Pushes until the server is away; counts what was acknowledged.
async fn send(number: usize, spool: Arc<Spool>, base: String, token: Arc<str>, acknowledged: Arc<AtomicU64>) {
    let http = reqwest::Client::new();
    let mut next = 1;
    loop {
        let request = http.post(format!("{base}/api/v1/metrics/push")).bearer_auth(&token);
        let request = request.header("Content-Type", CONTENT_TYPE).header("X-Collector-ID", format!("sender-{number}"));
        let Ok(answer) = request.body(spool.body(next..next + GROUP)).send().await else { return };
        let Ok(answer) = answer.json::<Value>().await else { return };
        assert_eq!(answer["accepted"], GROUP, "{answer}");
        next += GROUP;
        acknowledged.store(next - 1, Ordering::Release);
    }
}

async fn ids(base: &str, token: &str, number: usize) -> Vec<u64> {
    let sql = format!("select id from drilled_{number}");
    let request = reqwest::Client::new().post(format!("{base}/api/v1/sql")).bearer_auth(token);
    let answer = read(request.json(&json!({"sql": sql})).send().await.unwrap(), StatusCode::OK).await;
    answer["rows"].as_array().unwrap().iter().map(|row| row[0].as_u64().unwrap()).collect()
}

async fn says(command: &mut Command) -> (i32, String) {
    let output = run(command).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_machine_is_replaced_from_a_backup_that_was_made_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let (first, second, backups) = (place("first"), place("second"), place("backups"));
    let token: Arc<str> = push_token(&first).await.into();
    let mut process = Process::start(program(&first)).await;
    let counts: Vec<_> = (0..SENDERS).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let spool = |number| Arc::new(Spool::new(&format!("drilled_{number}"), &format!("db{number}")));
    let spools: Vec<_> = (0..SENDERS).map(spool).collect();
    let sender = |number: usize| {
        let (spool, count) = (Arc::clone(&spools[number]), Arc::clone(&counts[number]));
        tokio::spawn(send(number, spool, process.base.clone(), Arc::clone(&token), count))
    };
    let senders: Vec<_> = (0..SENDERS).map(sender).collect();
    let all_at_least = async |least: u64| {
        while counts.iter().any(|count| count.load(Ordering::Acquire) < least) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    all_at_least(20).await;
    let before: Vec<u64> = counts.iter().map(|count| count.load(Ordering::Acquire)).collect();
    let begun = Instant::now();
    let mut make = program(&first);
    make.env("PGANALYTICS_BACKUP_DIR", &backups).args(["backup", "--keep", "3", "--verify"]);
    let (code, said) = says(&mut make).await;
    assert!(code == 0 && said.contains("read all of it"), "{code} {said}");
    let took = begun.elapsed();
    let made = said.lines().find_map(|line| line.strip_prefix("made ")?.split(',').next()).unwrap().to_owned();
    // The server went on meanwhile, and goes on.
    let least = counts.iter().map(|count| count.load(Ordering::Acquire)).max().unwrap() + GROUP;
    all_at_least(least).await;
    let (code, said) = says(program(&first).args(["restore", &made, "--replace"])).await;
    assert!(code == 1 && said.contains("open for writing"), "under a running server: {code} {said}");
    process.child.start_kill().unwrap();
    process.child.wait().await.unwrap();
    for sender in senders {
        sender.await.unwrap();
    }
    std::fs::remove_dir_all(&first).unwrap();

    let lost = Instant::now();
    let (code, said) = says(program(&second).args(["restore", &made])).await;
    assert!(code == 0 && said.contains("frames and blocks"), "{code} {said}");
    let process = Process::start(program(&second)).await;
    println!("backed up and verified in {took:?}, served again after {:?}", lost.elapsed());
    assert!(process.first_admin().is_none(), "the users are those of the backup");
    for (number, before) in before.into_iter().enumerate() {
        let found = ids(&process.base, &token, number).await;
        let distinct: BTreeSet<u64> = found.iter().copied().collect();
        assert_eq!(distinct.len(), found.len(), "sender {number}: twice");
        let newest = distinct.last().copied().unwrap_or_default();
        assert!(newest >= before, "sender {number}: {before} was acknowledged before, {newest} is the newest");
        assert_eq!(distinct.len() as u64, newest, "sender {number}: a whole beginning");
        // An agent that still has them sends again: none is stored twice, the rest is taken.
        let request = reqwest::Client::new().post(format!("{}/api/v1/metrics/push", process.base)).bearer_auth(&*token);
        let request = request.header("Content-Type", CONTENT_TYPE).header("X-Collector-ID", format!("sender-{number}"));
        let again = request.body(spools[number].body(newest - 4..newest + 6)).send().await.unwrap();
        let answer = read(again, StatusCode::OK).await;
        assert_eq!((&answer["accepted"], &answer["duplicates"]), (&json!(5), &json!(5)), "{answer}");
    }
    process.terminate().await;
    // And once more from the one that was restored: what is kept is told.
    let (code, said) = says(program(&second).args(["restore", &made])).await;
    assert!(code == 1 && said.contains("--replace"), "{code} {said}");
    let (code, said) = says(program(&second).args(["restore", &made, "--replace"])).await;
    assert!(code == 0 && said.contains("before-restore-"), "{code} {said}");
}

#[tokio::test]
async fn wrong_use_of_backups_is_told_from_what_fails() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let say = async |arguments: &[&str]| says(program(&data).args(arguments)).await;
    let (code, said) = say(&["backup"]).await;
    assert!(code == 2 && said.contains("PGANALYTICS_BACKUP_DIR"), "{code} {said}");
    assert_eq!(say(&["backup", "--output", "x", "--keep", "0"]).await.0, 2);
    let (code, said) = say(&["backup", "--output", folder.path().join("b/").to_str().unwrap()]).await;
    assert!(code == 1 && said.contains("there is no store"), "{code} {said}");
    let file = folder.path().join("no.backup");
    std::fs::write(&file, "nonsense").unwrap();
    for arguments in [&["restore", file.to_str().unwrap()][..], &["restore", "--check", file.to_str().unwrap()]] {
        let (code, said) = say(arguments).await;
        assert!(code == 1 && said.contains("damaged"), "{code} {said}");
    }
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("restore.unfinished"), "").unwrap();
    let (code, said) = say(&["serve"]).await;
    assert!(code == 1 && said.contains("a restore has not ended"), "{code} {said}");
}

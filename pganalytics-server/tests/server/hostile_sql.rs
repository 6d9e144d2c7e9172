//! A viewer sends statements that try to take the server down, two at a time: the
//! server stays as it is, and others are served. The statements are in
//! `tests/hostile`.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use pganalytics_core::frame::CONTENT_TYPE;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    fixture::{REGISTRATION_SECRET, Spool, eventually, read},
    process::{Process, program, run},
};

/// Seconds that a statement may take.
const ALLOWED: u64 = 3;
/// By so much may server and workers grow together.
const GROWTH: u64 = 400 << 20;
const WORKERS: usize = 4;

/// A server in a process of its own with two users, and what they see.
struct Target {
    process: Process,
    http: Client,
    viewer: String,
    other: String,
}

impl Target {
    async fn start(folder: &Path) -> Self {
        let mut passwords = BTreeMap::new();
        for name in ["viewer", "other"] {
            let added = run(program(folder).args(["user", "add", name, "--role", "viewer"])).await;
            assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
            passwords.insert(name, String::from_utf8(added.stdout).unwrap().trim().to_owned());
        }
        let mut command = program(folder);
        command
            .env("REGISTRATION_SECRET", REGISTRATION_SECRET)
            .env("PGANALYTICS_QUERY_TIMEOUT", ALLOWED.to_string())
            .env("PGANALYTICS_SQL_WORKERS", WORKERS.to_string())
            .env("LOG_LEVEL", "error");
        for class in ["QUERY", "HEALTH", "LOGIN", "PUBLIC"] {
            command.env(format!("PGANALYTICS_RATE_LIMIT_{class}"), "0");
        }
        let process = Process::start(command).await;
        let http = Client::new();
        let login = async |name: &str| {
            let login = json!({"username": name, "password": passwords[name]});
            let answer = http.post(format!("{}/api/v1/auth/login", process.base)).json(&login).send().await.unwrap();
            read(answer, StatusCode::OK).await["token"].as_str().unwrap().to_owned()
        };
        let (viewer, other) = (login("viewer").await, login("other").await);
        let target = Self { process, http, viewer, other };
        target.push().await;
        target
    }

    async fn push(&self) {
        let url = |path: &str| format!("{}/api/v1/{path}", self.process.base);
        let register = self.http.post(url("collectors/register")).header("X-Registration-Secret", REGISTRATION_SECRET);
        let agent = register.json(&json!({"name": "agent"})).send().await.unwrap();
        let agent = read(agent, StatusCode::CREATED).await["token"].as_str().unwrap().to_owned();
        let spool = Spool::new("bomb", "db1");
        for from in [1, 1_001] {
            let push = self.http.post(url("metrics/push")).bearer_auth(&agent).header("Content-Type", CONTENT_TYPE);
            let answer = push.body(spool.body(from..from + 1_000)).send().await.unwrap();
            assert_eq!(read(answer, StatusCode::OK).await["accepted"], 1_000);
        }
    }

    /// Status, code and time of a query's answer, whose body is read.
    async fn ask(&self, token: &str, sql: &str) -> (StatusCode, String, Duration) {
        let begun = Instant::now();
        let query = self.http.post(format!("{}/api/v1/sql", self.process.base)).bearer_auth(token);
        let answer = query.json(&json!({"sql": sql})).send().await.unwrap();
        let status = answer.status();
        // A large answer that fails in the middle breaks off.
        let code = match answer.bytes().await {
            Ok(body) if !status.is_success() => {
                serde_json::from_slice::<Value>(&body).unwrap()["code"].as_str().unwrap().to_owned()
            }
            Ok(_) => "answered".to_owned(),
            Err(_) => "broken off".to_owned(),
        };
        (status, code, begun.elapsed())
    }

    fn pid(&self) -> u32 {
        self.process.child.id().unwrap()
    }

    /// Memory of the server and of its workers.
    fn memory(&self) -> u64 {
        let mut processes = children(self.pid());
        processes.push(self.pid());
        processes.into_iter().map(|pid| status(pid, "VmRSS:")).sum()
    }
}

/// A figure of a process, in bytes; 0 when it is gone.
fn status(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0 kB");
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

/// Processes that this one has started.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lists = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()).collect()
}

/// All statements, with the file that each is from.
fn statements() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "sql"));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let kind = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("--")).collect();
        let statements = lines.join("\n");
        let statements = statements.split(";\n").map(|sql| sql.trim().trim_end_matches(';'));
        all.extend(statements.filter(|sql| !sql.is_empty()).map(|sql| (kind.clone(), sql.to_owned())));
    }
    all
}

/// The slowest so far, in microseconds.
fn slowest(of: &AtomicU64, took: Duration) {
    of.fetch_max(u64::try_from(took.as_micros()).unwrap(), Relaxed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_takes_the_server_down() {
    let statements = statements();
    assert!(statements.len() >= 50, "{}", statements.len());
    let seconds = std::env::var("HOSTILE_SECONDS").map_or(0, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let target = Arc::new(Target::start(folder.path()).await);
    eventually("all workers run", Duration::from_secs(30), async || {
        (children(target.pid()).len() == WORKERS).then_some(())
    })
    .await;
    for _ in 0..2 * WORKERS {
        assert_eq!(target.ask(&target.other, "select count(*) from bomb").await.0, StatusCode::OK);
    }
    let before = target.memory();

    let stop = Arc::new(AtomicBool::new(false));
    let (peak, health, other) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (looks, questions) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let watching = tokio::spawn({
        let (target, stop, peak) = (Arc::clone(&target), Arc::clone(&stop), Arc::clone(&peak));
        async move {
            while !stop.load(Relaxed) {
                peak.fetch_max(target.memory(), Relaxed);
                sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let balancer = tokio::spawn({
        let (target, stop, health, looks) =
            (Arc::clone(&target), Arc::clone(&stop), Arc::clone(&health), Arc::clone(&looks));
        async move {
            while !stop.load(Relaxed) {
                let begun = Instant::now();
                let answer = target.http.get(format!("{}/api/v1/health", target.process.base)).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
                slowest(&health, begun.elapsed());
                looks.fetch_add(1, Relaxed);
                sleep(Duration::from_millis(50)).await;
            }
        }
    });
    let neighbour = tokio::spawn({
        let (target, stop, other, questions) =
            (Arc::clone(&target), Arc::clone(&stop), Arc::clone(&other), Arc::clone(&questions));
        async move {
            while !stop.load(Relaxed) {
                let (status, code, took) = target.ask(&target.other, "select count(*), max(calls) from bomb").await;
                assert_eq!((status, code.as_str()), (StatusCode::OK, "answered"));
                slowest(&other, took);
                questions.fetch_add(1, Relaxed);
                sleep(Duration::from_millis(100)).await;
            }
        }
    });

    // Two at a time, each statement at least once.
    let begun = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let codes: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let attackers = [0, 1].map(|_| {
        let (target, next, codes) = (Arc::clone(&target), Arc::clone(&next), Arc::clone(&codes));
        let statements = statements.clone();
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= statements.len() && begun.elapsed().as_secs() >= seconds {
                    break;
                }
                let (kind, sql) = &statements[number % statements.len()];
                let (status, code, took) = target.ask(&target.viewer, sql).await;
                if std::env::var_os("HOSTILE_SECONDS").is_some() {
                    println!("{took:>8.0?} {} {code} [{kind}] {:.90}", status.as_u16(), sql.replace('\n', " "));
                }
                assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{kind}: {sql}: {code}");
                // The reader of an answer may be slower than its query.
                assert!(took < Duration::from_secs(ALLOWED + 10), "{kind}: {sql} took {took:?}");
                *codes.lock().unwrap().entry(code).or_default() += 1;
            }
        })
    });
    for attacker in attackers {
        attacker.await.unwrap();
    }
    // Many at once: two run, some wait, the others are told so.
    let endless = "select count(*) from bomb a, bomb b, bomb c, bomb d";
    let burst = futures::future::join_all((0..100).map(|_| target.ask(&target.viewer, endless))).await;
    let of = |wanted: &str| burst.iter().filter(|(_, code, _)| code == wanted).count();
    // Whose turn comes with its deadline may find it over, or no worker in time.
    // Some have had all the memory they may have before.
    let late = of("timeout") + of("out_of_memory");
    let (refused, busy) = (of("too_many_of_yours"), of("too_many_queries"));
    assert!(late >= 1 && refused >= 34 && late + refused + busy == burst.len(), "{burst:?}");
    stop.store(true, Relaxed);
    for task in [watching, balancer, neighbour] {
        task.await.unwrap();
    }

    let grown = peak.load(Relaxed).saturating_sub(before);
    let millis = |of: &AtomicU64| of.load(Relaxed) / 1_000;
    println!(
        "{} statements in {:.0?}: {:?}\nmemory: {} MiB before, {} MiB more at most\n/health: {} times, slowest {} ms\n\
         another user: {} answers, slowest {} ms",
        next.load(Relaxed) - 2,
        begun.elapsed(),
        codes.lock().unwrap(),
        before >> 20,
        grown >> 20,
        looks.load(Relaxed),
        millis(&health),
        questions.load(Relaxed),
        millis(&other),
    );
    assert!(grown < GROWTH, "server and workers grew by {} MiB", grown >> 20);
    // Generous: the machine that runs this may be busy with other things.
    assert!(millis(&health) < 10_000);

    // No place is lost: all of both users' turns can be had at once, and all workers are there.
    let second = "select max(value) from generate_series(1, 3000000) where value % 7 < 9";
    let (a, b) = (&target.viewer, &target.other);
    let all = futures::future::join_all([a, a, b, b].map(|token| target.ask(token, second))).await;
    assert!(all.iter().all(|(status, ..)| *status == StatusCode::OK), "{all:?}");
    eventually("each place has its worker again", Duration::from_secs(30), async || {
        (children(target.pid()).len() == WORKERS).then_some(())
    })
    .await;
}

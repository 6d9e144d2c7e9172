//! Metadata that several processes write, and a folder that holds two files.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use pganalytics_core::TenantId;
use pganalytics_store::{
    StoreError,
    meta_store::{Accounts, Role, User},
    sqlite::{SqliteMetaStore, SqliteOptions, SqliteReader, SqliteStore, backup},
};
use uuid::Uuid;

use crate::spool::minute;

/// Folder of the store that the child writes; without it the child is no child.
const STORE: &str = "PGANALYTICS_TEST_META_STORE";
/// How its users are called.
const NAME: &str = "PGANALYTICS_TEST_META_NAME";

fn user(name: &str) -> User {
    User {
        id: Uuid::new_v4(),
        tenant: TenantId::DEFAULT,
        username: name.to_owned(),
        password_hash: "$argon2id$1".to_owned(),
        role: Role::Viewer,
        version: 1,
        created_at: minute(0),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// What runs in the child: opens the store, tries to be first, adds users for ever, and
/// says what was done.
#[test]
fn child_adder() {
    let (Ok(folder), Ok(name)) = (env::var(STORE), env::var(NAME)) else { return };
    let say = |line: String| std::io::stdout().write_all(format!("done {line}\n").as_bytes()).unwrap();
    runtime().block_on(async {
        let store = SqliteMetaStore::open(&folder).unwrap();
        let first = store.add_first_user(&user(&format!("first-{name}"))).await.unwrap();
        say(format!("first {first}"));
        for number in 0.. {
            store.add_user(&user(&format!("{name}-{number}"))).await.unwrap();
            say(format!("added {number}"));
        }
    });
}

fn start(folder: &Path, name: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["meta::child_adder", "--exact", "--nocapture", "--test-threads=1"])
        .env(STORE, folder)
        .env(NAME, name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills a child after a while; says whether it was first, and the last number that it added.
fn kill(mut child: Child) -> (bool, i64) {
    child.kill().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    child.wait().unwrap();
    let (mut first, mut last) = (false, -1);
    for line in output.lines().map_while(Result::ok) {
        // The first one stands behind what the test harness prints.
        let said = line.find("done ").and_then(|at| line.get(at..)).unwrap_or_default();
        match said.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["done", "first", is_first] => first = *is_first == "true",
            ["done", "added", number] => last = number.parse().unwrap(),
            _ => {}
        }
    }
    (first, last)
}

#[test]
fn processes_at_once_make_one_store_and_lose_nothing_when_they_are_killed() {
    for round in 0..4_u64 {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("store");
        // All of them find no file, and make it.
        let children: Vec<_> =
            (0..4).map(|child| (format!("{round}-{child}"), start(&folder, &format!("{round}-{child}")))).collect();
        std::thread::sleep(Duration::from_millis(400 + 130 * round));
        let ended: Vec<_> = children.into_iter().map(|(name, child)| (name, kill(child))).collect();
        let firsts = ended.iter().filter(|(_, (first, _))| *first).count();
        assert!(firsts <= 1, "{firsts} first users");
        let added: i64 = ended.iter().map(|(_, (_, last))| last + 1).sum();
        assert!(added > 4, "too little was written: {ended:?}");
        runtime().block_on(async {
            let store = SqliteMetaStore::open(&folder).unwrap();
            for (name, (_, last)) in &ended {
                for number in 0..=*last {
                    let found = store.user_by_name(&format!("{name}-{number}")).await.unwrap();
                    assert!(found.is_some(), "{name}-{number} was added, and is not there");
                }
                let beyond = store.user_by_name(&format!("{name}-{}", last + 2)).await.unwrap();
                assert!(beyond.is_none(), "{name}-{} came out of nowhere", last + 2);
            }
        });
    }
}

#[tokio::test]
async fn what_one_process_writes_another_reads_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = SqliteMetaStore::open(folder.path()).unwrap();
    let command = SqliteMetaStore::open(folder.path()).unwrap();
    for number in 0..20 {
        let user = user(&format!("user{number}"));
        command.add_user(&user).await.unwrap();
        assert_eq!(server.user(user.id).await.unwrap().as_ref(), Some(&user));
        server.end_sessions(user.id).await.unwrap();
        assert_eq!(command.user(user.id).await.unwrap().unwrap().version, 2);
    }
}

#[test]
fn a_store_of_one_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pganalytics.db"), "an old store").unwrap();
    let refusals = [
        SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap_err(),
        SqliteMetaStore::open(folder.path()).unwrap_err(),
        SqliteReader::open(folder.path()).unwrap_err(),
        backup::copy(folder.path(), folder.path()).unwrap_err(),
        backup::check(folder.path()).unwrap_err(),
    ];
    for refused in refusals {
        assert!(matches!(refused, StoreError::TooOld(_)), "{refused}");
        let said = refused.to_string();
        assert!(said.contains("pganalytics.db") && said.contains("move it away"), "{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn each_file_has_its_own_purpose_and_a_folder_is_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap());
    drop(SqliteMetaStore::open(folder.path()).unwrap());
    let (metrics, meta) = (folder.path().join("metrics.db"), folder.path().join("meta.db"));
    for error in [
        SqliteStore::open(&metrics, SqliteOptions::default()).unwrap_err(),
        SqliteMetaStore::open(&meta).unwrap_err(),
        SqliteReader::open(&metrics).unwrap_err(),
    ] {
        assert!(error.to_string().contains("name the folder"), "{error}");
    }
    let other = folder.path().join("other");
    fs::rename(&metrics, &other).unwrap();
    fs::rename(&meta, &metrics).unwrap();
    fs::rename(&other, &meta).unwrap();
    for error in [
        SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap_err(),
        SqliteMetaStore::open(folder.path()).unwrap_err(),
    ] {
        assert!(matches!(&error, StoreError::Corrupt(why) if why.contains("another purpose")), "{error}");
    }
    fs::remove_file(&meta).unwrap();
    let newer = tempfile::tempdir().unwrap();
    drop(SqliteMetaStore::open(newer.path()).unwrap());
    let file = newer.path().join("meta.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let refused = SqliteMetaStore::open(newer.path()).unwrap_err();
    assert!(matches!(refused, StoreError::TooNew { found: 99, .. }), "{refused}");
}

#[test]
fn who_restores_has_the_store_alone() {
    let folder = tempfile::tempdir().unwrap();
    let command = SqliteMetaStore::open(folder.path()).unwrap();
    let error = backup::StoreLock::take(folder.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("meta.db")), "{error}");
    // What was taken of it is given back.
    drop(SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap());
    drop(command);
    let restore = backup::StoreLock::take(folder.path()).unwrap();
    let error = SqliteMetaStore::open(folder.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("try again")), "{error}");
    drop(restore);
    SqliteMetaStore::open(folder.path()).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_reads_metadata() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("store");
    let store = SqliteMetaStore::open(&inner).unwrap();
    store.add_user(&user("ada")).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    let files: Vec<_> = fs::read_dir(&inner).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metadata_of_a_copy_is_not_older_than_its_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    let meta = SqliteMetaStore::open(folder.path()).unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    // A collector is registered, then it pushes: frame n is there only if user n is.
    let writer = tokio::spawn({
        let stop = std::sync::Arc::clone(&stop);
        async move {
            use pganalytics_store::MetricStore as _;
            let spool = crate::spool::Spool::new(1);
            let mut number = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                meta.add_user(&user(&format!("user{number}"))).await.unwrap();
                metrics.append(&spool.origin, spool.stream, spool.frames([number])).await.unwrap();
            }
            number
        }
    });
    let mut newest = 0;
    for _ in 0..20 {
        let to = tempfile::tempdir().unwrap();
        let (from, into) = (folder.path().to_owned(), to.path().to_owned());
        let files = tokio::task::spawn_blocking(move || backup::copy(&from, &into)).await.unwrap().unwrap();
        assert_eq!(files.len(), 2);
        let copied = SqliteReader::open(to.path()).unwrap();
        let frames = crate::spool::stored(&copied, 0).await;
        let Some((_, number)) = frames.last() else { continue };
        let meta = SqliteMetaStore::open(to.path()).unwrap();
        let known = meta.user_by_name(&format!("user{number}")).await.unwrap();
        assert!(known.is_some(), "frame {number} is there, and who sent it is not");
        newest = *number;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(newest > 0 && writer.await.unwrap() >= newest);
}

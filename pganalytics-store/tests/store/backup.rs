//! Copies of a store that is being written: of one moment, whole, and told from damaged ones.

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use pganalytics_store::{
    Job, MetricStore, StoreError,
    sqlite::{SqliteMetaStore, SqliteOptions, SqliteStore, backup},
};

use crate::spool::{Spool, minute, stored};

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, SqliteOptions::default()).unwrap()
}

async fn numbers(folder: &Path) -> Vec<i64> {
    stored(&open(folder), 0).await.into_iter().map(|(_, number)| number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_under_load_has_what_was_acknowledged_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (last, stop) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
    let writer = tokio::spawn({
        let (store, last, stop) = (store.clone(), Arc::clone(&last), Arc::clone(&stop));
        async move {
            let spool = Spool::new(1);
            while !stop.load(Ordering::Relaxed) {
                let next = last.load(Ordering::Relaxed) + 1;
                store.append(&spool.origin, spool.stream, spool.frames(next..next + 5)).await.unwrap();
                last.store(next + 4, Ordering::Relaxed);
                if next % 50 == 1 {
                    store.maintain(Job::Compact { before: minute(next) }).await.unwrap();
                }
            }
        }
    });
    for round in 1..=5 {
        while last.load(Ordering::Relaxed) < round * 60 {
            tokio::task::yield_now().await;
        }
        let to = tempfile::tempdir().unwrap();
        let acknowledged = last.load(Ordering::Relaxed);
        let (from, into) = (folder.path().to_owned(), to.path().to_owned());
        let files = tokio::task::spawn_blocking(move || backup::copy(&from, &into)).await.unwrap().unwrap();
        for file in &files {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        // Nothing lies beside, that could be forgotten when it is moved.
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), files.len());
        let checked = backup::check(to.path()).unwrap();
        let found = numbers(to.path()).await;
        assert!(found.len() as i64 >= acknowledged, "{acknowledged} acknowledged, {} copied", found.len());
        assert_eq!(found, (1..=found.len() as i64).collect::<Vec<_>>(), "a whole beginning, each once");
        assert!(checked.chunks > 0 && checked.values >= found.len() as u64, "{checked:?}");
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

#[tokio::test]
async fn a_damaged_store_is_found_and_another_programs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let spool = Spool::new(1);
    store.append(&spool.origin, spool.stream, spool.frames(1..2000)).await.unwrap();
    drop(store);
    let file = folder.path().join("metrics.db");
    let good = fs::read(&file).unwrap();
    assert_eq!(backup::check(folder.path()).unwrap().chunks, 1999);
    // The text of a row, which SQLite does not look at.
    let at = good.windows(32).rposition(|bytes| bytes == [b'x'; 32]).unwrap_or(good.len() * 3 / 4);
    fs::OpenOptions::new().write(true).open(&file).unwrap().write_all_at(b"Y", at as u64).unwrap();
    let error = backup::check(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    let error = backup::check(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    fs::write(&file, "no database, but text that is long enough to be looked at as one").unwrap();
    assert!(backup::check(folder.path()).is_err());
    let to = tempfile::tempdir().unwrap();
    assert!(backup::copy(folder.path(), to.path()).is_err());

    let nothing = tempfile::tempdir().unwrap();
    for error in [backup::copy(nothing.path(), to.path()).unwrap_err(), backup::check(nothing.path()).unwrap_err()] {
        assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(nothing.path()).unwrap().count(), 0, "looking makes nothing");
}

#[tokio::test]
async fn a_store_of_metrics_alone_is_copied_and_both_files_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let to = tempfile::tempdir().unwrap();
    assert_eq!(backup::copy(folder.path(), to.path()).unwrap(), [to.path().join("metrics.db")]);
    backup::check(to.path()).unwrap();
    drop(SqliteMetaStore::open(to.path()).unwrap());
    backup::check(to.path()).unwrap();
    let meta = to.path().join("meta.db");
    let good = fs::read(&meta).unwrap();
    fs::write(&meta, &good[..good.len() / 2]).unwrap();
    let error = backup::check(to.path()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
}

#[test]
fn a_store_that_is_open_is_locked_and_one_that_is_locked_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let lock = backup::StoreLock::take(folder.path()).unwrap();
    let error = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap_err();
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    drop(lock);
    let store = open(folder.path());
    assert!(backup::StoreLock::take(folder.path()).is_err());
    drop(store);
    backup::StoreLock::take(folder.path()).unwrap();
}

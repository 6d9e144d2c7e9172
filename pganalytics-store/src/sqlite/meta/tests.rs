#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    MetricStore,
    meta_store::{Accounts, Settings},
    sqlite::{SqliteOptions, SqliteStore},
};

const STRAY: &str = "INSERT INTO settings VALUES ('stray', x'00')";

#[tokio::test]
async fn what_fails_or_panics_in_the_middle_is_undone_and_the_next_call_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteMetaStore::open(folder.path()).unwrap();
    let failed = store
        .write("straying", |connection| {
            connection.execute(STRAY, [])?;
            Ok(Err::<(), _>(StoreError::NotFound { what: "test", name: String::new() }))
        })
        .await;
    assert!(matches!(failed, Err(StoreError::NotFound { .. })), "{failed:?}");
    assert_eq!(store.setting_or_insert("other", b"1").await.unwrap(), b"1");
    let failed = store
        .write("straying", |connection| {
            connection.execute(STRAY, [])?;
            if connection.is_autocommit() { Ok(Ok(())) } else { panic!("a bug") }
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(store.setting_or_insert("stray", b"mine").await.unwrap(), b"mine");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_happens_wholly() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteMetaStore::open(folder.path()).unwrap();
    for round in 0..50_u32 {
        let names = [format!("{round} a"), format!("{round} b")];
        let call = store.write("writing two", move |connection| {
            for name in names {
                connection.execute("INSERT INTO settings VALUES (?1, x'00')", [name])?;
            }
            Ok(Ok(()))
        });
        // Given up at whatever point it is at.
        let _ = tokio::time::timeout(std::time::Duration::from_micros(u64::from(round) * 40), call).await;
    }
    let count = |sql: &'static str| {
        store.write("counting", move |connection| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(Ok))
    };
    let halves = count("SELECT count(*) FROM settings GROUP BY substr(name, 1, 2) HAVING count(*) <> 2").await;
    assert!(halves.is_err(), "one of two was written: {halves:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_does_not_wait_for_the_writer_of_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    let meta = SqliteMetaStore::open(folder.path()).unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (busy, is_busy) = tokio::sync::oneshot::channel();
    let long = {
        let metrics = metrics.clone();
        tokio::spawn(async move { metrics.hold_writer(busy, held).await })
    };
    is_busy.await.unwrap();
    // The writer has a transaction open and does not go on before this is done.
    meta.setting_or_insert("name", b"value").await.unwrap();
    assert!(!meta.has_users().await.unwrap());
    release.send(()).unwrap();
    long.await.unwrap();
    metrics.check().await.unwrap();
}

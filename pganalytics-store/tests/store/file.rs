use std::{fs, path::Path};

use pganalytics_core::CollectorId;
use pganalytics_store::{
    AppendOutcome, ChunkSource, FrameOutcome, MetricStore, Quotas, StoreError,
    sqlite::{SqliteOptions, SqliteStore},
};

use crate::spool::{Spool, stored};

fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, SqliteOptions::default())
}

#[tokio::test]
async fn what_was_accepted_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(1);
    for _ in 0..3 {
        let store = open(folder.path()).unwrap();
        store.append(&spool.origin, spool.stream, spool.frames(1..=4)).await.unwrap();
        assert_eq!(stored(&store, 0).await.len(), 4);
        assert_eq!(store.stored(spool.origin.tenant).await.unwrap()[0].rows, 4);
    }
}

#[tokio::test]
async fn quotas_and_owners_hold_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut quotas = Quotas::per_collector();
    quotas.streams = 3;
    let [mut first, mut second] = [1, 2].map(Spool::new);
    first.origin.quotas = quotas;
    (second.origin.quotas, second.origin.collector) = (quotas, CollectorId::random());
    let outcomes = |outcome: AppendOutcome| {
        let code = |outcome| match outcome {
            FrameOutcome::Rejected { code, .. } => code,
            _ => "ok",
        };
        outcome.frames.into_iter().map(|(_, outcome)| code(outcome)).collect::<Vec<_>>()
    };
    for numbers in [[1, 3], [5, 7]] {
        let store = open(folder.path()).unwrap();
        let mine = store.append(&first.origin, first.stream, first.frames(numbers)).await.unwrap();
        let expected = if numbers == [1, 3] { ["ok", "ok"] } else { ["ok", "too_many_streams"] };
        assert_eq!(outcomes(mine), expected);
        let others = store.append(&second.origin, second.stream, second.frames([1])).await.unwrap();
        assert_eq!(outcomes(others), ["source_belongs_to_another_collector"]);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("data/store");
    let store = open(&inner).unwrap();
    let spool = Spool::new(1);
    store.append(&spool.origin, spool.stream, spool.frames([1])).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.path().join("data")), mode(&inner)), (0o700, 0o700));
    let files: Vec<_> = fs::read_dir(&inner).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_second_writer_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let second = open(folder.path()).unwrap_err();
    assert!(matches!(second, StoreError::Unavailable(_)), "{second}");
    let said = second.to_string();
    assert!(said.contains("open for writing already") && said.contains(&std::process::id().to_string()), "{said}");
    drop(first);
    open(folder.path()).unwrap();
}

#[test]
fn a_newer_store_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let file = folder.path().join("metrics.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let refused = open(folder.path()).unwrap_err();
    assert!(matches!(refused, StoreError::TooNew { found: 99, known: 7 }), "{refused}");
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = fs::read(&file).unwrap();
    let refused = open(folder.path()).unwrap_err();
    assert!(refused.to_string().contains("another program"), "{refused}");
    assert!(fs::read(&file).unwrap() == before, "it was changed");
    fs::write(&file, "no database at all, but longer than the header of one would be, by some hundred bytes".repeat(9))
        .unwrap();
    assert!(matches!(open(folder.path()).unwrap_err(), StoreError::Corrupt(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_neither_wait_nor_hold_up() {
    use futures::StreamExt;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let spool = Spool::new(1);
    store.append(&spool.origin, spool.stream, spool.frames(1..=10)).await.unwrap();
    let select = pganalytics_store::ChunkSelect {
        tenant: spool.origin.tenant,
        measurement: spool.frame(1).frame().unwrap().schema().measurement().clone(),
        from: crate::spool::minute(0),
        to: crate::spool::minute(1000),
        servers: None,
        databases: None,
    };
    // More streams than the pool keeps connections, all begun, none finished.
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = store.chunks(select.clone()).await.unwrap();
        stream.next().await.unwrap().unwrap();
        streams.push(stream);
    }
    store.append(&spool.origin, spool.stream, spool.frames(11..=20)).await.unwrap();
    for stream in streams {
        assert_eq!(stream.count().await, 9, "a stream sees the moment at which it was begun");
    }
    assert_eq!(store.chunks(select).await.unwrap().count().await, 20);
}

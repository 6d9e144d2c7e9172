//! Tests that reach inside: what can't be brought about from outside.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use futures::StreamExt;
use pganalytics_core::{
    Batch, CollectorId, Column, ColumnKind, ColumnType, CounterFamily, Epoch, InstanceId, MeasurementName, RowsBuilder,
    Schema, Scrape, ScrapeClock, ScrapeKind, Seq, ServerId, Source, StreamId, TenantId, Timestamp, Value,
    frame::VerifiedFrame,
};
use rusqlite::Connection;

use super::{SqliteOptions, SqliteStore, error::Doing, names::Memory, shrink};
use crate::{ChunkSelect, ChunkSource, Job, MetricStore, Origin, StoreError};

const ORIGIN: Origin =
    Origin::new(TenantId::DEFAULT, CollectorId::from_uuid(uuid::Uuid::from_u128(7)), Timestamp::from_secs(0));
const STREAM: StreamId = StreamId::from_uuid(uuid::Uuid::from_u128(8));

/// Writes what must be undone.
const STRAY: &str = "INSERT INTO totals VALUES (x'00', 'stray', 0, 0, 0, NULL, NULL)";

fn frame(measurement: &str, seq: u64, text: usize) -> VerifiedFrame {
    let columns = vec![Column::new("text", ColumnKind::Key, ColumnType::Text)];
    let schema = Schema::new(MeasurementName::new(measurement).unwrap(), CounterFamily::None, columns).unwrap();
    let mut rows = RowsBuilder::new(&schema);
    // Text that does not compress well.
    let mut random = seq | 1;
    let noise: String = (0..text)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + u8::try_from((random >> 57) % 90).unwrap())
        })
        .collect();
    rows.push(&[Value::Text(&noise)]).unwrap();
    let server_id = ServerId::of_host("a");
    let instance_id = InstanceId::of_address(server_id, "a");
    let seconds = i64::try_from(seq).unwrap() * 60;
    let batch = Batch {
        rows: rows.finish(),
        schema: schema.into(),
        source: Source { server_id, instance_id, server: "a".into(), database: None },
        scrape: Scrape {
            collected_at: Timestamp::from_secs(seconds),
            interval_micros: 1,
            kind: ScrapeKind::Keyframe,
            epoch: Epoch::default(),
            clock: ScrapeClock::default(),
        },
    };
    VerifiedFrame::of_batch(Seq(seq), &batch).unwrap()
}

fn all(measurement: &str) -> ChunkSelect {
    ChunkSelect {
        tenant: TenantId::DEFAULT,
        measurement: MeasurementName::new(measurement).unwrap(),
        from: Timestamp::from_micros(i64::MIN),
        to: Timestamp::from_micros(i64::MAX),
        servers: None,
        databases: None,
    }
}

async fn count(store: &SqliteStore, measurement: &str) -> usize {
    store.chunks(all(measurement)).await.unwrap().filter(|chunk| std::future::ready(chunk.is_ok())).count().await
}

async fn pragma(store: &SqliteStore, sql: &'static str) -> i64 {
    let read = move |connection: &Connection, _: &mut Memory| {
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).doing(sql)
    };
    store.inner.writer.call(1, read).await.unwrap()
}

fn open() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    (folder, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_whole_groups_and_heals() {
    let (_folder, store) = open();
    store.append(&ORIGIN, STREAM, vec![frame("m", 1, 10)]).await.unwrap();
    let pages = pragma(&store, "PRAGMA page_count").await;
    // From now on SQLite is told that the disk is full after 40 more pages.
    let limit = format!("PRAGMA max_page_count = {}", pages + 40);
    store
        .inner
        .writer
        .call(1, move |c, _: &mut Memory| c.query_row(&limit, [], |_| Ok(())).doing("limit"))
        .await
        .unwrap();
    let mut appends = tokio::task::JoinSet::new();
    for seq in 0..20 {
        let store = store.clone();
        let frames = vec![frame("m", 2 + 2 * seq, 70_000), frame("m", 3 + 2 * seq, 70_000)];
        appends.spawn(async move { (seq, store.append(&ORIGIN, STREAM, frames).await) });
    }
    let (mut accepted, mut refused) = (1, Vec::new());
    while let Some(done) = appends.join_next().await {
        match done.unwrap() {
            (_, Ok(outcome)) => accepted += outcome.accepted(),
            (seq, Err(StoreError::DiskFull(_))) => refused.push(seq),
            (_, Err(other)) => panic!("{other}"),
        }
    }
    assert!(!refused.is_empty());
    assert_eq!(count(&store, "m").await, accepted, "nothing of a refused group is stored");
    assert_eq!(store.stored(TenantId::DEFAULT).await.unwrap()[0].rows, accepted as u64);
    // There is room again: the same frames are accepted, none was forgotten or doubled.
    pragma(&store, "PRAGMA max_page_count = 1000000").await;
    for seq in refused {
        let frames = vec![frame("m", 2 + 2 * seq, 70_000), frame("m", 3 + 2 * seq, 70_000)];
        assert_eq!(store.append(&ORIGIN, STREAM, frames).await.unwrap().accepted(), 2);
    }
    assert_eq!(count(&store, "m").await, 41);
}

/// Fails whatever needs more than so many pages more, at whichever statement that is.
async fn limit_pages(store: &SqliteStore, more: i64) {
    let pages = pragma(store, "PRAGMA page_count").await;
    let limit = format!("PRAGMA max_page_count = {}", pages + more);
    let set = move |c: &Connection, _: &mut Memory| c.query_row(&limit, [], |_| Ok(())).doing("limiting");
    store.inner.writer.call(1, set).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_between_statements_loses_and_doubles_nothing() {
    const FRAMES: u64 = 12;
    let mut failed = 0;
    for more in 0..40 {
        let (_folder, store) = open();
        let frames =
            |from: u64| (from..from + FRAMES).map(|seq| frame(&format!("m{}", seq % 3), seq, 30_000)).collect();
        store.append(&ORIGIN, STREAM, frames(1)).await.unwrap();
        let all = async || count(&store, "m0").await + count(&store, "m1").await + count(&store, "m2").await;
        let jobs = [Job::Heads, Job::Compact { before: Timestamp::from_secs(50 * 3600) }];
        limit_pages(&store, more).await;
        let appended = store.append(&ORIGIN, STREAM, frames(FRAMES + 1)).await;
        for job in &jobs {
            // It may fail, and what it did stays done.
            failed += usize::from(store.maintain(job.clone()).await.is_err());
        }
        limit_pages(&store, 1_000_000).await;
        let again = store.append(&ORIGIN, STREAM, frames(FRAMES + 1)).await.unwrap();
        match appended {
            Ok(outcome) => assert_eq!((outcome.accepted(), again.duplicates()), (12, 12), "{more}"),
            Err(error) => {
                assert!(matches!(error, StoreError::DiskFull(_)), "{more}: {error}");
                assert_eq!(again.accepted(), 12, "{more}: something of it was stored");
                failed += 1;
            }
        }
        for job in jobs {
            store.maintain(job).await.unwrap();
        }
        assert_eq!(all().await, 3, "{more}: one block of each, all in one hour");
        let stored = store.stored(TenantId::DEFAULT).await.unwrap();
        assert_eq!(stored.iter().map(|one| one.rows).sum::<u64>(), 2 * FRAMES, "{more}");
        assert_eq!(pragma(&store, "SELECT sum(last - first + 1) FROM ledger").await, 24, "{more}");
        let job =
            Job::Retain { now: Timestamp::from_secs(90 * 3600), default: std::time::Duration::ZERO, retention: vec![] };
        limit_pages(&store, 0).await;
        let retained = store.maintain(job.clone()).await;
        limit_pages(&store, 1_000_000).await;
        store.maintain(job).await.unwrap();
        assert_eq!(all().await, 0, "{more}: {retained:?}");
        assert_eq!(pragma(&store, "SELECT count(*) FROM series").await, 0, "{more}");
    }
    assert!(failed > 5, "only {failed} calls failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_leaves_its_group_alone() {
    let (_folder, store) = open();
    let mut calls = tokio::task::JoinSet::new();
    for seq in 1..=60 {
        let store = store.clone();
        calls.spawn(async move {
            if seq % 2 == 0 {
                let work = |connection: &Connection, _: &mut Memory| {
                    connection.execute(STRAY, []).doing("straying")?;
                    Err::<(), _>(StoreError::NotFound { what: "test", name: String::new() })
                };
                assert!(store.inner.writer.call(1, work).await.is_err());
            } else {
                assert_eq!(store.append(&ORIGIN, STREAM, vec![frame("m", seq, 10)]).await.unwrap().accepted(), 1);
            }
        });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
    assert_eq!(count(&store, "m").await, 30);
    assert_eq!(pragma(&store, "SELECT count(*) FROM totals").await, 1, "a failed call is undone");
    assert_eq!(pragma(&store, "SELECT count(*) FROM ledger").await, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_panics_ends_the_store_and_loses_nothing() {
    let (folder, store) = open();
    store.append(&ORIGIN, STREAM, vec![frame("m", 1, 10)]).await.unwrap();
    let failed = {
        let store = store.clone();
        tokio::spawn(async move { store.failed().await })
    };
    let bug = |connection: &Connection, _: &mut Memory| {
        connection.execute(STRAY, []).doing("writing")?;
        if connection.is_autocommit() { Ok(()) } else { panic!("a bug") }
    };
    let lost = store.inner.writer.call(1, bug).await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    let failed = tokio::time::timeout(std::time::Duration::from_secs(10), failed).await.unwrap().unwrap();
    assert!(matches!(&failed, StoreError::Unavailable(why) if why.contains("writer")), "{failed}");
    // It fails closed, and says so to whoever looks.
    let refused = store.append(&ORIGIN, STREAM, vec![frame("m", 2, 10)]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    assert!(store.check().await.is_err());
    drop(store);
    let again = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    assert_eq!(count(&again, "m").await, 1);
    assert_eq!(pragma(&again, "SELECT count(*) FROM totals").await, 1, "what panicked is undone");
    again.append(&ORIGIN, STREAM, vec![frame("m", 2, 10)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_frame_is_found_and_stops_nothing_else() {
    let (_folder, store) = open();
    let frames = vec![frame("bad", 1, 40), frame("bad", 2, 40), frame("good", 3, 40), frame("good", 4, 40)];
    store.append(&ORIGIN, STREAM, frames).await.unwrap();
    let damage = |connection: &Connection, _: &mut Memory| {
        let sql =
            "UPDATE chunks SET data = CAST(substr(data, 1, 30) || x'ff' || substr(data, 32) AS BLOB) WHERE id = 2";
        connection.execute(sql, []).doing("damaging")
    };
    assert_eq!(store.inner.writer.call(1, damage).await.unwrap(), 1);
    let read: Vec<_> = store.chunks(all("bad")).await.unwrap().collect().await;
    let error = read.into_iter().find_map(Result::err).unwrap();
    assert!(matches!(&error, StoreError::Damaged { chunk: 2, .. }), "{error}");
    let job = Job::Compact { before: Timestamp::from_secs(7200) };
    assert_eq!(store.maintain(job).await.unwrap().chunks_in, 3);
    assert_eq!((count(&store, "good").await, count(&store, "bad").await), (1, 1), "what can be read was joined");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_samples_give_their_pages_back() {
    let (_folder, store) = open();
    for seq in 1..=40 {
        store.append(&ORIGIN, STREAM, vec![frame("m", seq, 100_000)]).await.unwrap();
    }
    let before = pragma(&store, "PRAGMA page_count").await;
    let hour = std::time::Duration::from_secs(3600);
    let job = Job::Retain { now: Timestamp::from_secs(20 * 3600), default: hour, retention: vec![] };
    assert_eq!(store.maintain(job).await.unwrap().dropped, 40);
    shrink::shrink_all(&store.inner).await.unwrap();
    assert_eq!(pragma(&store, "PRAGMA freelist_count").await, 0);
    assert!(pragma(&store, "PRAGMA page_count").await < before / 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_series_are_retained_in_few_commits() {
    let (_folder, store) = open();
    const SERIES: u64 = 400;
    let frames = (0..SERIES).flat_map(|series| {
        let name = format!("m{series}");
        [frame(&name, 2 * series + 1, 10), frame(&name, 2 * series + 2, 10)]
    });
    store.append(&ORIGIN, STREAM, frames.collect()).await.unwrap();
    let before = store.inner.writer.commits();
    let (hour, now) = (std::time::Duration::from_secs(3600), Timestamp::from_secs(500 * 3600));
    let job = Job::Retain { now, default: hour, retention: vec![] };
    assert_eq!(store.maintain(job).await.unwrap().dropped, 2 * SERIES);
    let commits = store.inner.writer.commits() - before;
    assert!(commits < SERIES / 4, "{commits} commits for {SERIES} series");
    assert_eq!(pragma(&store, "SELECT count(*) FROM series").await, 0);
    assert_eq!(pragma(&store, "SELECT count(*) FROM sources").await, 0);
    // What the writer remembers went with it.
    store.append(&ORIGIN, STREAM, vec![frame("m1", 5000, 10)]).await.unwrap();
    assert_eq!(count(&store, "m1").await, 1);
    assert_eq!(store.sources(TenantId::DEFAULT).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_silent_for_longer_than_anything_is_kept_is_forgotten() {
    let (_folder, store) = open();
    let day = 86_400;
    let retain = |days: i64| Job::Retain {
        now: Timestamp::from_secs(days * day),
        default: std::time::Duration::from_secs(7 * 86_400),
        retention: vec![],
    };
    let at = |days: i64| Origin { received_at: Timestamp::from_secs(days * day), ..ORIGIN };
    let other = StreamId::from_uuid(uuid::Uuid::from_u128(9));
    // Far more ranges than go in one step.
    let holes = || (1..=300).map(|seq| frame("m", 2 * seq, 10)).collect::<Vec<_>>();
    store.append(&at(0), STREAM, holes()).await.unwrap();
    store.append(&at(0), other, vec![frame("m", 1, 10)]).await.unwrap();
    store.append(&at(30), other, vec![frame("m", 2, 10)]).await.unwrap();
    store.maintain(retain(399)).await.unwrap();
    assert_eq!(store.append(&at(0), STREAM, vec![frame("m", 2, 10)]).await.unwrap().duplicates(), 1);
    store.maintain(retain(401)).await.unwrap();
    assert_eq!(pragma(&store, "SELECT count(*) FROM ledger").await, 1, "of the stream that was heard later");
    assert_eq!(pragma(&store, "SELECT count(*) FROM digests").await, 1);
    assert_eq!(store.append(&at(401), STREAM, vec![frame("m", 2, 10)]).await.unwrap().accepted(), 1);
    assert_eq!(store.append(&at(401), other, vec![frame("m", 2, 10)]).await.unwrap().duplicates(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_begun_anew_and_gone_at_the_end() {
    let (folder, store) = open();
    let log = || std::fs::metadata(folder.path().join("metrics.db-wal")).map_or(0, |file| file.len());
    let mut longest = 0;
    for seq in 1..=240 {
        store.append(&ORIGIN, STREAM, vec![frame("m", seq, 400_000)]).await.unwrap();
        longest = longest.max(log());
        if seq % 40 == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
        }
    }
    // Over 96 MB went through it.
    assert!(longest < 64 << 20, "the log grew to {longest} bytes");
    drop(store);
    assert_eq!(log(), 0);
}

//! Bits that flip in the file of a store: the chunk is set aside, all else goes on, and whoever
//! asks is told.

use std::{fs, os::unix::fs::FileExt, path::Path, sync::Arc, time::Duration};

use pganalytics_core::{
    Batch, CollectorId, Column, ColumnKind, ColumnType, CounterFamily, Epoch, Incarnation, InstanceId, MeasurementName,
    Position, RowsBuilder, Schema, Scrape, ScrapeClock, ScrapeKind, Seq, ServerId, Source, StreamId, TenantId,
    Timestamp, Value, frame::VerifiedFrame,
};
use pganalytics_store::{
    Job, MetricStore, Origin, StoreError,
    sql::{Answer, SqlGuard, SqlPrincipal, to_json_rows},
    sqlite::{SqliteOptions, SqliteReader, SqliteStore},
};
use uuid::Uuid;

/// 2026-01-31T12:00:00Z, a full hour.
const START: i64 = 1_769_860_800;
const TENANT: TenantId = TenantId::DEFAULT;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_secs(START + 60 * minute)
}

fn open(folder: &Path) -> SqliteStore {
    let mut options = SqliteOptions::default();
    options.engine.latest_lookback = Duration::from_secs(200 * 366 * 86_400);
    SqliteStore::open(folder, options).unwrap()
}

/// A scrape of `keys` keys, all of which have the minute as their value.
fn frame(database: &str, minute: i64, keys: i64, keyframe: bool) -> VerifiedFrame {
    let columns = vec![
        Column::new("id", ColumnKind::Key, ColumnType::Int),
        Column::new("value", ColumnKind::Counter, ColumnType::Int),
        Column::new("noise", ColumnKind::Gauge, ColumnType::Int),
    ];
    let schema = Schema::new(MeasurementName::new("damaged").unwrap(), CounterFamily::Cumulative, columns).unwrap();
    let mut rows = RowsBuilder::new(&schema);
    for id in 0..keys {
        let noise =
            (id + 7 * minute + 1_000 * database.len() as i64).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed());
        rows.push(&[Value::Int(id), Value::Int(minute), Value::Int(noise)]).unwrap();
    }
    let server_id = ServerId::of_host("db1");
    let batch = Batch {
        rows: rows.finish(),
        schema: Arc::new(schema),
        source: Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, "db1"),
            server: "db1".into(),
            database: Some(database.into()),
        },
        scrape: Scrape {
            collected_at: at(minute),
            interval_micros: 60_000_000,
            kind: if keyframe { ScrapeKind::Keyframe } else { ScrapeKind::Delta },
            epoch: Epoch::default(),
            clock: ScrapeClock::default(),
        },
    };
    let seq = minute.unsigned_abs() + 1;
    let position =
        Position { seq: Seq(seq), base: (seq > 1).then_some(Seq(seq - 1)), incarnation: Incarnation::UNKNOWN };
    VerifiedFrame::of_batch(position, &batch).unwrap()
}

async fn fill(store: &SqliteStore, minutes: i64, keys: i64) {
    for (number, database) in [(1_u128, "app"), (2, "other")] {
        let origin = Origin::new(TENANT, CollectorId::from_uuid(Uuid::from_u128(number)), at(0));
        let stream = StreamId::from_uuid(Uuid::from_u128(number));
        let frames = (0..minutes).map(|minute| frame(database, minute, keys, minute % 60 == 0)).collect();
        store.append(&origin, stream, frames).await.unwrap();
    }
}

async fn ask(store: &SqliteStore, sql: &str) -> Result<(Vec<String>, Answer, Vec<String>), StoreError> {
    let query = SqlGuard::default().check(sql, Vec::new(), SqlPrincipal::new(TENANT)).unwrap();
    let rows = store.query(query).await?;
    let warnings = rows.warnings().to_vec();
    let answer = rows.into_answer().await?;
    let lines = answer.batches.iter().flat_map(to_json_rows).map(|row| serde_json::to_string(&row).unwrap()).collect();
    Ok((lines, answer, warnings))
}

/// Flips a bit of a blob in the closed store's file, at a share of its length.
fn flip(folder: &Path, sql: &str, share: f64) -> i64 {
    let file = folder.join("metrics.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    let (id, data): (i64, Vec<u8>) = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    drop(connection);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let wanted = ((data.len() as f64 * share) as usize).min(data.len() - 1);
    let bytes = fs::read(&file).unwrap();
    // Long enough to hold noise, and so to be of no other blob. Where the file goes on in
    // another page it is none.
    let len = 1024.min(data.len());
    for shift in 0..len {
        let Some(from) = wanted.checked_sub(shift).filter(|from| from + len <= data.len()) else { continue };
        let window = &data[from..from + len];
        let found = bytes.windows(len).enumerate().filter(|(_, bytes)| *bytes == window);
        // Pages that are free may have old copies.
        let places: Vec<u64> = found.map(|(place, _)| (place + wanted - from) as u64).collect();
        let handle = fs::OpenOptions::new().read(true).write(true).open(&file).unwrap();
        for place in &places {
            let mut byte = [0];
            handle.read_exact_at(&mut byte, *place).unwrap();
            handle.write_all_at(&[byte[0] ^ 0x04], *place).unwrap();
        }
        if !places.is_empty() {
            return id;
        }
    }
    panic!("the blob was not found in the file");
}

const PLACES: [f64; 5] = [0.0, 0.2, 0.5, 0.8, 1.0];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_frame_is_a_gap_to_queries_and_jobs() {
    for place in PLACES {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        fill(&store, 30, 3).await;
        drop(store);
        // Minute 10 of the first source.
        let chunk = flip(folder.path(), "SELECT id, data FROM chunks WHERE id = 11", place);
        let store = open(folder.path());
        let (rows, _, warnings) = ask(&store, "SELECT database_name, time, id, value FROM damaged").await.unwrap();
        // What the frame before said is carried on.
        assert_eq!(rows.len(), 2 * 30 * 3 - 3, "{place}");
        assert!(warnings[0].contains("damaged of db1, database app has a gap"), "{warnings:?}");
        let sql = "SELECT count(*) FROM damaged_delta WHERE database_name = 'app' AND delta_quality <> 'exact'";
        let (doubtful, _, _) = ask(&store, sql).await.unwrap();
        assert_ne!(doubtful[0], "[0]", "{place}: an increase over the gap is no exact one");
        let sql = "SELECT measurement, database_name, reason, first_seq FROM pganalytics_gaps";
        let (gaps, _, warnings) = ask(&store, sql).await.unwrap();
        assert_eq!(gaps, [r#"["damaged","app","damaged_at_rest",11]"#], "{place}");
        assert!(warnings.is_empty(), "the query names no measurement: {warnings:?}");
        let aside = store.quarantined(TENANT).await.unwrap();
        assert_eq!((aside.len(), aside[0].chunk, aside[0].rows), (1, chunk.unsigned_abs(), 3), "{place}");
        assert_eq!((aside[0].from, aside[0].to), (at(10), at(10)));
        assert!(store.quarantined(TenantId::from_uuid(Uuid::from_u128(9))).await.unwrap().is_empty());

        // It stays so, whoever opens it, and jobs do not meet it.
        drop(store);
        let store = open(folder.path());
        assert_eq!(SqliteReader::open(folder.path()).unwrap().quarantined_blocking().unwrap(), aside);
        let report = store.maintain(Job::Compact { before: at(600) }).await.unwrap();
        assert_eq!(report.chunks_in, 59, "{place}");
        assert_eq!(ask(&store, "SELECT * FROM damaged").await.unwrap().0.len(), 2 * 30 * 3 - 3);
        // Sent again, it is known still.
        let origin = Origin::new(TENANT, CollectorId::from_uuid(Uuid::from_u128(1)), at(0));
        let again = store.append(&origin, StreamId::from_uuid(Uuid::from_u128(1)), vec![frame("app", 10, 3, false)]);
        assert_eq!(again.await.unwrap().duplicates(), 1);
        let retain = |minute| Job::Retain { now: at(minute), default: Duration::from_secs(3600), retention: vec![] };
        store.maintain(retain(60)).await.unwrap();
        assert_eq!(store.quarantined(TENANT).await.unwrap().len(), 1);
        store.maintain(retain(75)).await.unwrap();
        assert!(store.quarantined(TENANT).await.unwrap().is_empty(), "it ends with its retention");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_frames_do_not_hold_up_compaction_and_retention() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 90, 3).await;
    drop(store);
    for id in [5, 6, 40, 95] {
        flip(folder.path(), &format!("SELECT id, data FROM chunks WHERE id = {id}"), 0.5);
    }
    let store = open(folder.path());
    store.maintain(Job::Compact { before: at(600) }).await.unwrap();
    assert_eq!(ask(&store, "SELECT * FROM damaged").await.unwrap().0.len(), 3 * (180 - 4));
    assert_eq!(store.maintain(Job::Compact { before: at(600) }).await.unwrap().chunks_in, 0, "it comes to rest");
    assert_eq!(store.quarantined(TENANT).await.unwrap().len(), 4);
    let retain = Job::Retain { now: at(600), default: Duration::from_secs(3600), retention: vec![] };
    store.maintain(retain).await.unwrap();
    assert!(store.quarantined(TENANT).await.unwrap().is_empty());
    assert!(store.sources(TENANT).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_blocks_with_pages_and_damaged_heads_are_found_wherever_a_bit_flips() {
    for place in PLACES {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        fill(&store, 70, 40).await;
        store.maintain(Job::Heads).await.unwrap();
        store.maintain(Job::Compact { before: at(60) }).await.unwrap();
        let sum = "SELECT sum(value) FROM damaged_delta WHERE database_name = 'app'";
        let latest = "SELECT database_name, id, value FROM damaged_latest ORDER BY 1, 2";
        let present = ask(&store, latest).await.unwrap().0;
        assert_eq!(present.len(), 80);
        drop(store);
        // The block of the first hour has more than one page of rows.
        flip(folder.path(), "SELECT id, data FROM chunks WHERE level = 1 ORDER BY id LIMIT 1", place);
        flip(folder.path(), "SELECT series, data FROM heads ORDER BY series LIMIT 1", place);
        let store = open(folder.path());
        let (rows, _, warnings) = ask(&store, latest).await.unwrap();
        assert_eq!(rows, present, "{place}: a head is made of what is there");
        assert!(warnings.is_empty(), "{place}: what is damaged was not needed: {warnings:?}");
        assert_eq!(ask(&store, sum).await.unwrap().0.len(), 1);
        for sql in ["SELECT * FROM damaged", "SELECT * FROM damaged_delta", "SELECT value FROM damaged WHERE id = 7"] {
            let (_, _, warnings) = ask(&store, sql).await.unwrap();
            assert_eq!(warnings.len(), 1, "{place}: {sql}");
        }
        let aside = store.quarantined(TENANT).await.unwrap();
        assert_eq!(aside.len(), 1, "{place}: the head is not kept: {aside:?}");
        assert_eq!((aside[0].frame, aside[0].from, aside[0].to), (None, at(0), at(59)));
        // The other source has lost nothing.
        let (rows, _, _) = ask(&store, "SELECT * FROM damaged WHERE database_name = 'other'").await.unwrap();
        assert_eq!(rows.len(), 70 * 40, "{place}");
    }
}

#[tokio::test]
async fn what_can_be_read_is_not_set_aside_whoever_asks() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 3, 3).await;
    for chunk in [1, 2, 3, 99, u64::MAX] {
        assert!(!store.set_aside(chunk).await.unwrap(), "{chunk}");
    }
    assert!(store.quarantined(TENANT).await.unwrap().is_empty());
    assert_eq!(ask(&store, "SELECT * FROM damaged").await.unwrap().0.len(), 18);
}

//! A question about some keys of large blocks has the same answer as one that
//! reads all of them.

use std::sync::{Arc, atomic::Ordering};

use pganalytics_core::{CounterFamily, Scrape, ScrapeClock, ScrapeKind, StreamId, Value, frame::VerifiedFrame};

use super::fixture::{Feed, at, epoch, options, query, rows, schema, sorted};
use crate::{
    Job, MetricStore,
    sql::{SqlLimits, sums::MADE},
};

const KEYS: i64 = 300;

/// Three hours of many keys, two of them compacted: blocks of some pages, with
/// keys that go and come back, that are reset, that are there in one hour only.
async fn feed() -> Feed {
    fed().await.0
}

async fn fed() -> (Feed, Vec<VerifiedFrame>) {
    let (mut feed, mut frames) = (Feed::new(), Vec::new());
    let columns = [
        ("id", "key:int"),
        ("name", "key:text"),
        ("calls", "counter:int"),
        ("size", "gauge:int"),
        ("note", "info:text"),
    ];
    let schema = Arc::new(schema("m", CounterFamily::Cumulative, &columns));
    for minute in 0..170_i64 {
        let mut rows = Vec::new();
        let names: Vec<String> = (0..KEYS).map(|id| format!("name {}", id % 7)).collect();
        let notes: Vec<String> = (0..KEYS).map(|id| format!("note {}", (id + minute / 30) % 5)).collect();
        for (id, (name, note)) in (0..).zip(names.iter().zip(&notes)) {
            let changes = minute == 0 || (id * 31 + minute * 17) % 9 < 2;
            let gone = id % 11 == 3 && minute % 50 == 20;
            let late = id % 13 == 5 && minute < 70;
            if late || !(changes || gone) {
                continue;
            }
            let calls = if id % 17 == 4 && minute > 90 { minute } else { minute * id };
            let size = if id % 3 == 0 { Value::Null } else { Value::Int(calls % 50) };
            rows.push((vec![Value::Int(id), Value::Text(name), Value::Int(calls), size, Value::Text(note)], gone));
        }
        let kind = if minute == 0 { ScrapeKind::Keyframe } else { ScrapeKind::Delta };
        let collected_at = at(60 * minute);
        let (epoch, clock) = (epoch(-100), ScrapeClock::default());
        let scrape = Scrape { collected_at, interval_micros: 60_000_000, kind, epoch, clock };
        let frame = feed.frame(&schema, scrape, &rows);
        frames.push(frame.clone());
        feed.append(vec![frame]).await;
    }
    feed.store.maintain(Job::Compact { before: at(2 * 3600) }).await.unwrap();
    (feed, frames)
}

#[tokio::test(flavor = "multi_thread")]
async fn some_keys_of_large_blocks() {
    let feed = feed().await;
    // The second form is no filter over keys: the engine applies it to all rows.
    let filters = [
        ("id = 7", "id + 0 * coalesce(calls, 0) = 7"),
        ("id IN (3, 4, 5, 299)", "id + 0 * coalesce(calls, 0) IN (3, 4, 5, 299)"),
        ("name = 'name 3' AND id < 40", "concat(name, left(note, 0)) = 'name 3' AND id + 0 * coalesce(calls, 0) < 40"),
        ("id % 2 = 0", "(id + 0 * coalesce(calls, 0)) % 2 = 0"),
        ("id = 1000", "id + 0 * coalesce(calls, 0) = 1000"),
    ];
    let whens = ["true", "time >= '2026-01-31 12:30:00' AND time < '2026-01-31 14:10:00'"];
    for (narrow, wide) in filters {
        for table in ["m", "m_delta", "m_latest"] {
            for when in whens {
                let ask = |filter: &str| format!("SELECT * FROM {table} WHERE {filter} AND {when}");
                let (some, all) = (feed.ask(&ask(narrow)).await, feed.ask(&ask(wide)).await);
                assert_eq!(sorted(some), sorted(all), "{}", ask(narrow));
            }
        }
    }
    let some = feed.ask("SELECT count(*), sum(calls) FROM m_delta WHERE id = 7").await;
    assert!(some[0][0].as_i64().unwrap() > 30 && some[0][1].as_i64().unwrap() > 0, "{some:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_without_rows_are_those_of_rows() {
    let feed = feed().await;
    let wheres = [
        "true",
        "time > '2026-01-31 11:00:00'",
        "time >= '2026-01-31 12:30:00' AND time < '2026-01-31 14:10:00'",
        "time >= '2026-01-31 13:00:00' AND time < '2026-01-31 14:00:00'",
        "id = 7",
        "id % 2 = 0 AND time < '2026-01-31 14:00:00'",
        "name = 'name 3' AND id < 40",
    ];
    let groups = ["id", "name", "id, name", "server, id"];
    for when in wheres {
        for group in groups {
            let ask =
                |more: &str| format!("SELECT {group}, sum(calls){more} FROM m_delta t WHERE {when} GROUP BY {group}");
            let sums = feed.ask(&ask("")).await;
            // What counts rows must read them.
            let mut counted = feed.ask(&ask(", count(*)")).await;
            counted.iter_mut().for_each(|row| drop(row.pop()));
            assert_eq!(sorted(sums), sorted(counted), "{}", ask(""));
        }
        let (sum, counted) = (
            feed.ask(&format!("SELECT sum(calls) FROM m_delta WHERE {when}")).await,
            feed.ask(&format!("SELECT sum(calls), count(*) FROM m_delta WHERE {when}")).await,
        );
        assert_eq!(sum[0][0], counted[0][0], "{when}");
    }
    assert!(MADE.load(Ordering::Relaxed) > 0, "rows were read");
}

/// What reads only the pages and notes of blocks that it needs answers as what has them whole.
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn parts_of_blocks_answer_as_whole_ones() {
    use crate::sqlite::{SqliteOptions, SqliteStore};

    let (feed, frames) = fed().await;
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { engine: options(), ..SqliteOptions::default() };
    let store = SqliteStore::open(folder.path(), options).unwrap();
    store.append(&feed.origin, StreamId::random(), frames).await.unwrap();
    store.maintain(Job::Compact { before: at(2 * 3600) }).await.unwrap();
    let when = "time >= '2026-01-31 12:20:00' AND time < '2026-01-31 14:20:00'";
    for sql in [
        format!("SELECT * FROM m_delta WHERE id = 7 AND {when}"),
        format!("SELECT time, calls FROM m_delta WHERE id IN (3, 4, 250) AND {when}"),
        format!("SELECT * FROM m WHERE name = 'name 3' AND id < 40 AND {when}"),
        format!("SELECT time, id, size FROM m WHERE {when}"),
        format!("SELECT time, id, note, delta_quality FROM m_delta WHERE {when}"),
        format!("SELECT id, sum(calls) FROM m_delta WHERE {when} GROUP BY id"),
        "SELECT name, sum(calls) FROM m_delta GROUP BY name".to_owned(),
        "SELECT * FROM m_latest WHERE id = 11".to_owned(),
        "SELECT * FROM m_delta WHERE id = 1000".to_owned(),
    ] {
        // Twice: the second time heads and keys are known.
        for _ in 0..2 {
            let query = query(&sql, Vec::new(), feed.origin.tenant, SqlLimits::default());
            let answer = store.query(query).await.unwrap().into_answer().await.unwrap();
            assert_eq!(sorted(rows(&answer)), sorted(feed.ask(&sql).await), "{sql}");
        }
    }
}

//! `m_delta` of events that were tried on live servers.

use std::sync::Arc;

use pganalytics_core::{CounterFamily, Epoch, Schema, ScrapeKind, Value};
use serde_json::json;

use super::fixture::{Feed, at, epoch, schema};
use crate::{Job, MetricStore};
use ScrapeKind::{Delta, Keyframe};

const NOW: Epoch = Epoch { stamp: None, started: None, evictions: None };

fn tables() -> Arc<Schema> {
    let columns = [("id", "key:int"), ("writes", "counter:int"), ("scans", "counter:int")];
    Arc::new(schema("m", CounterFamily::Cumulative, &columns).with_derived(["scans"]).unwrap())
}

fn row(id: i64, writes: i64, scans: i64) -> Vec<Value<'static>> {
    vec![Value::Int(id), Value::Int(writes), Value::Int(scans)]
}

const ALL: &str = "SELECT id, writes, scans, delta_seconds, delta_quality FROM m_delta ORDER BY time, id";

async fn compacted(feed: &Feed) {
    feed.store.maintain(Job::Compact { before: at(1_000_000) }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monotone_counter_adds_up_to_what_was_done() {
    let (mut feed, schema) = (Feed::new(), tables());
    let mut value = 1_000_000;
    for minute in 0..240 {
        value += (minute * 37) % 101;
        let kind = if minute % 50 == 0 { Keyframe } else { Delta };
        feed.scrape(&schema, minute, kind, NOW, &[row(1, value, value / 2), row(2, 5, 5)]).await;
    }
    for when in ["before compaction", "after compaction"] {
        for (from, what) in [(0, value - 1_000_000), (61, 0), (239, 0)] {
            let first = feed.ask(&format!("SELECT writes FROM m WHERE id = 1 AND time = '{}'", minute(from))).await;
            let last = feed.ask("SELECT writes FROM m_latest WHERE id = 1").await;
            let sum = format!("SELECT sum(writes) FROM m_delta WHERE id = 1 AND time > '{}'", minute(from));
            let sum = feed.ask(&sum).await;
            let done = last[0][0].as_i64().unwrap() - first[0][0].as_i64().unwrap();
            assert_eq!(sum[0][0].as_i64().unwrap_or_default(), done, "{when} from {from}");
            assert!(what == 0 || done == what);
        }
        let idle = feed.ask("SELECT count(*), count(writes) FROM m_delta WHERE id = 2").await;
        assert_eq!(idle, [[json!(1), json!(0)]], "an idle row is there once, {when}");
        compacted(&feed).await;
    }
}

fn minute(number: i64) -> String {
    jiff::Timestamp::from_microsecond(at(60 * number).as_micros()).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_gives_lower_bounds_and_then_exact_ones() {
    let (mut feed, schema) = (Feed::new(), tables());
    feed.scrape(&schema, 0, Keyframe, epoch(-60), &[row(1, 100, 10), row(2, 7, 7)]).await;
    feed.scrape(&schema, 1, Delta, epoch(-60), &[row(1, 130, 11)]).await;
    // Key 2 has counted past its old value already.
    feed.scrape(&schema, 2, Keyframe, epoch(90), &[row(1, 4, 2), row(2, 9, 9)]).await;
    feed.scrape(&schema, 3, Delta, epoch(90), &[row(1, 6, 2)]).await;
    let expected = json!([
        [1, null, null, null, "unknown"],
        [2, null, null, null, "unknown"],
        [1, 30, 1, 60.0, "exact"],
        [1, 4, 2, 60.0, "lower_bound"],
        [2, 9, 9, 60.0, "lower_bound"],
        [1, 2, 0, 60.0, "exact"],
    ]);
    assert_eq!(json!(feed.ask(ALL).await), expected);
    compacted(&feed).await;
    assert_eq!(json!(feed.ask(ALL).await), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_derived_counter_stands_by_itself() {
    let (mut feed, schema) = (Feed::new(), tables());
    feed.scrape(&schema, 0, Keyframe, NOW, &[row(1, 100, 50)]).await;
    // An index was dropped: what it counted is missing from the sum.
    feed.scrape(&schema, 1, Delta, NOW, &[row(1, 110, 20)]).await;
    feed.scrape(&schema, 2, Delta, NOW, &[row(1, 110, 25)]).await;
    // The table was reset; its indexes were not.
    feed.scrape(&schema, 3, Delta, NOW, &[row(1, 3, 26)]).await;
    let expected = json!([
        [1, null, null, null, "unknown"],
        [1, 10, null, 60.0, "exact"],
        [1, 0, 5, 60.0, "exact"],
        [1, 3, 1, 60.0, "lower_bound"],
    ]);
    assert_eq!(json!(feed.ask(ALL).await), expected);
    compacted(&feed).await;
    assert_eq!(json!(feed.ask(ALL).await), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_go_by_their_stamp() {
    let columns = [("id", "key:int"), ("calls", "counter:int"), ("stats_since", "info:time")];
    let schema = schema("m", CounterFamily::Statements, &columns).with_row_stamp("stats_since").unwrap();
    let (mut feed, schema) = (Feed::new(), Arc::new(schema));
    let row = |id, calls, since| vec![Value::Int(id), Value::Int(calls), Value::Timestamp(at(since).as_micros())];
    feed.scrape(&schema, 0, Keyframe, NOW, &[row(1, 10, -600), row(2, 20, -600)]).await;
    // 1 was reset and has counted further than before; 3 is new; 4 was not shown before.
    let now = [row(1, 15, 30), row(2, 25, -600), row(3, 2, 40), row(4, 900, -600)];
    feed.scrape(&schema, 1, Delta, NOW, &now).await;
    let sql = "SELECT id, calls, delta_quality FROM m_delta WHERE delta_seconds > 0 ORDER BY id";
    let expected = json!([[1, 15, "lower_bound"], [2, 5, "exact"], [3, 2, "exact"], [4, null, "unknown"]]);
    assert_eq!(json!(feed.ask(sql).await), expected);
}

/// The agent could not reach the server for hours, and the keyframe that ended
/// it was lost: what a range shows must not be more than what happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_without_a_keyframe_before_it_inflates_nothing() {
    let (mut feed, schema) = (Feed::new(), tables());
    feed.scrape(&schema, 0, Keyframe, NOW, &[row(1, 500, 0), row(2, 900, 0)]).await;
    for minute in 1..300 {
        feed.scrape(&schema, minute, Delta, NOW, &[row(1, 500 + minute, 0)]).await;
    }
    feed.scrape(&schema, 300, Keyframe, NOW, &[row(1, 800, 0), row(2, 901, 0)]).await;
    feed.scrape(&schema, 301, Delta, NOW, &[row(2, 902, 0), row(3, 4, 0)]).await;
    let sql = format!("{} WHERE time >= '{}'", "SELECT id, writes, delta_quality FROM m_delta", minute(299));
    let expected = json!([[1, 1, "exact"], [1, 1, "exact"], [2, null, "unknown"], [2, 1, "exact"], [3, 4, "exact"],]);
    for _ in 0..2 {
        assert_eq!(json!(feed.ask(&format!("{sql} ORDER BY time, id")).await), expected);
        compacted(&feed).await;
    }
    // Read from the beginning everything is known.
    let all = feed.ask("SELECT count(*) FROM m_delta WHERE delta_quality = 'unknown'").await;
    assert_eq!(all, [[json!(2)]]);
}

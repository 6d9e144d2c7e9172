//! A keyframe in parts: nothing ends before all of them are there.

use std::sync::Arc;

use pganalytics_core::{CounterFamily, Epoch, Scrape, ScrapeClock, ScrapeKind, Value};
use serde_json::{Value as Json, json};

use super::fixture::{Feed, at, schema, shown};
use crate::{Job, MetricStore};

/// Ids and counts that are live at the end, and those of all rows at a minute.
async fn seen(feed: &Feed) -> (Vec<Vec<Json>>, Vec<Vec<Json>>) {
    let latest = feed.ask("SELECT id, calls FROM m_latest ORDER BY id").await;
    let sql = "SELECT id, calls, delta_seconds, delta_quality FROM m_delta WHERE time = $1 ORDER BY id";
    let time = shown(at(60));
    (latest, feed.ask(&sql.replace("$1", &format!("'{}'", time.as_str().unwrap()))).await)
}

#[tokio::test]
async fn rows_of_a_part_that_is_not_there_go_on_and_what_is_in_no_part_ends_with_the_last() {
    let schema = Arc::new(schema("m", CounterFamily::Cumulative, &[("id", "key:int"), ("calls", "counter:int")]));
    let row = |id: i64, calls: i64| vec![Value::Int(id), Value::Int(calls)];
    for late in [0, 1, 2] {
        for compacted_between in [false, true] {
            let mut feed = Feed::new();
            let whole: Vec<_> = (1..=7).map(|id| row(id, 10)).collect();
            feed.scrape(&schema, 0, ScrapeKind::Keyframe, Epoch::default(), &whole).await;
            let scrape = Scrape {
                collected_at: at(60),
                interval_micros: 60_000_000,
                kind: ScrapeKind::Keyframe,
                epoch: Epoch::default(),
                clock: ScrapeClock::default(),
            };
            // 7 is gone, of the others two are in each part.
            let rows: Vec<_> = (1..=6).map(|id| (row(id, 15), false)).collect();
            let mut parts = feed.keyframe_in_parts(&schema, scrape, &rows, 3);
            let lacking = parts.remove(late);
            parts.reverse();
            feed.append(parts).await;
            let there = |id: i64| (id - 1) / 2 != i64::try_from(late).unwrap();
            let expected: Vec<_> =
                (1..=7).map(|id| vec![json!(id), json!(if id < 7 && there(id) { 15 } else { 10 })]).collect();
            let (latest, _) = seen(&feed).await;
            assert_eq!(latest, expected, "without part {late}");
            if compacted_between {
                // Too late for what it ends, not for its rows.
                feed.store.maintain(Job::Compact { before: at(100_000) }).await.unwrap();
                assert_eq!(seen(&feed).await.0, expected, "without part {late}, compacted");
            }
            feed.append(vec![lacking]).await;
            for compacted in [false, true] {
                if compacted {
                    feed.store.maintain(Job::Compact { before: at(100_000) }).await.unwrap();
                }
                let (latest, increases) = seen(&feed).await;
                let mut expected: Vec<_> = (1..=6).map(|id| vec![json!(id), json!(15)]).collect();
                if compacted_between {
                    expected.push(vec![json!(7), json!(10)]);
                } else {
                    let exact = |id| vec![json!(id), json!(5), json!(60.0), json!("exact")];
                    assert_eq!(increases, (1..=6).map(exact).collect::<Vec<_>>(), "part {late} last");
                }
                assert_eq!(latest, expected, "part {late} last, compacted {compacted}");
            }
        }
    }
}

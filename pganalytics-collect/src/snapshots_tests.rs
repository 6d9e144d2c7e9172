#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use pganalytics_core::{Incarnation, Position, Seq, Timestamp, catalog::Measurement, frame::encode};
use proptest::prelude::*;

use super::*;
use crate::{change_filter::ChangeFilter, scrape::full_scrape};

const FILE: &str = "name = \"app_queue\"\nscope = \"agent\"\n[[column]]\nname = \"queue\"\nkind = \"key\"\n\
                    type = \"text\"\n[[column]]\nname = \"waiting\"\nkind = \"gauge\"\ntype = \"int\"\n";

type Table = BTreeMap<String, i64>;

/// An agent's end of the way: a filter and numbers.
struct Agent {
    measurement: Measurement,
    filter: ChangeFilter,
    stream: StreamId,
    seq: u64,
    base: Option<Seq>,
    began: Instant,
}

impl Agent {
    fn new(file: &str) -> Self {
        let measurement = Measurement::parse(file, "app_queue.toml").unwrap();
        let (filter, stream) = (ChangeFilter::new(), StreamId::random());
        Self { measurement, filter, stream, seq: 0, base: None, began: Instant::now() }
    }

    fn scrape(&mut self, rows: &Table) -> (Position, Bytes) {
        self.seq += 1;
        let time = Timestamp::from_secs(i64::try_from(self.seq).unwrap());
        let rows: Vec<_> = rows.iter().collect();
        let full = full_scrape(&self.measurement, Source::host("shop"), time, &rows, |row, column| match column {
            "queue" => Some(Value::Text(row.0)),
            _ => Some(Value::Int(*row.1)),
        });
        let now = self.began + Duration::from_secs(self.seq);
        let batch = self.filter.apply(full.unwrap(), now.into()).unwrap().batch;
        let base = (batch.scrape.kind == ScrapeKind::Delta).then_some(self.base).flatten();
        self.base = Some(Seq(self.seq));
        let position = Position { seq: Seq(self.seq), base, incarnation: Incarnation(1) };
        (position, encode(&batch).unwrap().into())
    }

    fn group(&self, frames: Vec<(Position, Bytes)>) -> FrameGroup {
        FrameGroup { stream: self.stream, frames }
    }
}

fn table(snapshot: &Snapshot) -> Table {
    let rows = &snapshot.batch.rows;
    (0..rows.len())
        .map(|row| match (rows.get(row, 0), rows.get(row, 1)) {
            (Value::Text(queue), Value::Int(waiting)) => (queue.to_owned(), waiting),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn rows(rows: &[(&str, i64)]) -> Table {
    rows.iter().map(|(queue, waiting)| ((*queue).to_owned(), *waiting)).collect()
}

#[tokio::test]
async fn the_parts_of_a_keyframe_end_what_is_in_none_of_them_when_all_are_there() {
    for lacking in [None, Some(0), Some(1)] {
        let (mut agent, snapshots) = (Agent::new(FILE), Snapshots::new());
        let first = agent.scrape(&rows(&[("gone", 1), ("a", 1), ("b", 1), ("c", 1)]));
        let parts = [("a", ScrapeKind::Delta), ("b", ScrapeKind::Delta), ("c", ScrapeKind::LastPart { parts: 3 })];
        let time = Timestamp::from_secs(100);
        let parts = parts.map(|(name, kind)| {
            let full =
                full_scrape(&agent.measurement, Source::host("shop"), time, &[name], |name, column| match column {
                    "queue" => Some(Value::Text(name)),
                    _ => Some(Value::Int(2)),
                });
            let mut batch = full.unwrap();
            batch.scrape.kind = kind;
            agent.seq += 1;
            let position =
                Position { seq: Seq(agent.seq), base: Some(Seq(agent.seq - 1)), incarnation: Incarnation(1) };
            (position, Bytes::from(encode(&batch).unwrap()))
        });
        snapshots.deliver(agent.group(vec![first])).await.unwrap();
        for (part, frame) in parts.into_iter().enumerate().filter(|(part, _)| Some(*part) != lacking) {
            snapshots.deliver(agent.group(vec![frame])).await.unwrap();
            if part < 2 {
                assert!(table(&snapshots.wait_for("app_queue").await).contains_key("gone"), "not known yet");
            }
        }
        let snapshot = snapshots.wait_for("app_queue").await;
        let whole = rows(&[("a", 2), ("b", 2), ("c", 2)]);
        assert_eq!((table(&snapshot) == whole, snapshot.complete), (lacking.is_none(), lacking.is_none()));
        assert_eq!(table(&snapshot).contains_key("gone"), lacking.is_some());
    }
}

#[tokio::test]
async fn what_did_not_change_is_there_and_what_is_gone_is_gone() {
    let (mut agent, snapshots) = (Agent::new(FILE), Snapshots::new());
    for now in [&[("mail", 3), ("invoices", 0)][..], &[("mail", 4), ("invoices", 0)], &[("mail", 4)]] {
        let frame = agent.scrape(&rows(now));
        snapshots.deliver(agent.group(vec![frame])).await.unwrap();
        let snapshot = snapshots.wait_for("app_queue").await;
        assert_eq!((table(&snapshot), snapshot.complete), (rows(now), true));
        assert_eq!(snapshot.batch.scrape.kind, ScrapeKind::Keyframe);
    }
    for keyframe in [false, true] {
        if keyframe {
            agent.filter.force_keyframe();
        }
        let end = agent.scrape(&Table::new());
        snapshots.deliver(agent.group(vec![end])).await.unwrap();
        assert!(snapshots.series().is_empty() && snapshots.of("app_queue").is_empty());
        let again = agent.scrape(&rows(&[("mail", 5)]));
        snapshots.deliver(agent.group(vec![again])).await.unwrap();
        assert!(snapshots.wait_for("app_queue").await.complete);
    }
}

#[tokio::test]
async fn a_missing_frame_is_told_until_the_next_keyframe() {
    let (mut agent, snapshots) = (Agent::new(FILE), Snapshots::new());
    let first = agent.scrape(&rows(&[("mail", 1), ("invoices", 1)]));
    let missing = agent.scrape(&rows(&[("mail", 1), ("invoices", 2)]));
    let third = agent.scrape(&rows(&[("mail", 3), ("invoices", 2)]));
    snapshots.deliver(agent.group(vec![first.clone(), third])).await.unwrap();
    let snapshot = snapshots.wait_for("app_queue").await;
    assert_eq!((table(&snapshot), snapshot.complete), (rows(&[("mail", 3), ("invoices", 1)]), false));
    // Late or twice: it changes nothing.
    let delivery = snapshots.deliver(agent.group(vec![missing, first])).await.unwrap();
    assert!(delivery.stored.contains(Seq(2)) && delivery.duplicate.contains(Seq(1)));
    assert_eq!(snapshots.wait_for("app_queue").await, snapshot);
    agent.filter.force_keyframe();
    let whole = agent.scrape(&rows(&[("mail", 3), ("invoices", 2)]));
    snapshots.deliver(agent.group(vec![whole])).await.unwrap();
    assert!(snapshots.wait_for("app_queue").await.complete);
}

#[tokio::test]
async fn what_is_told_once_is_kept_within_bounds() {
    let facts = FILE.replacen("scope", "presence = \"append\"\nscope", 1);
    let (mut agent, snapshots) = (Agent::new(&facts), Snapshots::new());
    for round in 0..12 {
        let told = (0..1000).map(|fact| (format!("{round} {fact:03}"), fact)).collect();
        let frame = agent.scrape(&told);
        snapshots.deliver(agent.group(vec![frame])).await.unwrap();
    }
    let kept = table(&snapshots.wait_for("app_queue").await);
    assert_eq!(kept.len(), MOST_FACTS);
    assert!(kept.contains_key("11 999") && kept.contains_key("2 000") && !kept.contains_key("1 999"));
}

proptest! {
    /// Whatever changes and whatever is lost: complete snapshots are the truth.
    #[test]
    fn complete_snapshots_are_the_truth(
        states in prop::collection::vec(
            (prop::collection::btree_map("[a-d]", 0_i64..3, 0..4), prop::bool::weighted(0.2), prop::bool::weighted(0.1)),
            1..30,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut agent, snapshots) = (Agent::new(FILE), Snapshots::new());
            let mut sure = true;
            for (now, lost, keyframe) in states {
                if keyframe {
                    agent.filter.force_keyframe();
                }
                let frame = agent.scrape(&now);
                sure |= keyframe;
                if lost {
                    sure = false;
                    continue;
                }
                snapshots.deliver(agent.group(vec![frame])).await.unwrap();
                let found = snapshots.of("app_queue");
                for snapshot in found.iter().filter(|snapshot| snapshot.complete) {
                    prop_assert_eq!(table(snapshot), now.clone());
                }
                prop_assert!(!sure || now.is_empty() || found.iter().any(|snapshot| snapshot.complete));
            }
            Ok(())
        })?;
    }
}

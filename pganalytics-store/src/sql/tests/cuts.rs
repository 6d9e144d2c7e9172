//! Frames are lost in every position: nothing is shown as known that is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pganalytics_core::{
    CounterFamily, CutSource, Gap, GapReason, Position, Schema, Scrape, ScrapeClock, ScrapeKind, Seq, Value,
    frame::VerifiedFrame,
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value as Json, json};

use super::fixture::{Feed, at, epoch, schema, shown};
use crate::{Job, MetricStore};

const KEYS: usize = 3;

#[derive(Debug, Clone)]
enum Change {
    Nothing,
    Rise(i64),
    /// Its counter begins anew and has counted to less than before.
    Reset(i64),
    Vanish,
    Return(i64),
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Lost,
    /// It comes when all others are compacted.
    Late,
}

#[derive(Debug, Clone)]
struct Step {
    minutes: i64,
    changes: Vec<Change>,
    keyframe: bool,
    fate: Fate,
    compact: bool,
}

/// How a reader learns of what is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Frames name the one before.
    ByBases,
    /// The agent declares it.
    ByGaps,
    Both,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => Just(Change::Nothing),
        4 => (1_i64..9).prop_map(Change::Rise),
        1 => (0_i64..3).prop_map(Change::Reset),
        1 => Just(Change::Vanish),
        2 => (0_i64..9).prop_map(Change::Return),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![5 => Just(Fate::Kept), 2 => Just(Fate::Lost), 1 => Just(Fate::Late)];
    (1_i64..12, vec(change(), KEYS), prop::bool::weighted(0.2), fate, prop::bool::weighted(0.1))
        .prop_map(|(minutes, changes, keyframe, fate, compact)| Step { minutes, changes, keyframe, fate, compact })
}

/// A key as it is, and all that was ever counted under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Truth {
    calls: Option<i64>,
    counted: i64,
}

struct World {
    feed: Feed,
    schema: Arc<Schema>,
    told: Told,
    minute: i64,
    keys: [Truth; KEYS],
    sent: Option<[Truth; KEYS]>,
    seq: u64,
    /// The truth at each scrape, as times are shown.
    truth: BTreeMap<String, [Truth; KEYS]>,
    /// Scrapes whose rows must all be there and none be doubted: all frames since
    /// a keyframe are stored.
    certain: BTreeSet<String>,
    whole: bool,
    late: Vec<VerifiedFrame>,
    lost: Option<Gap>,
    stored: usize,
}

impl World {
    fn new(told: Told) -> Self {
        let columns = [("id", "key:int"), ("calls", "counter:int")];
        Self {
            feed: Feed::new(),
            schema: Arc::new(schema("m", CounterFamily::Cumulative, &columns)),
            told,
            minute: 0,
            keys: [Truth::default(); KEYS],
            sent: None,
            seq: 0,
            truth: BTreeMap::new(),
            certain: BTreeSet::new(),
            whole: false,
            late: Vec::new(),
            lost: None,
            stored: 0,
        }
    }

    fn live(&mut self, step: &Step) {
        self.minute += step.minutes;
        for (key, change) in self.keys.iter_mut().zip(&step.changes) {
            match (change, key.calls) {
                (Change::Rise(more), Some(calls)) => {
                    *key = Truth { calls: Some(calls + more), counted: key.counted + more }
                }
                (Change::Reset(to), Some(calls)) if *to < calls => {
                    *key = Truth { calls: Some(*to), counted: key.counted + to };
                }
                (Change::Vanish, Some(_)) => key.calls = None,
                (Change::Return(calls), None) => {
                    *key = Truth { calls: Some(*calls), counted: key.counted + calls };
                }
                _ => {}
            }
        }
    }

    /// The frame of the scrape.
    fn frame(&mut self, step: &Step) -> VerifiedFrame {
        let kind = if step.keyframe || self.sent.is_none() { ScrapeKind::Keyframe } else { ScrapeKind::Delta };
        let sent = self.sent.replace(self.keys).filter(|_| kind == ScrapeKind::Delta);
        let mut rows = Vec::new();
        for (id, key) in (0_i64..).zip(&self.keys) {
            let before = sent.and_then(|sent| sent[usize::try_from(id).unwrap()].calls);
            match key.calls {
                Some(calls) if sent.is_none() || before != Some(calls) => {
                    rows.push((vec![Value::Int(id), Value::Int(calls)], false));
                }
                None if before.is_some() => rows.push((vec![Value::Int(id), Value::Null], true)),
                _ => {}
            }
        }
        let scrape = Scrape {
            collected_at: at(60 * self.minute),
            interval_micros: 60_000_000,
            kind,
            epoch: epoch(-1_000),
            clock: ScrapeClock::default(),
        };
        let base = Some(Seq(self.seq)).filter(|base| base.0 > 0 && self.told != Told::ByGaps);
        self.seq += 1;
        let frame = self.feed.frame(&self.schema, scrape, &rows);
        frame.at(Position { base, ..Seq(self.seq).into() })
    }

    async fn store(&mut self, step: &Step) {
        let is_keyframe = step.keyframe || self.sent.is_none();
        let frame = self.frame(step);
        self.truth.insert(shown(at(60 * self.minute)).as_str().unwrap().to_owned(), self.keys);
        match step.fate {
            Fate::Kept => {
                self.whole = is_keyframe || self.whole;
                if self.whole {
                    self.certain.insert(shown(at(60 * self.minute)).as_str().unwrap().to_owned());
                }
                self.declare().await;
                self.keep(frame).await;
            }
            Fate::Lost => {
                self.whole = false;
                let (seq, time) = (frame.seq(), at(60 * self.minute));
                let lost = self.lost.get_or_insert_with(|| Gap {
                    first: seq,
                    last: seq,
                    from: time,
                    to: time,
                    reason: GapReason::Quota,
                    detail: String::new(),
                    cut: Vec::new(),
                });
                (lost.last, lost.to) = (seq, time);
            }
            // Nothing says that it is missing where only gaps do.
            Fate::Late if self.told == Told::ByGaps => {
                self.whole = is_keyframe || self.whole;
                self.declare().await;
                self.keep(frame).await;
            }
            Fate::Late => {
                self.whole = false;
                self.late.push(frame);
            }
        }
        if step.compact {
            self.feed.store.maintain(Job::Compact { before: at(60 * self.minute) }).await.unwrap();
        }
    }

    async fn keep(&mut self, frame: VerifiedFrame) {
        self.stored += 1;
        self.feed.append(vec![frame]).await;
    }

    /// The agent says what it has lost, in a frame of the stream.
    async fn declare(&mut self) {
        let Some(mut gap) = self.lost.take().filter(|_| self.told != Told::ByBases) else { return };
        if self.minute % 2 == 0 {
            let measurements = vec![self.schema.measurement().clone()];
            gap.cut.push(CutSource { source: self.feed.source.clone(), measurements });
        }
        // Numbers of its own, beyond those of frames.
        let frame = VerifiedFrame::of_gap(Seq(1_000_000 + gap.first.0), gap);
        self.feed.append(vec![frame]).await;
    }

    /// Compares what is shown as known with the truth.
    async fn check(&self, from: i64) -> Result<(), TestCaseError> {
        if self.stored == 0 {
            return Ok(());
        }
        let from = format!("time >= timestamp '{}'", shown(at(60 * from)).as_str().unwrap());
        let time = |row: &[Json]| row[0].as_str().unwrap().to_owned();
        let key = |row: &[Json]| usize::try_from(row[1].as_u64().unwrap()).unwrap();
        let mut shown_at: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for table in ["m", "m_latest"] {
            let sql = format!("select time, id, calls, carried_over_gap from {table} where {from}");
            for row in self.feed.ask(&sql).await {
                let truth = self.truth[&time(&row)][key(&row)];
                if row[3] == json!(false) {
                    prop_assert_eq!(&row[2], &json!(truth.calls), "{} {:?}", table, row);
                } else {
                    prop_assert!(!self.certain.contains(&time(&row)), "{} {:?} is certain", table, row);
                }
                if table == "m" {
                    shown_at.entry(time(&row)).or_default().insert(key(&row));
                }
            }
        }
        let sql = format!("select time, id, calls, delta_seconds, delta_quality from m_delta where {from}");
        for row in self.feed.ask(&sql).await.iter().filter(|row| row[4] == "exact") {
            let (now, seconds) = (time(row), row[3].as_f64().unwrap());
            let minutes = jiff::SignedDuration::from_secs_f64(seconds);
            let before = (now.parse::<jiff::Timestamp>().unwrap() - minutes).to_string();
            let counted = self.truth[&now][key(row)].counted - self.truth[&before][key(row)].counted;
            prop_assert_eq!(&row[2], &json!(counted), "{:?} since {}", row, before);
        }
        if from.contains(shown(at(0)).as_str().unwrap()) {
            for time in &self.certain {
                let there: BTreeSet<usize> = (0..KEYS).filter(|key| self.truth[time][*key].calls.is_some()).collect();
                prop_assert_eq!(shown_at.remove(time).unwrap_or_default(), there, "{}", time);
            }
        }
        Ok(())
    }
}

async fn run(told: Told, steps: &[Step], from: i64) -> Result<(), TestCaseError> {
    let mut world = World::new(told);
    for step in steps {
        world.live(step);
        world.store(step).await;
    }
    world.check(0).await?;
    world.check(from).await?;
    world.feed.store.maintain(Job::Compact { before: at(1_000_000) }).await.unwrap();
    world.check(0).await?;
    world.check(from).await?;
    while let Some(frame) = world.late.pop() {
        world.keep(frame).await;
        world.check(0).await?;
    }
    world.feed.store.maintain(Job::Compact { before: at(1_000_000) }).await.unwrap();
    world.check(0).await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_shown_as_known_that_is_not(
        told in prop::sample::select(vec![Told::ByBases, Told::ByGaps, Told::Both]),
        steps in vec(step(), 1..30),
        from in 0_i64..200,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(told, &steps, from))?;
    }
}

/// Scrapes of one key at minutes 0, 1, 2 …, the first one a keyframe.
fn steps(fates: &str) -> Vec<Step> {
    let change = |minute: usize| if minute == 0 { Change::Return(10) } else { Change::Rise(1) };
    let fates = fates.chars().enumerate();
    let step = |(minute, fate): (usize, char)| Step {
        minutes: 1,
        changes: vec![change(minute), if minute == 0 { Change::Return(7) } else { Change::Nothing }, Change::Nothing],
        keyframe: fate.is_ascii_uppercase(),
        fate: if fate.eq_ignore_ascii_case(&'l') { Fate::Lost } else { Fate::Kept },
        compact: false,
    };
    fates.map(step).collect()
}

#[tokio::test]
async fn what_was_carried_over_a_gap_is_marked_until_the_next_keyframe() {
    for told in [Told::ByBases, Told::ByGaps, Told::Both] {
        let mut world = World::new(told);
        // Keyframe, delta, lost, delta, delta, keyframe, delta.
        for step in steps("KklkkKk") {
            world.live(&step);
            world.store(&step).await;
        }
        let marked = "select id, count(*) filter (where carried_over_gap), count(*) from m group by id order by id";
        let expected = [json!([0, 0, 6]), json!([1, 2, 6])];
        assert_eq!(world.feed.ask(marked).await.into_iter().map(Json::from).collect::<Vec<_>>(), expected, "{told:?}");
        let increases = "select calls, delta_seconds, delta_quality from m_delta where id = 0 order by time";
        let expected = [
            json!([null, null, "unknown"]),
            json!([1, 60.0, "exact"]),
            json!([2, 120.0, "lower_bound"]),
            json!([1, 60.0, "exact"]),
            json!([1, 60.0, "exact"]),
            json!([1, 60.0, "exact"]),
        ];
        assert_eq!(
            world.feed.ask(increases).await.into_iter().map(Json::from).collect::<Vec<_>>(),
            expected,
            "{told:?}"
        );
        let gaps =
            world.feed.ask("select reason, first_seq, last_seq, server, measurement from pganalytics_gaps").await;
        match told {
            Told::ByBases => assert!(gaps.is_empty()),
            _ => assert_eq!(gaps, [[json!("quota"), json!(3), json!(3), json!("db1"), json!("m")]]),
        }
        let lost = i64::from(!matches!(told, Told::ByBases));
        let streams = "select lost_frames, forks, last_fork_at from pganalytics_streams";
        assert_eq!(world.feed.ask(streams).await, [[json!(lost), json!(0), Json::Null]]);
    }
}

/// Found by the test above: a key that goes, comes back in a frame that is late, and
/// goes again: the block without that frame must say twice that it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_late_frame_brings_back_is_gone_when_later_frames_say_so() {
    let step = |change: Change, keyframe: bool, fate: Fate| Step {
        minutes: 1,
        changes: vec![change, Change::Return(7), Change::Nothing],
        keyframe,
        fate,
        compact: false,
    };
    for (last, keyframe) in [(Change::Vanish, false), (Change::Vanish, true)] {
        let steps = [
            step(Change::Return(1), true, Fate::Kept),
            step(Change::Vanish, false, Fate::Kept),
            step(Change::Return(1), false, Fate::Late),
            step(last, keyframe, Fate::Kept),
            step(Change::Nothing, false, Fate::Kept),
        ];
        run(Told::ByBases, &steps, 0).await.unwrap();
    }
}

#[tokio::test]
async fn there_is_no_increase_across_a_step_of_the_clock() {
    let mut feed = Feed::new();
    let columns = [("id", "key:int"), ("calls", "counter:int")];
    let schema = Arc::new(schema("m", CounterFamily::Cumulative, &columns));
    for (minute, calls, stepped) in [(0, 10, false), (1, 12, false), (90, 20, true), (91, 25, false)] {
        let scrape = Scrape {
            collected_at: at(60 * minute),
            interval_micros: 60_000_000,
            kind: if minute == 1 || minute == 91 { ScrapeKind::Delta } else { ScrapeKind::Keyframe },
            epoch: epoch(-1_000),
            clock: ScrapeClock { stepped, ..ScrapeClock::default() },
        };
        let mut rows = vec![(vec![Value::Int(1), Value::Int(calls)], false)];
        if stepped {
            rows.push((vec![Value::Int(2), Value::Int(5)], false));
        }
        let frame = feed.frame(&schema, scrape, &rows);
        feed.append(vec![frame]).await;
    }
    let sql =
        "select id, calls, delta_quality from m_delta where time > timestamp '2026-01-31T12:00:30Z' order by id, time";
    let expected =
        [json!([1, 2, "exact"]), json!([1, null, "unknown"]), json!([1, 5, "exact"]), json!([2, null, "unknown"])];
    assert_eq!(feed.ask(sql).await.into_iter().map(Json::from).collect::<Vec<_>>(), expected);
}

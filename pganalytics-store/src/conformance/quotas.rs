//! What a collector may have, and what is its own.

use std::{sync::Arc, time::Duration};

use pganalytics_core::{
    CollectorId, Gap, GapReason, InstanceId, ScrapeKind, Seq, Source, StreamId, frame::VerifiedFrame,
};

use super::{
    Candidate, Check, ConformanceFailure, Property,
    fixture::{at, schema, scrape, source, tenant},
};
use crate::{FrameOutcome, Job, Origin, Owned, Quotas};

/// A collector of the first tenant, and the next number of its stream.
struct Sender {
    origin: Origin,
    stream: StreamId,
    next: u64,
}

impl Sender {
    fn new(collector: u128, quotas: Quotas) -> Self {
        let collector = CollectorId::from_uuid(uuid::Uuid::from_u128(0xc0ff_ee00 + collector));
        Self {
            origin: Origin { quotas, ..Origin::new(tenant(1), collector, at(0)) },
            stream: StreamId::random(),
            next: 1,
        }
    }

    /// The same collector, this many seconds later.
    fn later(&mut self, seconds: i64) -> &mut Self {
        self.origin.received_at = at(seconds);
        self
    }

    fn frame(
        &mut self,
        property: Property,
        measurement: &str,
        of: &Source,
        counters: &[&str],
    ) -> Result<VerifiedFrame, ConformanceFailure> {
        let seconds = self.origin.received_at.micros_since(at(0)) / 1_000_000;
        let rows = [(1, vec![1; counters.len()])];
        let schema = property.ok(schema(measurement, counters))?;
        let batch = property.ok(scrape(&schema, of, ScrapeKind::Keyframe, seconds, &rows))?;
        self.next += 1;
        property.ok(VerifiedFrame::of_batch(Seq(self.next - 1), &batch))
    }

    /// The outcome of each frame: `ok`, or the code that it is rejected with.
    async fn push<S: Candidate>(
        &self,
        property: Property,
        store: &S,
        frames: Vec<VerifiedFrame>,
    ) -> Result<Vec<&'static str>, ConformanceFailure> {
        let outcome = property.ok(store.append(&self.origin, self.stream, frames).await)?;
        let word = |outcome| match outcome {
            FrameOutcome::Accepted => "ok",
            FrameOutcome::Duplicate => "duplicate",
            FrameOutcome::Rejected { code, .. } => code,
        };
        Ok(outcome.frames.into_iter().map(|(_, outcome)| word(outcome)).collect())
    }

    /// The outcome of a frame of one measurement of one source.
    async fn say<S: Candidate>(
        &mut self,
        property: Property,
        store: &S,
        measurement: &str,
        of: &Source,
    ) -> Result<&'static str, ConformanceFailure> {
        let frame = self.frame(property, measurement, of, &["calls"])?;
        let outcomes = self.push(property, store, vec![frame]).await?;
        Ok(outcomes.first().copied().unwrap_or("nothing"))
    }
}

pub(super) async fn a_collector_stops_at_its_quota_and_what_it_has_goes_on<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("a collector stops at its quota, and what it has goes on");
    let quotas = Quotas { sources: 3, series: 4, measurements: 2, schemas: 3, ..Quotas::NONE };
    let mut sender = Sender::new(1, quotas);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|server| source(server, None));
    let frames = [
        ("first", &a, &["calls"][..]),
        ("second", &a, &["calls"]),
        ("third", &a, &["calls"]),
        ("first", &b, &["calls"]),
        ("first", &c, &["calls"]),
        ("first", &d, &["calls"]),
        ("second", &b, &["calls"]),
        ("first", &a, &["calls", "rows"]),
        ("first", &a, &["calls", "blocks"]),
        ("first", &a, &["calls"]),
    ];
    let frames = frames.map(|(measurement, of, counters)| sender.frame(property, measurement, of, counters));
    let frames = frames.into_iter().collect::<Result<Vec<_>, _>>()?;
    let expected = vec![
        "ok",
        "ok",
        "too_many_measurements",
        "ok",
        "ok",
        "too_many_sources",
        "too_many_series",
        "ok",
        "too_many_schemas",
        "ok",
    ];
    property.equal("outcomes", &sender.push(property, store.as_ref(), frames.clone()).await?, &expected)?;
    // A refused number stays free: what was refused is refused again, not a duplicate.
    let again = expected.iter().map(|word| if *word == "ok" { "duplicate" } else { word }).collect::<Vec<_>>();
    property.equal("outcomes of the same", &sender.push(property, store.as_ref(), frames).await?, &again)?;
    // Others have quotas of their own, and a higher one lets the same collector go on.
    let mut other = Sender::new(2, quotas);
    property.equal("another collector", &other.say(property, store.as_ref(), "third", &d).await?, &"ok")?;
    sender.origin.quotas.sources = 4;
    sender.origin.quotas.series = 5;
    property.equal("with a higher quota", &sender.say(property, store.as_ref(), "first", &d).await?, &"ok")?;
    let known = property.ok(store.measurements(tenant(1)).await)?;
    property.equal("measurements that are there", &known.len(), &3)
}

pub(super) async fn retention_frees_what_nothing_hangs_on<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("retention frees what nothing hangs on any more");
    let quotas = Quotas { sources: 1, series: 1, measurements: 1, schemas: 1, ..Quotas::per_collector() };
    let mut sender = Sender::new(1, quotas);
    let [a, b] = ["a", "b"].map(|server| source(server, None));
    let store = store.as_ref();
    property.equal("a first name", &sender.say(property, store, "first", &a).await?, &"ok")?;
    property.equal("a second one", &sender.say(property, store, "second", &b).await?, &"too_many_sources")?;
    let retain = |seconds| Job::Retain { now: at(seconds), default: Duration::from_secs(3600), retention: vec![] };
    let day = 86_400;
    property.ok(store.maintain(retain(1800)).await)?;
    property.equal(
        "before it is due",
        &sender.later(1800).say(property, store, "second", &b).await?,
        &"too_many_sources",
    )?;
    property.ok(store.maintain(retain(3 * day)).await)?;
    property.equal("when it is gone", &sender.later(3 * day).say(property, store, "second", &b).await?, &"ok")?;
    let known = property.ok(store.measurements(tenant(1)).await)?;
    let names: Vec<_> = known.iter().map(|known| known.schema.measurement().to_string()).collect();
    property.equal("measurements that are there", &names, &vec!["second".to_owned()])
}

pub(super) async fn streams_and_gaps_are_counted_too<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("streams, holes in them and gaps have an end");
    let mut sender = Sender::new(1, Quotas { streams: 3, gaps: 2, ..Quotas::NONE });
    let a = source("a", None);
    let store = store.as_ref();
    let mut words = Vec::new();
    for next in [1, 3, 5, 7, 2, 7, 4] {
        sender.next = next;
        words.push(sender.say(property, store, "first", &a).await?);
    }
    // With 2 the first hole is filled, so there is room for 7; with 4 the second one.
    property.equal("holes", &words, &vec!["ok", "ok", "ok", "too_many_streams", "ok", "ok", "ok"])?;
    sender.stream = StreamId::random();
    sender.next = 1;
    property.equal("a new stream", &sender.say(property, store, "first", &a).await?, &"ok")?;
    sender.stream = StreamId::random();
    sender.next = 1;
    property.equal("one too many", &sender.say(property, store, "first", &a).await?, &"too_many_streams")?;
    sender.origin.quotas.streams = 100;
    let gap = |seq| {
        let (first, last, from, to) = (Seq(seq), Seq(seq), at(0), at(1));
        let gap = Gap { first, last, from, to, reason: GapReason::Quota, detail: String::new(), cut: Vec::new() };
        VerifiedFrame::of_gap(Seq(seq), gap)
    };
    let outcomes = sender.push(property, store, (1..4).map(gap).collect()).await?;
    property.equal("gaps", &outcomes, &vec!["ok", "ok", "too_many_gaps"])
}

pub(super) async fn an_instance_belongs_to_who_spoke_of_it_first<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("an instance belongs to the collector that spoke of it first");
    let quotas = Quotas { owns_for: Some(Duration::from_secs(600)), ..Quotas::NONE };
    let (mut first, mut second) = (Sender::new(1, quotas), Sender::new(2, quotas));
    let a = source("a", Some("shop"));
    // Another member of the same cluster: agents stand on each of them.
    let standby = Source { instance_id: InstanceId::of_address(a.server_id, "standby:5432"), ..a.clone() };
    const ANOTHERS: &str = "source_belongs_to_another_collector";
    let store = store.as_ref();
    let both = vec![first.frame(property, "m", &a, &["calls"])?, first.frame(property, "m", &a, &["calls"])?];
    property.equal("the first", &first.push(property, store, both).await?, &vec!["ok", "ok"])?;
    let forged = vec![second.frame(property, "m", &a, &["calls"])?, second.frame(property, "m", &standby, &["calls"])?];
    property.equal("the second", &second.push(property, store, forged).await?, &vec![ANOTHERS, "ok"])?;
    // Another database of it, under another name.
    let renamed = Source { server: "mine".into(), database: None, ..a.clone() };
    property.equal("another name", &second.say(property, store, "n", &renamed).await?, &ANOTHERS)?;
    let mut stranger = Sender::new(2, quotas);
    stranger.origin.tenant = tenant(2);
    property.equal("another tenant", &stranger.say(property, store, "m", &a).await?, &"ok")?;
    // The owner is silent for longer than what counts, and somewhat late: it is asked by the minute.
    property.equal("heard lately", &first.later(300).say(property, store, "m", &a).await?, &"ok")?;
    property.equal("the second, soon", &second.later(870).say(property, store, "m", &a).await?, &ANOTHERS)?;
    property.equal("the second, late", &second.later(930).say(property, store, "m", &a).await?, &"ok")?;
    property.equal("the first, back", &first.later(935).say(property, store, "m", &a).await?, &ANOTHERS)
}

pub(super) async fn an_instance_is_handed_over<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("an instance is handed over");
    let quotas = Quotas { owns_for: Some(Duration::MAX), ..Quotas::NONE };
    let [mut first, mut second, mut third] = [1, 2, 3].map(|number| Sender::new(number, quotas));
    let [a, b] = ["a", "b"].map(|server| source(server, None));
    const ANOTHERS: &str = "source_belongs_to_another_collector";
    let store = store.as_ref();
    for of in [&a, &b] {
        property.equal("the first", &first.say(property, store, "m", of).await?, &"ok")?;
        property.equal("the second", &second.later(86_400).say(property, store, "m", of).await?, &ANOTHERS)?;
    }
    let to = Some(second.origin.collector);
    let elsewhere = property.ok(store.hand_over(tenant(2), Owned::Server(a.server_id), to, at(0)).await)?;
    let handed = property.ok(store.hand_over(tenant(1), Owned::Server(a.server_id), to, at(0)).await)?;
    property.equal("handed over", &(elsewhere, handed), &(0, 1))?;
    property.equal("the new owner", &second.say(property, store, "m", &a).await?, &"ok")?;
    property.equal("the old owner", &first.say(property, store, "m", &a).await?, &ANOTHERS)?;
    property.equal("what was not handed over", &second.say(property, store, "m", &b).await?, &ANOTHERS)?;
    // Released: who speaks first has it.
    let released = property.ok(store.hand_over(tenant(1), Owned::By(first.origin.collector), None, at(0)).await)?;
    property.equal("released", &released, &1)?;
    property.equal("a third", &third.say(property, store, "m", &b).await?, &"ok")?;
    property.equal("the first again", &first.say(property, store, "m", &b).await?, &ANOTHERS)
}

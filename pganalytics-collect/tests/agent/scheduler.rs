//! Rhythm, overrun, isolation, panics; on a clock that the tests move.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use pganalytics_collect::{
    Agent, AgentBuilder, CollectContext, CollectError, Collected, Collector, Delivery, FrameGroup, MemoryOutbox,
    MemorySink, Outbox, Outcome, Plan, Sink, SinkError, Snapshots,
    agent::Summary,
    clock::{Clock, SteadyClock},
    delivery::{GroupLimits, Loss, NewFrame, OutboxStats, Remembered},
    scrape::full_scrape,
};
use pganalytics_core::{
    Batch, GapReason, Position, Ranges, ScrapeKind, StreamId, Timestamp, Value,
    catalog::Measurement,
    frame::{Content, Limits},
};
use tokio::{sync::broadcast, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Act, Puppet, source};

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> AgentBuilder {
    let start = Timestamp::from_secs(1_769_860_800);
    Agent::builder().name("test").clock(SteadyClock::new(start)).own_figures(false)
}

/// Runs an agent for a time.
async fn run(builder: AgentBuilder, sink: &MemorySink, time: Duration) -> Summary {
    let agent = builder.sink(sink.clone()).build().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    sleep(time).await;
    stop.cancel();
    running.await.unwrap().unwrap()
}

fn times(batches: &[Batch]) -> Vec<Timestamp> {
    batches.iter().map(|batch| batch.scrape.collected_at).collect()
}

/// Status and error of a measurement, each time it was told.
fn told(sink: &MemorySink, measurement: &str) -> Vec<(String, String)> {
    let text = |value: Value<'_>| match value {
        Value::Text(text) => text.to_owned(),
        _ => String::new(),
    };
    let mut lines = Vec::new();
    for batch in sink.batches_of("agent_scrape") {
        let column = |name: &str| batch.schema.position(name).unwrap();
        for row in 0..batch.rows.len() {
            if batch.rows.get(row, column("measurement")) == Value::Text(measurement) {
                lines.push((text(batch.rows.get(row, column("status"))), text(batch.rows.get(row, column("error")))));
            }
        }
    }
    lines
}

#[tokio::test(start_paused = true)]
async fn visits_keep_their_beat_and_only_changes_travel() {
    let sink = MemorySink::new();
    let summary = run(builder().collector(Puppet::new("beat", "10s", &[Act::Quick])), &sink, 605 * SECOND).await;
    assert_eq!((summary.outbox.queued_frames, summary.outbox.dropped), (0, 0));
    let batches = sink.batches_of("beat");
    let times = times(&batches);
    assert!((59..=61).contains(&times.len()), "{}", times.len());
    let first = times[1].micros_since(times[0]);
    assert!((5_000_000..=15_010_000).contains(&first), "the second visit is not hard upon the first: {first}");
    for pair in times[1..].windows(2) {
        let beat = pair[1].micros_since(pair[0]);
        assert!((9_990_000..=10_010_000).contains(&beat), "{beat}");
    }
    assert_eq!((batches[0].scrape.kind, batches[0].rows.len()), (ScrapeKind::Keyframe, 2));
    let deltas = batches.iter().filter(|batch| batch.scrape.kind == ScrapeKind::Delta);
    assert!(deltas.clone().count() > 50 && deltas.clone().all(|batch| batch.rows.len() == 1));
    assert!(batches.iter().all(|batch| batch.scrape.interval_micros == 10_000_000), "the plan's interval");
}

#[tokio::test(start_paused = true)]
async fn agents_of_different_names_have_different_phases() {
    let mut phases = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let sink = MemorySink::new();
        run(builder().name(name).collector(Puppet::new("beat", "60s", &[Act::Quick])), &sink, 130 * SECOND).await;
        phases.push(times(&sink.batches_of("beat"))[1].as_micros() / 1_000_000 % 60);
    }
    let different: std::collections::BTreeSet<_> = phases.iter().collect();
    assert!(different.len() >= 6, "{phases:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_visit_skips_the_ticks_it_overran() {
    let sink = MemorySink::new();
    let slow = Puppet::new("slow", "10s", &[Act::Take(25 * SECOND)]);
    run(builder().collector(slow), &sink, 301 * SECOND).await;
    let times = times(&sink.batches_of("slow"));
    assert!((9..=11).contains(&times.len()), "every third tick: {}", times.len());
    assert!(times[1..].windows(2).all(|pair| pair[1].micros_since(pair[0]) == 30_000_000), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_costs_no_other_its_rhythm_and_is_told_of() {
    let sink = MemorySink::new();
    let hangs = Puppet::new("hangs", "10s", &[Act::Quick, Act::Hang]);
    let visits = hangs.visits.clone();
    let agent = builder().collector(hangs).collector(Puppet::new("fine", "10s", &[Act::Quick]));
    run(agent, &sink, 305 * SECOND).await;
    assert!(sink.batches_of("fine").len() >= 29);
    assert_eq!(visits.load(Ordering::SeqCst), 2, "never two visits at once");
    let told = told(&sink, "hangs");
    assert!(
        told.iter().filter(|(status, why)| status == "skipped" && why.contains("still runs")).count() >= 3,
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_panics_is_visited_again_and_begins_with_a_keyframe() {
    let sink = MemorySink::new();
    let panics = Puppet::new("panics", "10s", &[Act::Quick, Act::Panic, Act::Quick]);
    let agent = builder().collector(panics).collector(Puppet::new("fine", "10s", &[Act::Quick]));
    run(agent, &sink, 100 * SECOND).await;
    assert!(sink.batches_of("fine").len() >= 9);
    let kinds: Vec<_> = sink.batches_of("panics").iter().map(|batch| batch.scrape.kind).collect();
    assert_eq!(kinds[..3], [ScrapeKind::Keyframe, ScrapeKind::Keyframe, ScrapeKind::Delta], "{kinds:?}");
    let told = told(&sink, "panics");
    assert!(told.iter().any(|(status, why)| status == "failed" && why.contains("panicked")), "{told:?}");
    assert_eq!(told.last().unwrap().0, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_visit_that_fails_is_a_line_where_the_measurement_was_seen() {
    let sink = MemorySink::new();
    run(builder().collector(Puppet::new("fails", "10s", &[Act::Quick, Act::Fail])), &sink, 30 * SECOND).await;
    let told = told(&sink, "fails");
    assert_eq!(told[0].0, "ok");
    assert_eq!(told[1], ("failed".to_owned(), "fails: as told".to_owned()));
    let servers: Vec<_> = sink.batches_of("agent_scrape").iter().map(|batch| batch.source.server.to_string()).collect();
    assert!(servers.iter().all(|server| server == "fails"), "{servers:?}");
}

#[tokio::test(start_paused = true)]
async fn measurements_have_the_intervals_of_the_plan() {
    let sink = MemorySink::new();
    let mut puppet = Puppet::new("often", "10s", &[Act::Quick]);
    puppet
        .measurements
        .extend([crate::fixture::measurement("seldom", "60s"), crate::fixture::measurement("never", "60s")]);
    let mut plan = Plan::default();
    plan.set_interval("often", 5 * SECOND);
    plan.set_standard_interval(30 * SECOND);
    plan.set_enabled("never", false);
    run(builder().plan(plan).collector(puppet), &sink, 121 * SECOND).await;
    assert!((23..=26).contains(&sink.batches_of("often").len()));
    assert!((4..=6).contains(&sink.batches_of("seldom").len()));
    assert!(sink.batches_of("never").is_empty());
}

/// Is down for a while, then hands on.
struct Flaky {
    down_until: tokio::time::Instant,
    sink: MemorySink,
    frames: Arc<Mutex<Vec<(Position, Bytes)>>>,
}

impl Flaky {
    fn new(down: Duration, sink: MemorySink) -> Self {
        Self { down_until: tokio::time::Instant::now() + down, sink, frames: Arc::default() }
    }
}

#[async_trait]
impl Sink for Flaky {
    async fn deliver(&self, frames: FrameGroup) -> Result<Delivery, SinkError> {
        if tokio::time::Instant::now() < self.down_until {
            return Err(SinkError::Unavailable { message: "down".into(), retry_after: None });
        }
        self.frames.lock().unwrap().extend(frames.frames.iter().cloned());
        self.sink.deliver(frames).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_dropped_declared_and_followed_by_keyframes() {
    let sink = MemorySink::new();
    let flaky = Flaky::new(300 * SECOND, sink.clone());
    let frames = Arc::clone(&flaky.frames);
    let agent = builder().buffer_size(20_000).collector(Puppet::new("much", "1s", &[Act::Quick])).sink(flaky);
    let agent = agent.build().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    sleep(500 * SECOND).await;
    stop.cancel();
    let outbox = running.await.unwrap().unwrap().outbox;
    assert!(outbox.dropped > 100, "{outbox:?}");
    assert_eq!(outbox.produced, outbox.delivered + outbox.dropped + outbox.rejected);
    let gap = outbox.last_gap.unwrap();
    assert!(gap.first <= gap.last && gap.reason == GapReason::Quota);
    let kinds: Vec<_> = sink.batches_of("much").iter().map(|batch| batch.scrape.kind).collect();
    assert!(kinds.contains(&ScrapeKind::Keyframe), "what was lost is told anew");
    assert_eq!(*kinds.last().unwrap(), ScrapeKind::Delta, "and then it is as before");
    // Every change names what it is a change of: either that is there, or a gap says that it is not.
    let frames = frames.lock().unwrap();
    let there: Ranges = frames.iter().map(|(place, _)| place.seq).collect();
    let content =
        |(_, frame): &(Position, Bytes)| Content::parse(frame.clone(), &Limits::default(), &|_| None).unwrap();
    let lost: Ranges = frames.iter().filter_map(|frame| content(frame).gap().map(|gap| gap.first..=gap.last)).collect();
    assert!(lost.len() >= outbox.dropped && lost.intersect(&there).is_empty());
    let mut hanging = 0;
    for (place, _) in frames.iter().filter(|frame| content(frame).gap().is_none()) {
        if let Some(base) = place.base {
            assert!(there.contains(base) || lost.contains(base), "{place:?}");
            hanging += usize::from(lost.contains(base));
        }
    }
    assert!((1..10).contains(&hanging), "{hanging}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_stops_delivers_what_waits_but_not_for_ever() {
    let sink = MemorySink::new();
    let agent = builder().push_interval(600 * SECOND).collector(Puppet::new("last", "10s", &[Act::Quick]));
    let summary = run(agent, &sink, 15 * SECOND).await;
    assert_eq!(summary.outbox.queued_frames, 0);
    assert!(!sink.batches_of("last").is_empty());

    let flaky = Flaky::new(3600 * SECOND, sink);
    let agent = builder().collector(Puppet::new("last", "10s", &[Act::Quick])).sink(flaky).build().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    sleep(60 * SECOND).await;
    let began = tokio::time::Instant::now();
    stop.cancel();
    let summary = running.await.unwrap().unwrap();
    assert!(began.elapsed() <= 6 * SECOND && summary.outbox.queued_frames > 0);
}

/// Brings names with bytes that were no text.
struct Odd(Arc<Measurement>);

#[async_trait]
impl Collector for Odd {
    fn name(&self) -> &'static str {
        "odd"
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        vec![Arc::clone(&self.0)]
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let rows = [("a", "fine"), ("b\u{fffd}", "\u{fffd}\u{fffd}"), ("größe", "x")];
        let batch = full_scrape(&self.0, source("odd"), cx.now, &rows, |(name, text), column| match column {
            "name" => Some(Value::Text(name)),
            _ => Some(Value::Text(text)),
        });
        let mut collected = Collected::default();
        collected.add(&self.0, &source("odd"), Duration::ZERO, batch.map_err(Outcome::failed));
        Ok(collected)
    }
}

#[tokio::test(start_paused = true)]
async fn values_with_replaced_bytes_are_counted() {
    let text = "name = \"odd\"\nscope = \"agent\"\ninterval = \"10s\"\n\
                [[column]]\nname = \"name\"\nkind = \"key\"\ntype = \"text\"\n\
                [[column]]\nname = \"text\"\nkind = \"info\"\ntype = \"text\"\n";
    let odd = Odd(Arc::new(Measurement::parse(text, "odd").unwrap()));
    let sink = MemorySink::new();
    run(builder().collector(odd).collector(Puppet::new("fine", "10s", &[Act::Quick])), &sink, 30 * SECOND).await;
    let mut counts = Vec::new();
    for batch in sink.batches_of("agent_scrape") {
        let get = |row, name: &str| batch.rows.get(row, batch.schema.position(name).unwrap());
        counts.extend(
            (0..batch.rows.len())
                .map(|row| (format!("{:?}", get(row, "measurement")), format!("{:?}", get(row, "replaced")))),
        );
    }
    let of =
        |name: &str| counts.iter().find(|(measurement, _)| measurement.contains(name)).map(|(_, count)| count.as_str());
    assert_eq!((of("odd"), of("fine")), (Some("Int(2)"), Some("Int(0)")), "{counts:?}");
}

/// Visits two places; one of them is gone at the third visit.
struct Places {
    measurement: Arc<Measurement>,
    visits: u32,
}

#[async_trait]
impl Collector for Places {
    fn name(&self) -> &'static str {
        "places"
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        vec![Arc::clone(&self.measurement)]
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        self.visits += 1;
        if self.visits > 4 {
            return Err(CollectError::Unsupported("out of reach".to_owned()));
        }
        let mut collected = Collected::default();
        let gone = self.visits > 2;
        for place in ["stays", "goes"].into_iter().filter(|place| *place == "stays" || !gone) {
            let rows = [self.visits];
            let batch = full_scrape(&self.measurement, source(place), cx.now, &rows, |visits, _| {
                Some(Value::Int(i64::from(*visits)))
            });
            collected.add(&self.measurement, &source(place), Duration::ZERO, batch.map_err(Outcome::failed));
        }
        if self.visits == 3 {
            collected.gone.push(source("goes"));
        }
        Ok(collected)
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_gone_ends_and_is_not_heard_of_again() {
    let text = "name = \"places\"\nscope = \"agent\"\ninterval = \"10s\"\n\
                [[column]]\nname = \"visits\"\nkind = \"gauge\"\ntype = \"int\"\n";
    let places = Places { measurement: Arc::new(Measurement::parse(text, "places").unwrap()), visits: 0 };
    let now = Snapshots::new();
    let agent = builder().collector(places).sink(now.clone()).build().unwrap().start().unwrap();
    let there =
        || now.series().into_iter().map(|(name, source)| format!("{name} of {}", source.server)).collect::<Vec<_>>();
    sleep(15 * SECOND).await;
    assert_eq!(there(), ["agent_scrape of goes", "agent_scrape of stays", "places of goes", "places of stays"]);
    sleep(20 * SECOND).await;
    let left = ["agent_scrape of stays", "places of stays"];
    assert_eq!(there(), left);
    // Nor when a visit fails wherever something was found before.
    sleep(60 * SECOND).await;
    assert_eq!(there(), left);
    let account = now.wait_for("agent_scrape").await.batch;
    let status = account.schema.position("status").unwrap();
    assert_eq!(account.rows.get(0, status), Value::Text("failed"));
    agent.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_agent_reports_its_own_figures() {
    let sink = MemorySink::new();
    let agent = builder().own_figures(true).collector(Puppet::new("fine", "10s", &[Act::Quick]));
    run(agent, &sink, 130 * SECOND).await;
    let figures = sink.batches_of("agent_stats");
    let last = figures.last().unwrap();
    let get = |name: &str| last.rows.get(0, last.schema.position(name).unwrap());
    assert_eq!(get("agent"), Value::Text("test"));
    assert!(matches!(get("delivered_frames"), Value::Int(10..)), "{:?}", get("delivered_frames"));
    assert_eq!((get("dropped_frames"), get("gap_first")), (Value::Int(0), Value::Null));
}

#[tokio::test(start_paused = true)]
async fn once_collects_and_sends_nothing() {
    let mut agent = builder()
        .collector(Puppet::new("fine", "10s", &[Act::Quick]))
        .collector(Puppet::new("hangs", "10s", &[Act::Hang]))
        .build()
        .unwrap();
    let visits = agent.once().await;
    assert_eq!(visits[0].collected.as_ref().unwrap().batches.len(), 1);
    assert!(visits[1].collected.as_ref().unwrap_err().to_string().contains("no answer within"));
}

/// Panics a few times, then hands on.
struct Panicking<T> {
    left: AtomicUsize,
    inner: T,
}

impl<T> Panicking<T> {
    fn new(times: usize, inner: T) -> Self {
        Self { left: AtomicUsize::new(times), inner }
    }

    fn maybe_panic(&self) {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(left.is_err(), "as told");
    }
}

#[async_trait]
impl Sink for Panicking<MemorySink> {
    async fn deliver(&self, frames: FrameGroup) -> Result<Delivery, SinkError> {
        self.maybe_panic();
        self.inner.deliver(frames).await
    }
}

#[async_trait]
impl Outbox for Panicking<MemoryOutbox> {
    fn stream(&self) -> StreamId {
        self.inner.stream()
    }

    fn put(&self, frames: Vec<NewFrame>, state: Option<Remembered>) -> BoxFuture<'_, ()> {
        self.maybe_panic();
        self.inner.put(frames, state)
    }

    async fn state(&self, collector: &str) -> Option<Bytes> {
        self.maybe_panic();
        self.inner.state(collector).await
    }

    async fn ready(&self) {
        self.maybe_panic();
        self.inner.ready().await;
    }

    async fn lease(&self, limits: GroupLimits) -> Option<FrameGroup> {
        self.maybe_panic();
        self.inner.lease(limits).await
    }

    async fn settle(&self, stream: StreamId, delivery: &Delivery) {
        self.inner.settle(stream, delivery).await;
    }

    async fn release(&self) {
        self.inner.release().await;
    }

    async fn fork(&self, stream: StreamId) -> Result<(), SinkError> {
        self.inner.fork(stream).await
    }

    fn losses(&self) -> broadcast::Receiver<Loss> {
        self.inner.losses()
    }

    fn stats(&self) -> OutboxStats {
        self.inner.stats()
    }
}

#[async_trait]
impl Collector for Panicking<Puppet> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        self.maybe_panic();
        self.inner.measurements()
    }

    fn resume(&mut self, state: Option<&[u8]>) {
        self.maybe_panic();
        self.inner.resume(state);
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        self.inner.collect(cx).await
    }
}

#[tokio::test(start_paused = true)]
async fn no_panic_of_a_part_ends_delivery_or_collection() {
    let sink = MemorySink::new();
    let puppet = || Puppet::new("fine", "10s", &[Act::Quick]);
    let outbox = || MemoryOutbox::new(1 << 20);
    let agents = [
        ("sink", builder().collector(puppet()).sink(Panicking::new(3, sink.clone()))),
        ("outbox", builder().collector(puppet()).outbox(Panicking::new(9, outbox())).sink(sink.clone())),
        ("collector", builder().collector(Panicking::new(4, puppet())).sink(sink.clone())),
    ];
    for (what, agent) in agents {
        let before = sink.batches_of("fine").len();
        let stop = CancellationToken::new();
        let running = tokio::spawn(agent.own_figures(true).build().unwrap().run(stop.clone()));
        sleep(300 * SECOND).await;
        stop.cancel();
        let summary = running.await.unwrap().unwrap();
        let brought = sink.batches_of("fine").len() - before;
        assert!(brought >= 20, "{what}: {brought}");
        assert_eq!(summary.outbox.queued_frames, 0, "{what}");
        let figures = sink.batches_of("agent_stats");
        let last = figures.last().unwrap();
        let panics = last.rows.get(0, last.schema.position("panics").unwrap());
        assert!(matches!(panics, Value::Int(3..)), "{what}: {panics:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_tells_how_the_agent_is_and_stops_it() {
    let sink = MemorySink::new();
    let flaky = Flaky::new(100 * SECOND, sink.clone());
    let agent = builder().push_interval(600 * SECOND).buffer_size(20_000);
    let agent = agent.collector(Puppet::new("fine", "1s", &[Act::Quick])).sink(flaky).build().unwrap();
    let handle = agent.start().unwrap();
    let mut losses = handle.losses();
    sleep(10 * SECOND).await;
    assert!(!handle.flush(85 * SECOND).await, "nobody takes it");
    let status = handle.status();
    assert!(!status.is_healthy() && status.failing > 0 && status.visits > 20, "{status:?}");
    assert_eq!(status.delivery_fault.as_deref(), Some("down"));
    assert!(handle.flush(90 * SECOND).await);
    assert!(handle.status().is_healthy() && !handle.is_finished());
    assert_eq!(losses.recv().await.unwrap().reason, GapReason::Quota);
    let summary = handle.stop().await.unwrap();
    assert_eq!(summary.outbox.queued_frames, 0);
    let brought = sink.batches_of("fine").len();
    sleep(60 * SECOND).await;
    assert_eq!(sink.batches_of("fine").len(), brought);
}

/// A clock that somebody sets.
#[derive(Debug, Clone)]
struct SetClock(SteadyClock, Arc<AtomicI64>);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        self.0.now().plus_micros(self.1.load(Ordering::SeqCst) * 1_000_000)
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_makes_a_keyframe_with_a_flag_and_no_time_goes_back_by_itself() {
    let sink = MemorySink::new();
    let set = Arc::new(AtomicI64::new(0));
    let clock = SetClock(SteadyClock::new(Timestamp::from_secs(1_769_860_800)), Arc::clone(&set));
    let agent = builder().clock(clock).collector(Puppet::new("beat", "10s", &[Act::Quick])).sink(sink.clone());
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.build().unwrap().run(stop.clone()));
    for seconds in [0, -1, 3600, -3600, -3600] {
        sleep(100 * SECOND).await;
        set.store(seconds, Ordering::SeqCst);
    }
    sleep(100 * SECOND).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    let batches = sink.batches_of("beat");
    let flagged: Vec<usize> = (0..batches.len()).filter(|&at| batches[at].scrape.clock.stepped).collect();
    assert_eq!(flagged.len(), 2, "{flagged:?}");
    for at in 1..batches.len() {
        let passed = batches[at].scrape.collected_at.micros_since(batches[at - 1].scrape.collected_at);
        if flagged.contains(&at) {
            assert_eq!(batches[at].scrape.kind, ScrapeKind::Keyframe);
        } else {
            assert!((5_000_000..=15_010_000).contains(&passed) || at == 1, "{at}: {passed}");
        }
    }
}

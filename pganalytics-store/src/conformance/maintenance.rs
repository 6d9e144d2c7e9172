//! Compaction changes no answer; retention drops only what is due.

use std::{sync::Arc, time::Duration};

use pganalytics_core::{
    Batch, MeasurementName, ModelError, RowsBuilder, ScrapeKind, Seq, Value,
    frame::{FrameError, VerifiedFrame},
};

use super::{
    Candidate, Check, Property,
    fixture::{self, Spool, TABLES, TEXTS, at, everything, keys_to, scrape, stored_keys, tenant, word},
    timeline::timeline,
};
use crate::Job;

/// A day in the life of a source: counters that rise now and then, keys that
/// go and come, keyframes, and a column that appears in the middle of an hour.
fn workload(server: &str, seed: u64) -> Result<Vec<Batch>, ModelError> {
    let old = fixture::schema(TABLES, &["seq_scan", "n_tup_ins"])?;
    let new = fixture::schema(TABLES, &["seq_scan", "n_tup_ins", "n_tup_newpage_upd"])?;
    let source = fixture::source(server, Some("app"));
    let mut random = seed;
    let mut below = |limit: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % limit
    };
    let mut live: Vec<Option<i64>> = vec![Some(0); 12];
    let mut batches = Vec::new();
    for minute in 0..150 {
        let schema = if minute < 80 { &old } else { &new };
        let keyframe = minute % 10 == 0 || minute == 80;
        let width = schema.columns().len() - 1;
        let mut rows = Vec::new();
        for (id, counter) in (0_i64..).zip(&mut live) {
            let change = below(20);
            let changed = match counter {
                Some(_) if change == 0 => {
                    *counter = None;
                    true
                }
                Some(value) if change < 6 => {
                    *value += i64::try_from(below(1_000)).unwrap_or_default() + 1;
                    true
                }
                None if change < 4 => {
                    // A key that comes back has counted from zero.
                    *counter = Some(0);
                    true
                }
                _ => false,
            };
            match counter {
                Some(value) if changed || keyframe => rows.push((id, vec![*value; width])),
                None if changed && !keyframe => rows.push((id, Vec::new())),
                _ => {}
            }
        }
        let kind = if keyframe { ScrapeKind::Keyframe } else { ScrapeKind::Delta };
        batches.push(scrape(schema, &source, kind, minute * 60, &rows)?);
    }
    Ok(batches)
}

fn framed(batches: &[Batch]) -> Result<Vec<VerifiedFrame>, FrameError> {
    batches.iter().zip(1..).map(|(batch, seq)| VerifiedFrame::of_batch(Seq(seq), batch)).collect()
}

/// A scrape that may come late: what it says is not taken back by later ones,
/// as it can be where a key comes back (its counter is 0) or goes.
fn may_be_late(frame: &VerifiedFrame) -> bool {
    let Some(frame) = frame.frame() else { return false };
    let delta = frame.scrapes().iter().all(|scrape| scrape.kind == ScrapeKind::Delta);
    let rises = frame.column(1).is_ok_and(|counter| (0..counter.len()).all(|row| counter.get(row) != Value::Int(0)));
    delta && rises && matches!(frame.gone(), Ok(None)) && frame.rows() > 0
}

pub(super) async fn compaction_changes_no_answer<S: Candidate>(store: Arc<S>, loose: Arc<S>) -> Check {
    let property = Property("compaction changes no answer");
    let (store, loose) = (store.as_ref(), loose.as_ref());
    let select = property.ok(everything(tenant(1), TABLES))?;
    let mut late = Vec::new();
    for (collector, server) in [(1, "a"), (2, "b"), (3, "a")] {
        let spool = property.ok(Spool::new(tenant(1), collector, server))?;
        let frames = property.ok(framed(&property.ok(workload(server, u64::try_from(collector).unwrap_or(1)))?))?;
        property.ok(loose.append(&spool.origin, spool.stream, frames.clone()).await)?;
        let (behind, in_time): (Vec<_>, Vec<_>) =
            frames.into_iter().partition(|frame| frame.seq().0 % 17 == 3 && may_be_late(frame));
        property.ok(store.append(&spool.origin, spool.stream, in_time.clone()).await)?;
        late.push((spool, behind, in_time));
    }
    let before = property.ok(timeline(&property.ok(fixture::chunks(store, select.clone()).await)?))?;
    let totals = property.ok(store.stored(tenant(1)).await)?;
    // Two hours are over, the third is not.
    let compact = Job::Compact { before: at(2 * 3600 + 1800) };
    let report = property.ok(store.maintain(compact.clone()).await)?;
    property.holds(report.chunks_in > report.chunks_out && report.chunks_out > 0, || {
        format!("nothing was joined: {report:?}")
    })?;
    let chunks = property.ok(fixture::chunks(store, select.clone()).await)?;
    property.holds(property.ok(timeline(&chunks))? == before, || "what readers see has changed".to_owned())?;
    let open = chunks.iter().filter(|chunk| chunk.frame.time_range().0 >= at(7200)).count();
    let expected: usize =
        late.iter().flat_map(|(_, _, sent)| sent).filter(|f| f.content().time_range().0 >= at(7200)).count();
    property.equal("frames of the open hour", &open, &expected)?;
    property.holds(property.ok(store.stored(tenant(1)).await)? == totals, || "summaries have changed".to_owned())?;

    let rest = property.ok(store.maintain(compact.clone()).await)?;
    property.equal("compaction comes to rest: blocks written again", &rest.chunks_out, &0)?;

    let count: usize = late.iter().map(|(_, behind, _)| behind.len()).sum();
    property.holds(count > 3, || "the data set has no late frames".to_owned())?;
    for (spool, behind, in_time) in late {
        let known = property.ok(store.append(&spool.origin, spool.stream, in_time).await)?;
        property.equal("compacted frames are still known", &known.accepted(), &0)?;
        let taken = property.ok(store.append(&spool.origin, spool.stream, behind.clone()).await)?;
        property.equal("late frames accepted", &taken.accepted(), &behind.len())?;
    }
    let all = property.ok(timeline(&property.ok(fixture::chunks(loose, select.clone()).await)?))?;
    property.ok(store.maintain(compact.clone()).await)?;
    let joined = property.ok(fixture::chunks(store, select).await)?;
    property.holds(property.ok(timeline(&joined))? == all, || "late frames are not where they belong".to_owned())?;
    let rest = property.ok(store.maintain(compact).await)?;
    property.equal("compaction comes to rest after late frames", &rest.chunks_out, &0)
}

pub(super) async fn compaction_loses_nothing_while_others_write<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("compaction loses nothing while others write");
    const FRAMES: u64 = 150;
    let mut writers = tokio::task::JoinSet::new();
    for collector in 0..3 {
        let (store, spool) = (Arc::clone(&store), property.ok(Spool::new(tenant(1), collector, "a"))?);
        writers.spawn(async move {
            for frame in (1..=FRAMES).rev() {
                spool.push(store.as_ref(), [frame]).await?;
            }
            Ok::<_, crate::StoreError>(())
        });
    }
    let compact = Job::Compact { before: at(1_000_000) };
    while let Some(writer) = writers.join_next().await {
        property.ok(property.ok(writer)?)?;
        property.ok(store.maintain(compact.clone()).await)?;
        for _ in 0..3 {
            let (one, two) = tokio::join!(store.maintain(compact.clone()), store.maintain(compact.clone()));
            property.ok(one.and(two))?;
        }
    }
    property.ok(store.maintain(compact).await)?;
    let keys: Vec<i64> = (1..=150).flat_map(|key| [key; 3]).collect();
    property.equal("keys stored", &property.ok(stored_keys(store.as_ref(), tenant(1)).await)?, &keys)
}

fn retain(now: i64, own: &[(&str, u64)]) -> Result<Job, ModelError> {
    let own = own.iter().map(|(name, hours)| Ok((MeasurementName::new(name)?, Duration::from_secs(hours * 3600))));
    Ok(Job::Retain { now: at(now), default: Duration::from_secs(2 * 3600), retention: own.collect::<Result<_, _>>()? })
}

fn fact(spool: &Spool, seq: u64, seconds: i64) -> Result<VerifiedFrame, FrameError> {
    let schema = fixture::texts()?;
    let mut rows = RowsBuilder::new(&schema);
    rows.push(&[Value::Int(seconds), Value::Text("select $1")])?;
    VerifiedFrame::of_batch(Seq(seq), &fixture::batch(&schema, &spool.source, ScrapeKind::Delta, seconds, rows)?)
}

pub(super) async fn retention_drops_only_what_is_due<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("retention drops what is due, and only that");
    let store = store.as_ref();
    let (spool, other) = (property.ok(Spool::new(tenant(1), 1, "a"))?, property.ok(Spool::new(tenant(2), 2, "b"))?);
    // Scrapes at minutes 1 to 300; the first two hours become blocks.
    property.ok(spool.push(store, 1..=300).await)?;
    property.ok(other.push(store, [10, 299]).await)?;
    let facts = vec![property.ok(fact(&spool, 1_001, 1))?, property.ok(fact(&spool, 1_002, 17_000))?];
    property.ok(store.append(&spool.origin, spool.stream, facts).await)?;
    property.ok(store.maintain(Job::Compact { before: at(2 * 3600) }).await)?;

    // 5 h after the start with 2 h of retention: due is what ended before 3 h.
    let job = property.ok(retain(5 * 3600, &[]))?;
    let report = property.ok(store.maintain(job.clone()).await)?;
    property.equal("keys left", &property.ok(stored_keys(store, tenant(1)).await)?, &(180..=300).collect())?;
    property.equal("keys left of the other tenant", &property.ok(stored_keys(store, tenant(2)).await)?, &vec![299])?;
    property.holds(report.dropped > 0 && report.bytes_in > 0, || format!("nothing was reported: {report:?}"))?;
    property.equal("dropped the second time", &property.ok(store.maintain(job).await)?.dropped, &0)?;
    let facts_left = || async {
        let select = property.ok(everything(tenant(1), TEXTS))?;
        Ok(property.ok(fixture::chunks(store, select).await)?.len())
    };
    property.equal("facts follow the default, too", &facts_left().await?, &1)?;
    let stored = property.ok(store.stored(tenant(1)).await)?;
    let tables = stored.iter().find(|stored| stored.schema.measurement().as_str() == TABLES);
    let range = tables.map(|stored| (stored.range, stored.rows));
    property.equal("range now, rows ever", &range, &Some((Some((at(10_800), at(18_000))), 300)))?;

    let own = property.ok(retain(7 * 3600, &[(TEXTS, 1), (TABLES, 4)]))?;
    property.ok(store.maintain(own).await)?;
    property.equal("facts follow a retention of their own", &facts_left().await?, &0)?;
    property.equal("a longer retention keeps", &property.ok(stored_keys(store, tenant(1)).await)?.len(), &121)?;

    property.ok(store.maintain(property.ok(retain(100 * 3600, &[]))?).await)?;
    property.equal("all is due", &property.ok(stored_keys(store, tenant(1)).await)?, &Vec::new())?;
    let sources = property.ok(store.sources(tenant(2)).await)?.len();
    property.equal("sources without samples", &sources, &0)?;
    let sources = property.ok(store.sources(tenant(1)).await)?.len();
    property.equal("sources of facts that are gone", &sources, &0)
}

pub(super) async fn what_was_dropped_is_not_taken_again<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("what was dropped for its age is not taken again");
    let store = store.as_ref();
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    property.ok(spool.push(store, 1..=5).await)?;
    property.ok(store.maintain(property.ok(retain(100 * 3600, &[]))?).await)?;
    property.equal("frames of before", &word(&property.ok(spool.push(store, 1..=6).await)?), &"ddddda".to_owned())?;
    property.equal("keys stored", &property.ok(stored_keys(store, tenant(1)).await)?, &vec![6])?;
    property.ok(spool.push(store, 7..=9).await)?;
    let keys: Vec<i64> = keys_to(9).split_off(5);
    property.equal("keys stored after", &property.ok(stored_keys(store, tenant(1)).await)?, &keys)
}

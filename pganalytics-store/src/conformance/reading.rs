//! Readers get their tenant's chunks, all of them, in order.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use pganalytics_core::{
    ScrapeKind, Seq, Timestamp,
    frame::{Frame, VerifiedFrame},
};

use super::{
    Candidate, Check, Property,
    fixture::{self, Spool, TABLES, at, everything, keys_to, scrape, stored_keys, tenant},
};
use crate::{Chunk, ChunkSelect};

pub(super) async fn tenants_do_not_see_each_other<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("no tenant sees another's samples");
    let store = store.as_ref();
    // The same collector, stream and source on both sides.
    let mine = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let mut theirs = mine.clone();
    theirs.origin.tenant = tenant(2);
    property.ok(mine.push(store, 1..=5).await)?;
    property.equal("measurements of the other", &property.ok(store.stored(tenant(2)).await)?.len(), &0)?;
    property.equal("sources of the other", &property.ok(store.sources(tenant(2)).await)?.len(), &0)?;
    property.equal("keys of the other", &property.ok(stored_keys(store, tenant(2)).await)?, &Vec::new())?;
    property.ok(theirs.push(store, 1..=2).await)?;
    property.equal("keys of one", &property.ok(stored_keys(store, tenant(1)).await)?, &keys_to(5))?;
    property.equal("keys of the other", &property.ok(stored_keys(store, tenant(2)).await)?, &keys_to(2))?;
    let rows = property.ok(store.stored(tenant(2)).await)?.first().map(|stored| stored.rows);
    property.equal("rows counted for the other", &rows, &Some(2))
}

pub(super) async fn bytes_come_back_as_they_came<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("frames are kept as they came");
    let store = store.as_ref();
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let frames = property.ok(spool.frames(1..=3))?;
    let sent: Vec<_> =
        frames.iter().filter_map(|frame| frame.frame()).map(|frame| frame.without_schema().clone()).collect();
    property.ok(store.append(&spool.origin, spool.stream, frames).await)?;
    let select = property.ok(everything(tenant(1), TABLES))?;
    let chunks = property.ok(fixture::chunks(store, select).await)?;
    property.holds(chunks.iter().all(|chunk| chunk.collector == spool.origin.collector), || {
        "a chunk names another collector".to_owned()
    })?;
    let stored: Vec<_> = chunks.into_iter().map(|chunk| chunk.frame.without_schema().clone()).collect();
    property.holds(stored == sent, || format!("{} frames came back, not the {} sent", stored.len(), sent.len()))
}

/// Checks that chunks of one source and collector stand together, in order.
fn in_order(property: Property, chunks: &[Chunk]) -> Check {
    let (mut ended, mut current, mut last) = (HashSet::new(), None, Timestamp::from_micros(i64::MIN));
    for chunk in chunks {
        let source = chunk.frame.source();
        let group = (source.server_id, source.instance_id, source.database.clone(), chunk.collector);
        if current.as_ref() != Some(&group) {
            property.holds(!ended.contains(&group), || format!("chunks of {group:?} do not stand together"))?;
            ended.extend(current.replace(group));
            last = Timestamp::from_micros(i64::MIN);
        }
        let (first, _) = chunk.frame.time_range();
        property.holds(first >= last, || format!("a chunk of {first} stands behind one of {last}"))?;
        last = first;
    }
    Ok(())
}

pub(super) async fn chunks_are_whole_and_in_order_while_others_write<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("readers see all that was accepted, in order, while others write");
    const FRAMES: i64 = 60;
    let acknowledged = Arc::new(AtomicI64::new(0));
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..3 {
        let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
        let spool = property.ok(Spool::new(tenant(1), number, ["a", "b", "a"].get(number as usize).unwrap_or(&"c")))?;
        writers.spawn(async move {
            for frame in 1..=FRAMES.unsigned_abs() {
                spool.push(store.as_ref(), [frame]).await?;
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<_, crate::StoreError>(())
        });
    }
    loop {
        let done = writers.is_empty();
        let before = acknowledged.load(Ordering::SeqCst);
        let select = property.ok(everything(tenant(1), TABLES))?;
        let chunks = property.ok(fixture::chunks(store.as_ref(), select).await)?;
        in_order(property, &chunks)?;
        let seen = i64::try_from(chunks.len()).unwrap_or(i64::MAX);
        property.holds(seen >= before, || format!("{before} frames were accepted, {seen} are seen"))?;
        let distinct: HashSet<_> = chunks
            .iter()
            .map(|chunk| (chunk.collector, chunk.frame.time_range(), chunk.frame.source().clone()))
            .collect();
        property.equal("frames seen once", &distinct.len(), &chunks.len())?;
        if done {
            return property.equal("frames in the end", &seen, &(3 * FRAMES));
        }
        while let Some(writer) = writers.try_join_next() {
            property.ok(property.ok(writer)?)?;
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn hints_never_hide_what_was_asked_for<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("a selection gives at least what was asked for");
    let store = store.as_ref();
    let schema = property.ok(fixture::schema(TABLES, &["seq_scan"]))?;
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let mut frames = Vec::new();
    for (server, database) in [("a", Some("app")), ("a", Some("log")), ("a", None), ("b", Some("app"))] {
        for minute in 0..10 {
            let source = fixture::source(server, database);
            let batch = property.ok(scrape(&schema, &source, ScrapeKind::Delta, minute * 60, &[(1, vec![minute])]))?;
            frames.push(property.ok(VerifiedFrame::of_batch(Seq(frames.len() as u64 + 1), &batch))?);
        }
    }
    let all: Vec<_> = frames.iter().filter_map(|frame| frame.frame()).cloned().collect();
    property.ok(store.append(&spool.origin, spool.stream, frames).await)?;
    let id = fixture::source("b", None).server_id.to_string();
    let servers = [None, Some(vec!["a".to_owned()]), Some(vec![id]), Some(vec![])];
    let databases = [None, Some(vec!["app".to_owned(), "log".to_owned()]), Some(vec!["log".to_owned()])];
    for (from, to) in [(0, 540), (120, 120), (119, 241), (600, 900), (-60, -1)] {
        for servers in &servers {
            for databases in &databases {
                let select = ChunkSelect {
                    from: at(from),
                    to: at(to),
                    servers: servers.clone(),
                    databases: databases.clone(),
                    ..property.ok(everything(tenant(1), TABLES))?
                };
                let found = property.ok(fixture::chunks(store, select.clone()).await)?;
                in_order(property, &found)?;
                let missing = all.iter().filter(|frame| {
                    let source = frame.source();
                    let named = |names: &Vec<String>| {
                        names.contains(&source.server_id.to_string())
                            || names.iter().any(|name| **name == *source.server)
                    };
                    let inside = |names: &Vec<String>| {
                        source.database.as_ref().is_some_and(|database| names.iter().any(|name| **name == **database))
                    };
                    frame.time_range().0 >= at(from)
                        && frame.time_range().0 <= at(to)
                        && select.servers.as_ref().is_none_or(named)
                        && select.databases.as_ref().is_none_or(inside)
                        && !found.iter().any(|chunk| chunk.frame.without_schema() == frame.without_schema())
                });
                let missing = missing.count();
                property.holds(missing == 0, || format!("{missing} chunks are missing of {select:?}"))?;
            }
        }
    }
    Ok(())
}

pub(super) async fn summaries_say_what_is_there<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("summaries say what is there");
    let store = store.as_ref();
    property.ok(store.check().await)?;
    property.equal("measurements of an empty store", &property.ok(store.measurements(tenant(1)).await)?.len(), &0)?;
    let [first, second] = [1, 2].map(|collector| Spool::new(tenant(1), collector, "a"));
    let (first, second) = (property.ok(first)?, property.ok(second)?);
    property.ok(first.push(store, [3, 1, 2, 2]).await)?;
    property.ok(second.push(store, 4..=5).await)?;
    let measurements = property.ok(store.measurements(tenant(1)).await)?;
    property.holds(measurements == property.ok(store.stored(tenant(1)).await)?, || {
        "measurements() and stored() differ".to_owned()
    })?;
    let [stored] = measurements.as_slice() else {
        return property.equal("measurements", &measurements.len(), &1);
    };
    property.equal("name", &stored.schema.measurement().as_str(), &TABLES)?;
    let counts = (stored.scrapes, stored.rows, stored.values);
    property.equal("scrapes, rows and values, repeats not counted", &counts, &(5, 5, 10))?;
    property.equal("range", &stored.range, &Some((at(60), at(300))))?;
    let sources = property.ok(store.sources(tenant(1)).await)?;
    let seen: Vec<_> =
        sources.iter().map(|seen| (seen.source.clone(), seen.collector, seen.first_seen, seen.last_seen)).collect();
    property.equal("sources", &seen, &vec![(first.source.clone(), second.origin.collector, at(60), at(300))])
}

pub(super) async fn schemas_grow_and_stay_readable<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("a measurement may gain columns; older ones stay readable");
    let store = store.as_ref();
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let mut frames = Vec::new();
    for (number, counters) in [(1_u64, vec!["seq_scan", "gone_later"]), (2, vec!["new", "seq_scan"])] {
        let schema = property.ok(fixture::schema(TABLES, &counters))?;
        let seconds = i64::try_from(number).unwrap_or_default();
        let batch = scrape(&schema, &spool.source, ScrapeKind::Keyframe, seconds, &[(1, vec![7, 8])]);
        frames.push(property.ok(VerifiedFrame::of_batch(Seq(number), &property.ok(batch)?))?);
    }
    let frames: [VerifiedFrame; 2] = frames.try_into().map_err(|_| super::failure(property.0, "two frames"))?;
    for frame in &frames {
        property.ok(store.append(&spool.origin, spool.stream, vec![frame.clone()]).await)?;
    }
    let stored = property.ok(store.stored(tenant(1)).await)?;
    let columns: Vec<Vec<&str>> = stored
        .iter()
        .map(|stored| stored.schema.columns().iter().map(|column| column.name.as_str()).collect())
        .collect();
    property.equal("columns", &columns, &vec![vec!["id", "new", "seq_scan", "gone_later"]])?;
    let chunks = property.ok(fixture::chunks(store, property.ok(everything(tenant(1), TABLES))?).await)?;
    let same =
        chunks.iter().zip(&frames).all(|(chunk, frame)| Some(chunk.frame.schema()) == frame.frame().map(Frame::schema));
    property.holds(same && chunks.len() == 2, || "a chunk lost the schema that it came with".to_owned())
}

//! Calls that nobody waits for any more: each has wholly happened, or not at all.

use std::{future::Future, sync::Arc, time::Duration};

use pganalytics_core::{MeasurementName, frame::VerifiedFrame};
use tokio::time::timeout;

use super::{
    Candidate, Check, Property,
    fixture::{Spool, TABLES, at, keys_to, stored_keys, tenant, word},
};
use crate::Job;

const PUSHES: u64 = 60;
const FRAMES: u64 = 4;

/// Gives a call up after some microseconds, another number for each round.
async fn give_up<T>(round: u64, call: impl Future<Output = T>) -> Option<T> {
    timeout(Duration::from_micros(round * round % 1_500), call).await.ok()
}

pub(super) async fn an_append_that_is_given_up_is_stored_whole_or_not_at_all<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("an append that is given up is stored whole, or not at all");
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let push =
        |round: u64| -> Result<Vec<VerifiedFrame>, _> { spool.frames(round * FRAMES + 1..=(round + 1) * FRAMES) };
    let mut given_up = 0;
    for round in 0..PUSHES {
        let frames = property.ok(push(round))?;
        match give_up(round, store.append(&spool.origin, spool.stream, frames)).await {
            Some(done) => property.equal("frames accepted", &property.ok(done)?.accepted(), &4)?,
            None => given_up += 1,
        }
    }
    // What was given up may still be under way: the next push waits behind it.
    for round in 0..PUSHES {
        let again = store.append(&spool.origin, spool.stream, property.ok(push(round))?).await;
        let word = word(&property.ok(again)?);
        property.holds(word == "dddd" || word == "aaaa", || format!("push {round}, sent again: {word}"))?;
    }
    tracing::debug!(given_up, "appends were given up");
    let keys = i64::try_from(PUSHES * FRAMES).unwrap_or_default();
    property.equal("keys stored", &property.ok(stored_keys(store.as_ref(), tenant(1)).await)?, &keys_to(keys))
}

pub(super) async fn a_job_that_is_given_up_loses_nothing<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("a job that is given up loses nothing, and the next one ends it");
    let store = store.as_ref();
    for collector in 1..=3 {
        let spool = property.ok(Spool::new(tenant(1), collector, "a"))?;
        property.ok(spool.push(store, 1..=400).await)?;
    }
    let compact = Job::Compact { before: at(1_000_000) };
    for round in 0..30 {
        drop(give_up(3 * round, store.maintain(compact.clone())).await);
        drop(give_up(3 * round, store.maintain(Job::Heads)).await);
    }
    let all: Vec<i64> = (1..=400).flat_map(|key| [key; 3]).collect();
    property.equal("keys after jobs", &property.ok(stored_keys(store, tenant(1)).await)?, &all)?;
    property.ok(store.maintain(compact.clone()).await)?;
    property.equal("keys after the last", &property.ok(stored_keys(store, tenant(1)).await)?, &all)?;
    property.equal("it has come to rest", &property.ok(store.maintain(compact).await)?.chunks_out, &0)?;

    // Of 400 minutes three hours and forty are over, of which two hours are kept.
    let retention = vec![(property.ok(MeasurementName::new(TABLES))?, Duration::from_secs(7200))];
    let retain = Job::Retain { now: at(400 * 60), default: Duration::from_secs(7200), retention };
    for round in 0..30 {
        drop(give_up(3 * round, store.maintain(retain.clone())).await);
        let keys = property.ok(stored_keys(store, tenant(1)).await)?;
        let kept: Vec<i64> = (280..=400).flat_map(|key| [key; 3]).collect();
        property.holds(keys.ends_with(&kept), || format!("round {round}: what is young is gone: {keys:?}"))?;
    }
    property.ok(store.maintain(retain.clone()).await)?;
    property.equal("dropped by one more", &property.ok(store.maintain(retain).await)?.dropped, &0)
}

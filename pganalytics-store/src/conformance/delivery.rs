//! Each frame is stored once.

use std::{sync::Arc, time::Duration};

use pganalytics_core::{Gap, GapReason, Seq, frame::VerifiedFrame};
use tokio::task::JoinSet;

use super::{
    Candidate, Check, Property,
    fixture::{Spool, at, keys_to, stored_keys, tenant, word},
};
use crate::metric_store::Job;

pub(super) async fn a_frame_is_stored_once_however_often_it_comes<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("a frame is stored once, however often it comes");
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let store = store.as_ref();
    property.equal("a first push", &word(&property.ok(spool.push(store, 1..=3).await)?), &"aaa".to_owned())?;
    property.equal("the same push again", &word(&property.ok(spool.push(store, 1..=3).await)?), &"ddd".to_owned())?;
    property.equal("an overlapping push", &word(&property.ok(spool.push(store, 2..=5).await)?), &"ddaa".to_owned())?;
    let twice = property.ok(spool.push(store, [6, 6, 5, 7, 6]).await)?;
    property.equal("repeats inside a push", &word(&twice), &"addad".to_owned())?;
    let seqs: Vec<Seq> = twice.frames.iter().map(|(seq, _)| *seq).collect();
    property.equal("outcomes in the order given", &seqs, &[6, 6, 5, 7, 6].map(Seq).to_vec())?;
    property.equal("an empty push", &property.ok(spool.push(store, []).await)?.frames.len(), &0)?;
    property.equal("keys stored", &property.ok(stored_keys(store, tenant(1)).await)?, &keys_to(7))
}

pub(super) async fn a_gap_is_kept_once_and_told_to_its_tenant<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("a gap takes its place in the stream and is told to its tenant");
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let gap = Gap {
        first: Seq(2),
        last: Seq(7),
        from: at(120),
        to: at(420),
        reason: GapReason::Quota,
        detail: "the disk was small".to_owned(),
        cut: Vec::new(),
    };
    let mut frames = property.ok(spool.frames([1, 9]))?;
    frames.insert(1, VerifiedFrame::of_gap(Seq(8), gap.clone()));
    for expected in ["aaa", "ddd"] {
        let outcome = property.ok(store.append(&spool.origin, spool.stream, frames.clone()).await)?;
        property.equal("outcomes", &word(&outcome), &expected.to_owned())?;
    }
    let told = property.ok(store.gaps(tenant(1)).await)?;
    let told: Vec<_> = told.into_iter().map(|stored| (stored.stream, stored.seq, stored.gap)).collect();
    property.equal("gaps", &told, &vec![(spool.stream, Seq(8), gap.clone())])?;
    property.equal("gaps of another tenant", &property.ok(store.gaps(tenant(2)).await)?, &Vec::new())?;
    // A gap whose range touches another's, and a hole that nobody has declared.
    let more = Gap { first: Seq(8), last: Seq(10), from: at(480), ..gap };
    let mut frames = property.ok(spool.frames([14]))?;
    frames.push(VerifiedFrame::of_gap(Seq(12), more));
    property.ok(store.append(&spool.origin, spool.stream, frames).await)?;
    let job = Job::Retain { now: at(300 * 86_400), default: Duration::from_secs(60), retention: Vec::new() };
    property.ok(store.maintain(job).await)?;
    let accounts = property.ok(store.stream_accounts(tenant(1)).await)?;
    let account = accounts.iter().map(|account| {
        (account.stream, account.stored.to_string(), account.lost().to_string(), account.missing().to_string())
    });
    let expected = [(spool.stream, "1, 8-9, 12, 14", "2-7, 10", "11, 13")]
        .map(|(stream, stored, lost, missing)| (stream, stored.to_owned(), lost.to_owned(), missing.to_owned()));
    property.equal("accounts, whatever is dropped", &account.collect::<Vec<_>>(), &expected.to_vec())?;
    property.equal("accounts of another tenant", &property.ok(store.stream_accounts(tenant(2)).await)?, &Vec::new())
}

pub(super) async fn order_of_arrival_does_not_matter<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("frames may come in any order");
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let store = store.as_ref();
    // Every seventh first, then each step fills holes and repeats what is there.
    for step in [7_usize, 5, 3, 2, 1] {
        let numbers = (1..=100_u64).rev().step_by(step);
        property.ok(spool.push(store, numbers).await)?;
    }
    property.equal("keys stored", &property.ok(stored_keys(store, tenant(1)).await)?, &keys_to(100))?;
    let again = word(&property.ok(spool.push(store, 1..=100).await)?);
    property.equal("all are known", &again, &"d".repeat(100))
}

pub(super) async fn streams_are_apart<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("streams, collectors and tenants number their frames on their own");
    let first = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let mut others = vec![property.ok(Spool::new(tenant(1), 1, "a"))?];
    // The same stream id from another collector, and from another tenant.
    for (owner, collector) in [(1, 2), (2, 1)] {
        let mut other = property.ok(Spool::new(tenant(owner), collector, "a"))?;
        other.stream = first.stream;
        others.push(other);
    }
    let store = store.as_ref();
    property.ok(first.push(store, 1..=4).await)?;
    for other in &others {
        property.equal(
            "frames of another",
            &word(&property.ok(other.push(store, 1..=4).await)?),
            &"aaaa".to_owned(),
        )?;
    }
    let thrice: Vec<i64> = (1..=4).flat_map(|key| [key; 3]).collect();
    property.equal("keys of one tenant", &property.ok(stored_keys(store, tenant(1)).await)?, &thrice)?;
    property.equal("keys of the other", &property.ok(stored_keys(store, tenant(2)).await)?, &keys_to(4))
}

pub(super) async fn senders_at_once_store_each_frame_once<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("senders at once store each frame once");
    const SENDERS: u64 = 12;
    const FRAMES: u64 = 120;
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (store, spool) = (Arc::clone(&store), spool.clone());
        senders.spawn(async move {
            let mut accepted = 0;
            for step in 0..FRAMES / 5 {
                // Windows overlap, and every sender begins elsewhere.
                let begin = (sender * 31 + step * 5) % FRAMES;
                let numbers = (begin..begin + 9).map(|number| number % FRAMES + 1);
                accepted += spool.push(store.as_ref(), numbers).await?.accepted();
            }
            Ok::<_, crate::StoreError>(accepted)
        });
    }
    let mut accepted = 0;
    while let Some(sender) = senders.join_next().await {
        accepted += property.ok(property.ok(sender)?)?;
    }
    let keys = property.ok(stored_keys(store.as_ref(), tenant(1)).await)?;
    property.equal("keys stored", &keys, &(1..=120).collect())?;
    property.equal("frames accepted in all", &accepted, &120)
}

pub(super) async fn a_rejected_frame_leaves_its_neighbours_alone<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("a rejected frame rejects itself, not its neighbours");
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let store = store.as_ref();
    let outcome = property.ok(spool.push(store, [1, 0, 2, u64::MAX, 3]).await)?;
    property.equal("outcomes", &word(&outcome), &"arara".to_owned())?;
    property.equal("keys stored", &property.ok(stored_keys(store, tenant(1)).await)?, &keys_to(3))?;
    let again = property.ok(spool.push(store, [0, 1, i64::MAX as u64]).await)?;
    property.equal("a rejected frame stays rejected", &word(&again), &"rda".to_owned())
}

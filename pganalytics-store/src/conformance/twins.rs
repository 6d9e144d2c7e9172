//! Streams that two senders go on with, and pushes that come twice without
//! numbers to tell.

use std::sync::{Arc, Mutex};

use pganalytics_core::{Incarnation, Position, StreamId, frame::VerifiedFrame};

use super::{
    Candidate, Check, Property,
    fixture::{Spool, keys_to, stored_keys, tenant, word},
};
use crate::{
    AppendOutcome, Origin, PushKey, StoreError, Unnumbered,
    fork::{ForkReason, REMEMBERED},
    unnumbered::KEPT,
};

pub(super) async fn the_same_number_with_another_content_is_a_fork<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("the same number with another content is a fork, and nothing of its push is stored");
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let store = store.as_ref();
    let last = REMEMBERED + 200;
    for first in (1..=last).step_by(100) {
        property.ok(spool.push(store, first..(first + 100).min(last + 1)).await)?;
    }
    let again = property.ok(spool.push(store, [1, 2, last - 1, last]).await)?;
    property.equal("what was sent before", &word(&again), &"dddd".to_owned())?;

    // A copy numbers other samples from there on.
    let other = |number: u64| Ok::<_, StoreError>(frame(&spool, number + 7)?.at(pganalytics_core::Seq(number)));
    for number in [last, last - REMEMBERED + 1] {
        let frames = vec![property.ok(frame(&spool, last + 1))?, property.ok(other(number))?];
        let outcome = property.ok(store.append(&spool.origin, spool.stream, frames).await)?;
        let found = outcome.fork.map(|fork| (fork.seq.0, fork.reason));
        property.equal("the fork", &found, &Some((number, ForkReason::OtherContent)))?;
        property.equal("outcomes of frames", &outcome.frames.len(), &0)?;
    }
    let keys = i64::try_from(last).unwrap_or_default();
    property.equal("keys stored", &property.ok(stored_keys(store, tenant(1)).await)?, &keys_to(keys))?;
    let told = property.ok(store.forks(tenant(1)).await)?;
    let told: Vec<_> = told.iter().map(|told| (told.collector, told.stream, told.times)).collect();
    property.equal("forks told", &told, &vec![(spool.origin.collector, spool.stream, 2)])?;
    property.equal("forks of another tenant", &property.ok(store.forks(tenant(2)).await)?, &Vec::new())?;
    let on = property.ok(spool.push(store, [last, last + 1]).await)?;
    property.equal("the original goes on", &word(&on), &"da".to_owned())
}

pub(super) async fn an_opening_goes_on_only_up_to_its_successor<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("an opening of a stream goes on only up to its successor");
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let store = store.as_ref();
    let push = async |opening: u64, numbers: &[u64]| {
        let place = |frame: VerifiedFrame| {
            let position = Position { incarnation: Incarnation(opening), ..frame.position() };
            frame.at(position)
        };
        let frames = property.ok(spool.frames(numbers.iter().copied()))?.into_iter().map(place).collect();
        let outcome = property.ok(store.append(&spool.origin, spool.stream, frames).await)?;
        Ok::<_, super::ConformanceFailure>(match outcome.fork {
            Some(fork) => fork.reason.as_str().to_owned(),
            None => word(&outcome),
        })
    };
    for (opening, numbers, expected) in [
        (1, &[1, 2][..], "aa"),
        (2, &[60, 61], "aa"),
        (1, &[3, 59, 2], "aad"),
        (1, &[62], "older_incarnation"),
        (3, &[30], "older_incarnation"),
        (0, &[30, 62], "aa"),
        (3, &[63, 62], "ad"),
        (2, &[61, 64], "older_incarnation"),
    ] {
        property.equal(&format!("{opening}: {numbers:?}"), &push(opening, numbers).await?, &expected.to_owned())?;
    }
    Ok(())
}

pub(super) async fn unnumbered_frames_are_stored_once_for_each_key<S: Candidate>(store: Arc<S>) -> Check {
    let property = Property("unnumbered frames are stored once for each key, and answered as the first time");
    let spool = property.ok(Spool::new(tenant(1), 1, "a"))?;
    let store = store.as_ref();
    let key = |key: u8, content: u8| Some(PushKey { key: [key; 32], content: [content; 32] });
    let next = Mutex::new(1);
    // Each push brings frames that were not there before, with numbers of its own.
    let push = async |origin: &Origin, key: Option<PushKey>, count: u64, bad: bool| {
        let first = {
            let mut next = next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *next += count;
            *next - count
        };
        let frames = property.ok(spool.frames(first..first + count))?;
        let mut origin = *origin;
        origin.quotas.series = if bad { 0 } else { u64::MAX };
        let reply = Box::new(move |outcome: &AppendOutcome| format!("{first}: {}", word(outcome)).into_bytes());
        let said = property.ok(store.append_unnumbered(&origin, key, frames, reply).await)?;
        Ok::<_, super::ConformanceFailure>(match said {
            Unnumbered::Stored(outcome) => word(&outcome),
            Unnumbered::Repeated { reply } => String::from_utf8_lossy(&reply).into_owned(),
            Unnumbered::OtherContent => "other".to_owned(),
        })
    };
    let (origin, later) = (spool.origin, |micros: i64| Origin {
        received_at: spool.origin.received_at.plus_micros(micros),
        ..spool.origin
    });
    let kept = i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
    for (origin, key, count, bad, expected) in [
        // Nothing is stored of it, so nothing is remembered.
        (origin, key(1, 1), 1, true, "r"),
        (origin, key(1, 1), 2, false, "aa"),
        (later(kept - 1), key(1, 1), 1, false, "2: aa"),
        (origin, key(1, 2), 1, false, "other"),
        (origin, key(2, 1), 1, false, "a"),
        (origin, None, 1, false, "a"),
        (origin, None, 1, false, "a"),
        (later(kept), key(1, 2), 1, false, "a"),
        (later(kept), key(1, 2), 1, false, "9: a"),
    ] {
        property.equal("what was said", &push(&origin, key, count, bad).await?, &expected.to_owned())?;
    }
    let keys = property.ok(stored_keys(store, tenant(1)).await)?;
    property.equal("keys stored", &keys, &vec![2, 3, 6, 7, 8, 9])?;
    // They stand in one stream of the collector without holes.
    let stream = StreamId::of_unnumbered(spool.origin.collector);
    let mut place = spool.clone();
    place.stream = stream;
    let quotas = crate::Quotas { streams: 1, ..crate::Quotas::NONE };
    place.origin = Origin { quotas, ..spool.origin };
    property.equal("the next number", &word(&property.ok(place.push(store, [7]).await)?), &"a".to_owned())
}

fn frame(spool: &Spool, number: u64) -> Result<VerifiedFrame, StoreError> {
    spool.frame(number).map_err(|error| StoreError::backend("making frames", error))
}

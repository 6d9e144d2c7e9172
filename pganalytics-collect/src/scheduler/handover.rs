//! What the tasks of an agent share, and how they hand over what they bring.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use pganalytics_core::{Batch, Source, frame};
use tokio::{sync::Mutex, time::Instant};
use tracing::error;

use super::{SchedulerStats, accounts::Accounts};
use crate::{
    change_filter::ChangeFilter,
    clock::Clock,
    collector::Report,
    deliver::{Outbox, Remembered},
    error::CollectError,
    exporter::Latest,
};

/// What the tasks of an agent share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub outbox: Arc<dyn Outbox>,
    pub clock: Arc<dyn Clock>,
    pub stats: Arc<SchedulerStats>,
    /// Lines of all collectors, for several may visit one source. Held until
    /// the outbox has the frames, so that they stand there in order.
    pub accounts: Arc<Mutex<(Accounts, ChangeFilter, u64)>>,
    /// What scrapers read, where there is an exporter.
    pub latest: Option<Latest>,
    /// Whether frames go anywhere. If not, none are made, and nothing is
    /// collected but what scrapers ask for.
    pub delivers: bool,
}

/// A frame of what changed, and how many rows were left out for a later one of their key.
pub(super) fn encode(filter: &mut ChangeFilter, batch: Batch, now: Instant) -> Result<(Bytes, usize), CollectError> {
    let filtered = filter.apply(batch, now)?;
    Ok((Bytes::from(frame::encode(&filtered.batch)?), filtered.duplicates))
}

/// Puts the frames of a visit and its account into the outbox.
pub(super) async fn deliver(
    shared: &Shared,
    fallback: &Source,
    mut frames: Vec<Bytes>,
    reports: Vec<Report>,
    interval: Duration,
    state: Option<Remembered>,
) {
    let now = shared.clock.now();
    let mut guard = shared.accounts.lock().await;
    let (accounts, filter, losses) = &mut *guard;
    let seen = shared.outbox.stats().losses;
    if *losses != seen {
        *losses = seen;
        filter.force_keyframe();
    }
    let batches = accounts.take(reports, fallback, now, interval).unwrap_or_else(|error| {
        error!(%error, "the account of a visit is lost");
        Vec::new()
    });
    if let Some(latest) = &shared.latest {
        latest.take(&batches, &[]);
    }
    if !shared.delivers {
        return;
    }
    for batch in batches {
        match encode(filter, batch, Instant::now()) {
            Ok((frame, _)) => frames.push(frame),
            Err(error) => {
                filter.force_keyframe();
                error!(%error, "the account of a visit is lost");
            }
        }
    }
    let put = shared.outbox.put(frames, state);
    // Visits that end while this one waits for the disk are written with it.
    drop(guard);
    put.await;
}

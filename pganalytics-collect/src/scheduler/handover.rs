//! What the tasks of an agent share, and how they hand over what they bring.

use std::{sync::Arc, time::Duration};

use pganalytics_core::{Batch, Presence, Source};
use tokio::{
    sync::{Mutex, broadcast},
    time::Instant,
};
use tracing::error;

use super::{SchedulerStats, accounts::Accounts, split, time::Time};
use crate::{
    change_filter::ChangeFilter,
    collector::Report,
    delivery::{Loss, NewFrame, Outbox, Remembered},
    error::CollectError,
    latest::Latest,
};

/// What the tasks of an agent share.
#[derive(Clone)]
pub(crate) struct RunnerContext {
    pub outbox: Arc<dyn Outbox>,
    pub clock: Time,
    pub stats: Arc<SchedulerStats>,
    /// Lines of all collectors, for several may visit one source. Held until
    /// the outbox has the frames, so that they stand there in order.
    pub accounts: Arc<Mutex<(Accounts, ChangeFilter, Losses)>>,
    /// What scrapers read, where there is an exporter.
    pub latest: Option<Latest>,
    /// Whether frames go anywhere. If not, none are made, and nothing is
    /// collected but what scrapers ask for.
    pub delivers: bool,
}

/// What was lost since somebody looked.
pub(crate) struct Losses(broadcast::Receiver<Loss>);

impl Losses {
    pub(crate) fn of(outbox: &dyn Outbox) -> Self {
        Self(outbox.losses())
    }

    /// Makes the next batch of each series that lost something a keyframe, and
    /// gives the losses.
    pub(super) fn apply(&mut self, filter: &mut ChangeFilter) -> Vec<Loss> {
        let mut all = Vec::new();
        loop {
            match self.0.try_recv() {
                Ok(loss) => {
                    if loss.cut.is_empty() {
                        filter.force_keyframe();
                    }
                    for cut in &loss.cut {
                        cut.measurements
                            .iter()
                            .for_each(|measurement| filter.force_keyframe_of(measurement, &cut.source));
                    }
                    all.push(loss);
                }
                // More than are kept: any series may be among them.
                Err(broadcast::error::TryRecvError::Lagged(_)) => filter.force_keyframe(),
                Err(_) => return all,
            }
        }
    }
}

/// Frames of what changed, and how many rows were left out for a later one of their key.
pub(super) fn encode(
    filter: &mut ChangeFilter,
    batch: Batch,
    now: Instant,
) -> Result<(Vec<NewFrame>, usize), CollectError> {
    let filtered = filter.apply(batch, now)?;
    let batch = filtered.batch;
    // Rows that are all new are no difference to what was before.
    let is_state = batch.schema.presence() == Presence::State;
    let series = is_state.then(|| (batch.schema.measurement().clone(), batch.source.clone()));
    let frames = split::encode(batch)?.into_iter().map(|bytes| NewFrame { bytes, series: series.clone() });
    Ok((frames.collect(), filtered.duplicates))
}

/// Puts the frames of a visit and its account into the outbox.
pub(super) async fn deliver(
    shared: &RunnerContext,
    fallback: &Source,
    mut frames: Vec<NewFrame>,
    reports: Vec<Report>,
    interval: Duration,
    state: Option<Remembered>,
) {
    let now = shared.clock.now();
    let mut guard = shared.accounts.lock().await;
    let (accounts, filter, losses) = &mut *guard;
    losses.apply(filter);
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
    for mut batch in batches {
        batch.scrape.clock.offset_micros = shared.clock.offset();
        let ended = batch.rows.is_empty().then(|| (batch.schema.measurement().clone(), batch.source.clone()));
        match encode(filter, batch, Instant::now()) {
            Ok((new, _)) => {
                frames.extend(new);
                if let Some((measurement, source)) = &ended {
                    filter.force_keyframe_of(measurement, source);
                }
            }
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

//! Compaction and retention.

use std::{future::Future, sync::atomic::Ordering::Relaxed, time::Duration};

use pganalytics_store::Job;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    Server,
    auth::{key_store, token_keys::RELOAD_SECS},
    state::{App, now},
};

const COMPACT_EVERY: Duration = Duration::from_secs(180);
const RETAIN_EVERY: Duration = Duration::from_secs(3600);
const KEYS_EVERY: Duration = Duration::from_secs(RELOAD_SECS as u64);
/// It is for who looks at the present, so others do not hold it up.
const HEADS_EVERY: Duration = Duration::from_secs(60);
/// Frames of an hour may still come in for this long.
const LATE_MICROS: i64 = 600 * 1_000_000;

impl Server {
    /// Keeps the stores in order, for ever: joins frames of finished hours,
    /// drops what is too old. [`Server::serve`] does it by itself; whoever
    /// nests the service spawns this beside it.
    pub fn maintenance(&self) -> impl Future<Output = ()> + Send + use<> {
        let app = self.app.clone();
        async move {
            // Not at once: what happens at start has the disk for itself.
            let start = Instant::now();
            let mut compact = interval_at(start + Duration::from_secs(30), COMPACT_EVERY);
            let mut retain = interval_at(start + Duration::from_secs(60), RETAIN_EVERY);
            compact.set_missed_tick_behavior(MissedTickBehavior::Delay);
            retain.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let jobs = async {
                loop {
                    tokio::select! {
                        _ = compact.tick() => run(&app, "compaction", compaction()).await,
                        _ = retain.tick() => {
                            run(&app, "retention", retention(&app)).await;
                            forget_sessions(&app).await;
                        }
                    }
                }
            };
            let mut heads = interval_at(start + Duration::from_secs(45), HEADS_EVERY);
            heads.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let heads = async {
                loop {
                    heads.tick().await;
                    run(&app, "heads", Job::Heads).await;
                }
            };
            let mut keys = interval_at(start + KEYS_EVERY, KEYS_EVERY);
            keys.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let keys = async {
                loop {
                    keys.tick().await;
                    refresh_keys(&app).await;
                }
            };
            tokio::join!(jobs, heads, keys);
        }
    }
}

async fn refresh_keys(app: &App) {
    if let Err(error) = key_store::refresh(&*app.meta, &app.signer).await {
        tracing::warn!(%error, "the signing keys can't be read; those that are known go on");
    }
}

fn compaction() -> Job {
    Job::Compact { before: now().plus_micros(-LATE_MICROS) }
}

fn retention(app: &App) -> Job {
    let each = app.catalog.iter().map(|known| (known.name().clone(), known.retention()));
    Job::Retain { now: now(), default: app.settings.default_retention, retention: each.collect() }
}

async fn forget_sessions(app: &App) {
    if let Err(error) = app.meta.drop_ended_sessions(now()).await {
        tracing::error!(%error, "sessions that ended could not be forgotten; it is tried again");
    }
}

async fn run(app: &App, name: &'static str, job: Job) {
    let started = Instant::now();
    match app.metrics.maintain(job).await {
        Ok(report) => {
            app.counters.jobs_done.fetch_add(1, Relaxed);
            tracing::debug!(job = name, ?report, elapsed = ?started.elapsed(), "background job done");
        }
        Err(error) => {
            app.counters.jobs_failed.fetch_add(1, Relaxed);
            tracing::error!(job = name, %error, "a background job failed; it is tried again");
        }
    }
}

//! The last full scrape of each measurement at each place, and the way to ask
//! collectors for fresher ones: the scheduler fills it, the exporter reads it.
#![cfg_attr(not(feature = "exporter"), allow(dead_code, unreachable_pub, reason = "only the exporter reads it"))]

pub(crate) mod refresh;
mod texts;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pganalytics_core::{Batch, MeasurementName, Presence, Source};
use tokio::{sync::mpsc, time::Instant};

use self::refresh::{RefreshHandle, RefreshRequest};
use crate::collector::{Outcome, Report};

/// Asks that may wait at one collector; a scrape more is not worth waiting for.
const WAITING: usize = 16;

/// A measurement at a server, by the name that people gave it: a server that is
/// replaced by another of its name leaves nothing behind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SeriesKey {
    pub(crate) measurement: MeasurementName,
    pub(crate) server: Arc<str>,
    pub(crate) database: Option<Arc<str>>,
}

impl SeriesKey {
    fn of(measurement: &MeasurementName, source: &Source) -> Self {
        Self { measurement: measurement.clone(), server: Arc::clone(&source.server), database: source.database.clone() }
    }
}

/// A full scrape, and when it came.
#[derive(Debug, Clone)]
pub(crate) struct LatestBatch {
    pub(crate) batch: Arc<Batch>,
    pub(crate) at: Instant,
}

/// How the last visit for a measurement went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastVisit {
    pub(crate) failed: bool,
    pub(crate) elapsed: Duration,
    pub(crate) at: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) kept: HashMap<SeriesKey, LatestBatch>,
    pub(crate) accounts: HashMap<SeriesKey, LastVisit>,
    handles: Vec<Arc<RefreshHandle>>,
    /// Whether texts of statements are kept, too.
    keeps_texts: bool,
}

/// What was collected last, whole: the exporter reads it, the scheduler fills it.
///
/// A measurement that failed, or that the server does not have any more, is
/// taken out, so that its series end instead of standing still.
#[derive(Debug, Clone, Default)]
pub struct Latest {
    state: Arc<Mutex<State>>,
}

impl Latest {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes full scrapes and the reports of a visit.
    pub fn take(&self, batches: &[Batch], reports: &[Report]) {
        let now = Instant::now();
        self.with(|state| {
            for report in reports {
                let Some(source) = &report.source else { continue };
                let place = SeriesKey::of(&report.measurement, source);
                let failed = matches!(report.outcome, Outcome::Failed { .. });
                let unsupported = matches!(report.outcome, Outcome::Unsupported { .. });
                if failed || unsupported {
                    state.kept.remove(&place);
                }
                let account = LastVisit { failed, elapsed: report.elapsed, at: now };
                state.accounts.insert(place, account);
            }
            for batch in batches {
                let place = SeriesKey::of(batch.schema.measurement(), &batch.source);
                // Facts that are told once are no series.
                if batch.schema.presence() == Presence::Append {
                    if state.keeps_texts && place.measurement.as_str() == texts::MEASUREMENT {
                        let older = state.kept.get(&place).map(|kept| &*kept.batch);
                        if let Ok(batch) = texts::joined(batch, older) {
                            state.kept.insert(place, LatestBatch { batch: Arc::new(batch), at: now });
                        }
                    }
                    continue;
                }
                if batch.rows.is_empty() {
                    state.kept.remove(&place);
                } else {
                    state.kept.insert(place, LatestBatch { batch: Arc::new(batch.clone()), at: now });
                }
            }
        });
    }

    /// Keeps texts of statements from now on.
    pub(crate) fn keep_texts(&self) {
        self.with(|state| state.keeps_texts = true);
    }

    /// Number of places where something is kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|state| state.kept.len())
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A measurement that is not taken any more, or is another now.
    pub(crate) fn end(&self, measurement: &MeasurementName) {
        self.with(|state| {
            state.kept.retain(|place, _| place.measurement != *measurement);
            state.accounts.retain(|place, _| place.measurement != *measurement);
        });
    }

    /// A collector that can be asked for fresh figures.
    pub(crate) fn register(
        &self,
        measurements: HashSet<MeasurementName>,
    ) -> (Arc<RefreshHandle>, mpsc::Receiver<RefreshRequest>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let handle = Arc::new(RefreshHandle::new(sender, measurements));
        self.with(|state| state.handles.push(Arc::clone(&handle)));
        (handle, receiver)
    }

    pub(crate) fn handles(&self) -> Vec<Arc<RefreshHandle>> {
        self.with(|state| {
            state.handles.retain(|handle| !handle.is_closed());
            state.handles.clone()
        })
    }

    /// Drops what nobody has renewed for this long.
    pub(crate) fn forget(&self, limit: impl Fn(&Batch) -> Duration) {
        let now = Instant::now();
        self.with(|state| {
            let day = Duration::from_secs(86_400);
            // Texts are told again after a day.
            let limit = |batch: &Batch| match batch.schema.presence() {
                Presence::Append => day + day,
                Presence::State => limit(batch),
            };
            state.kept.retain(|_, kept| now.saturating_duration_since(kept.at) <= limit(&kept.batch));
            state.accounts.retain(|_, account| now.saturating_duration_since(account.at) <= day);
        });
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

//! How a scrape gets fresh figures: it asks the tasks of the collectors, which
//! visit when what they last read is too old. So two scrapers don't double the
//! load, and there are never two visits at once.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use pganalytics_core::{MeasurementName, catalog::Measurement};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::Latest;

/// Measurements that the catalog takes more rarely than this are dear: a scrape
/// is content with what their own interval brings.
const CHEAP: Duration = Duration::from_secs(60);

/// A scrape's wish.
#[derive(Debug)]
pub(crate) struct RefreshRequest {
    wanted: Arc<HashSet<MeasurementName>>,
    max_age: Duration,
    /// Dropped when it has been done.
    _done: oneshot::Sender<()>,
}

impl RefreshRequest {
    /// Whether a measurement that was read at this time must be read again.
    /// `interval` is how often it is taken by the plan.
    pub(crate) fn wants(
        &self,
        measurement: &Measurement,
        interval: Duration,
        last: Option<Read>,
        now: Instant,
    ) -> bool {
        if !self.wanted.contains(measurement.name()) {
            return false;
        }
        let Some(last) = last else { return true };
        let limit = if last.failed { self.max_age } else { age_limit(measurement, interval, self.max_age) };
        now.saturating_duration_since(last.at) >= limit
    }
}

/// How old a measurement may be when it is served.
pub(crate) fn age_limit(measurement: &Measurement, interval: Duration, max_age: Duration) -> Duration {
    if measurement.interval() > CHEAP { interval.max(max_age) } else { max_age }
}

/// When a collector last read a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    pub(crate) at: Instant,
    pub(crate) failed: bool,
}

/// The exporter's end of a collector's task.
#[derive(Debug)]
pub(crate) struct RefreshHandle {
    sender: mpsc::Sender<RefreshRequest>,
    measurements: Mutex<HashSet<MeasurementName>>,
    /// Servers that it brought something of.
    servers: Mutex<BTreeSet<Arc<str>>>,
}

impl RefreshHandle {
    pub(crate) fn new(sender: mpsc::Sender<RefreshRequest>, measurements: HashSet<MeasurementName>) -> Self {
        Self { sender, measurements: Mutex::new(measurements), servers: Mutex::default() }
    }

    /// Notes that something came from this server.
    pub(crate) fn saw(&self, server: &Arc<str>) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if !servers.contains(server) {
            servers.insert(Arc::clone(server));
        }
    }

    /// What it can collect from now on.
    pub(crate) fn has(&self, measurements: HashSet<MeasurementName>) {
        *self.measurements.lock().unwrap_or_else(PoisonError::into_inner) = measurements;
    }

    fn has_any_of(&self, wanted: &HashSet<MeasurementName>) -> bool {
        !self.measurements.lock().unwrap_or_else(PoisonError::into_inner).is_disjoint(wanted)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    fn may_have(&self, server: Option<&str>) -> bool {
        let Some(server) = server else { return true };
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.is_empty() || servers.contains(server)
    }
}

/// Asks all that have something of what is wanted and waits until they have
/// visited, at most until the deadline. Returns whether all answered in time.
pub(crate) async fn refresh(
    latest: &Latest,
    wanted: &Arc<HashSet<MeasurementName>>,
    server: Option<&str>,
    max_age: Duration,
    deadline: Instant,
) -> bool {
    let ask = |handle: Arc<RefreshHandle>| async move {
        let (done, finished) = oneshot::channel();
        let ask = RefreshRequest { wanted: Arc::clone(wanted), max_age, _done: done };
        if handle.sender.try_send(ask).is_err() {
            // It is stopping, or hangs with a queue of asks before it.
            return handle.is_closed();
        }
        timeout_at(deadline, finished).await.is_ok()
    };
    let handles = latest.handles().into_iter();
    let handles = handles.filter(|handle| handle.may_have(server) && handle.has_any_of(wanted));
    join_all(handles.map(ask)).await.into_iter().all(|in_time| in_time)
}

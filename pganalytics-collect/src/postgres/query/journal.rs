//! What was said and tried before: the log speaks when something changes, not
//! at every visit, and a statement that is bound to fail is not sent at every
//! visit. How measurements go is logged by the scheduler, from their reports.

use std::{collections::HashMap, sync::Arc, time::Duration};

use pganalytics_core::MeasurementName;
use tokio::time::Instant;

use crate::collector::Outcome;

/// Longest pause before a failing statement is tried again.
const LONGEST: Duration = Duration::from_secs(600);
const SHORTEST: Duration = Duration::from_secs(60);

type Key = (MeasurementName, Option<Arc<str>>);

#[derive(Debug, Default)]
struct Entry {
    remark: String,
    pause: Option<Pause>,
}

#[derive(Debug)]
struct Pause {
    until: Instant,
    length: Duration,
    outcome: Outcome,
}

/// What is known of the server and of each measurement at each place.
#[derive(Debug)]
pub(crate) struct Journal {
    server: Arc<str>,
    entries: HashMap<Key, Entry>,
    down: Option<String>,
    /// Why its databases can't be visited.
    closed: Option<String>,
}

impl Journal {
    pub(crate) fn new(server: Arc<str>) -> Self {
        Self { server, entries: HashMap::new(), down: None, closed: None }
    }

    /// How the server is; `None`: well.
    pub(crate) fn server(&mut self, trouble: Option<&str>) {
        match (trouble, self.down.as_deref()) {
            (Some(new), Some(old)) if new == old => {}
            (Some(new), _) if self.closed.as_deref() == Some(new) => {}
            (Some(new), _) => tracing::warn!(server = %self.server, "{new}"),
            (None, Some(_)) => tracing::info!(server = %self.server, "answers again"),
            (None, None) => {}
        }
        self.down = trouble.map(str::to_owned);
    }

    /// Whether its databases can be visited; `None`: they can. What was said of
    /// the server is not said again of its databases.
    pub(crate) fn databases(&mut self, trouble: Option<&str>) {
        match (trouble, self.closed.as_deref()) {
            (Some(new), Some(old)) if new == old => {}
            (Some(new), _) if self.down.as_deref() == Some(new) => {}
            (Some(new), _) => tracing::warn!(server = %self.server, "{new}"),
            (None, Some(_)) if self.down.is_none() => {
                tracing::info!(server = %self.server, "its databases can be visited");
            }
            (None, _) => {}
        }
        self.closed = trouble.map(str::to_owned);
    }

    /// What was said last of the server, if something is wrong.
    pub(crate) fn down(&self) -> Option<&str> {
        self.down.as_deref()
    }

    /// What was said last of its databases, if something is wrong.
    pub(crate) fn closed(&self) -> Option<&str> {
        self.closed.as_deref()
    }

    /// It works: no pause any more.
    pub(crate) fn worked(&mut self, measurement: &MeasurementName, database: Option<&Arc<str>>) {
        if let Some(entry) = self.entries.get_mut(&(measurement.clone(), database.cloned())) {
            entry.pause = None;
        }
    }

    /// What is odd about it; empty: nothing.
    pub(crate) fn remark(&mut self, measurement: &MeasurementName, database: Option<&Arc<str>>, remark: &str) {
        let entry = self.entries.entry((measurement.clone(), database.cloned())).or_default();
        if entry.remark != remark {
            if !remark.is_empty() {
                let database = database.map_or("", |name| &**name);
                tracing::warn!(server = %self.server, %measurement, database, "{remark}");
            }
            remark.clone_into(&mut entry.remark);
        }
    }

    /// A failure that will most likely come again: pause, longer each time.
    pub(crate) fn pause(&mut self, measurement: &MeasurementName, database: Option<&Arc<str>>, outcome: &Outcome) {
        let entry = self.entries.entry((measurement.clone(), database.cloned())).or_default();
        let length = entry.pause.as_ref().map_or(SHORTEST, |pause| (pause.length * 2).min(LONGEST));
        // A little less, so that a visit on the minute is not missed.
        let until = Instant::now() + length - Duration::from_secs(5);
        entry.pause = Some(Pause { until, length, outcome: outcome.clone() });
    }

    /// The outcome to repeat while a pause lasts.
    pub(crate) fn paused(&self, measurement: &MeasurementName, database: Option<&Arc<str>>) -> Option<Outcome> {
        let entry = self.entries.get(&(measurement.clone(), database.cloned()))?;
        let pause = entry.pause.as_ref().filter(|pause| Instant::now() < pause.until)?;
        Some(pause.outcome.clone())
    }

    /// A measurement that is not taken any more, or not as it was.
    pub(crate) fn begin_anew(&mut self, measurement: &MeasurementName) {
        self.entries.retain(|(of, _), _| of != measurement);
    }

    /// A database that is not watched any more.
    pub(crate) fn forget(&mut self, database: &Arc<str>) {
        self.entries.retain(|(_, of), _| of.as_ref() != Some(database));
    }
}

//! The log speaks of changes: once when measurements fail, once when they come
//! again, in one line for all that share a server and a reason.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use pganalytics_core::{MeasurementName, Source};
use tracing::{debug, info, warn};

use crate::collector::{Outcome, Report};

/// Measurements that a line names; the others are counted.
const NAMED: usize = 3;

/// Which measurements fail where.
#[derive(Debug, Default)]
pub(super) struct ChangeLog {
    /// Whether it was left to the collector to say so.
    failing: BTreeMap<(MeasurementName, Option<Source>), bool>,
}

/// A measurement at a place, for people.
struct Named<'a>(&'a Report);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.measurement)?;
        match self.0.source.as_ref().and_then(|source| source.database.as_ref()) {
            Some(database) => write!(f, " in {database}"),
            None => Ok(()),
        }
    }
}

impl ChangeLog {
    /// A measurement that is not taken any more.
    pub(super) fn forget(&mut self, measurement: &MeasurementName) {
        self.failing.retain(|(failing, _), _| failing != measurement);
    }

    /// Logs what changed with these reports and returns how many failures are
    /// among them. `said` is what the collector has logged itself.
    pub(super) fn note(&mut self, collector: &str, said: Option<&str>, reports: &[Report]) -> u64 {
        let mut failures = 0;
        let mut failed: BTreeMap<(&str, &str), Vec<Named<'_>>> = BTreeMap::new();
        let mut again: BTreeMap<&str, Vec<Named<'_>>> = BTreeMap::new();
        for report in reports {
            let place = (report.measurement.clone(), report.source.clone());
            let source = report.source.as_ref();
            let server = source.map_or(collector, |source| &*source.server);
            let database = source.and_then(|source| source.database.as_deref()).unwrap_or_default();
            let measurement = &report.measurement;
            match &report.outcome {
                Outcome::Failed { message } => {
                    failures += 1;
                    let left = said.is_some_and(|said| message.contains(said));
                    let news = match self.failing.entry(place) {
                        Entry::Vacant(new) => {
                            new.insert(left);
                            true
                        }
                        // What kept it from being taken is over, and now this.
                        Entry::Occupied(mut known) => {
                            let quiet = known.get_mut();
                            let news = *quiet && !left;
                            *quiet &= left;
                            news
                        }
                    };
                    if news && !left {
                        failed.entry((server, message)).or_default().push(Named(report));
                    }
                }
                Outcome::Collected { rows } => {
                    if self.failing.remove(&place) == Some(false) {
                        again.entry(server).or_default().push(Named(report));
                    }
                    debug!(server, database, %measurement, rows, elapsed = ?report.elapsed, "collected");
                }
                Outcome::Unsupported { reason } | Outcome::Skipped { reason } => {
                    debug!(server, database, %measurement, "left out: {reason}");
                }
            }
        }
        for ((server, message), measurements) in failed {
            warn!(server, measurements = list(&measurements), "not collected: {message}");
        }
        for (server, measurements) in again {
            info!(server, measurements = list(&measurements), "collected again");
        }
        failures
    }
}

fn list(measurements: &[Named<'_>]) -> String {
    let named: Vec<_> = measurements.iter().take(NAMED).map(Named::to_string).collect();
    match measurements.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

//! How long samples are kept.

use std::{collections::HashMap, time::Duration};

use pganalytics_core::{MeasurementName, Presence, Timestamp};

/// How much longer a schema is kept than what came with it: frames may be a
/// little ahead of the clock, and of a schema's use stores hear an hour late.
pub(crate) const SCHEMA_MICROS: i64 = 86_400 * 1_000_000;

/// Says what is too old.
///
/// Rows of [`Presence::Append`] stay true however old they are (a query's text
/// is sent once), so the default does not touch them: only a retention of their
/// own does.
#[derive(Debug, Clone)]
pub struct Retention {
    now: Timestamp,
    default: Duration,
    own: HashMap<MeasurementName, Duration>,
}

impl Retention {
    /// From the parts of [`Job::Retain`](crate::Job::Retain).
    #[must_use]
    pub fn new(now: Timestamp, default: Duration, own: Vec<(MeasurementName, Duration)>) -> Self {
        Self { now, default, own: own.into_iter().collect() }
    }

    /// A chunk whose newest scrape is older than this is due; `None`: none is.
    #[must_use]
    pub fn cutoff(&self, measurement: &MeasurementName, presence: Presence) -> Option<Timestamp> {
        let keep = match (self.own.get(measurement), presence) {
            (Some(own), _) => *own,
            (None, Presence::State) => self.default,
            (None, Presence::Append) => return None,
        };
        let micros = i64::try_from(keep.as_micros()).ok()?;
        Some(self.now.plus_micros(micros.checked_neg()?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn facts_follow_their_own_retention_only() {
        let [texts, tables] = ["pg_query_text", "pg_stat_user_tables"].map(|name| MeasurementName::new(name).unwrap());
        let (now, hour) = (Timestamp::from_secs(10_000), Duration::from_secs(3600));
        let silent = Retention::new(now, hour, vec![]);
        assert_eq!(silent.cutoff(&tables, Presence::State), Some(Timestamp::from_secs(6400)));
        assert_eq!(silent.cutoff(&texts, Presence::Append), None);
        let named = Retention::new(now, Duration::MAX, vec![(texts.clone(), hour)]);
        assert_eq!(named.cutoff(&texts, Presence::Append), Some(Timestamp::from_secs(6400)));
        assert_eq!(named.cutoff(&tables, Presence::State), None);
    }
}

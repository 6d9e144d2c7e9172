//! How long samples are kept.

use std::{collections::HashMap, time::Duration};

use pganalytics_core::{MeasurementName, Schema, Timestamp};

/// How much longer a schema is kept than what came with it: of its use stores
/// hear an hour late.
pub(crate) const SCHEMA_MICROS: i64 = 86_400 * 1_000_000;

/// How much longer than anything that it sent can be kept a stream is remembered
/// that nobody sends any more, and how long at least. What it sent before and
/// would be taken for new then is dropped at once for its age.
const SILENT_MICROS: i64 = 30 * 86_400 * 1_000_000;
const SILENT_AT_LEAST_MICROS: i64 = 400 * 86_400 * 1_000_000;

/// Says what is too old: by the settings of a measurement, else by its schema,
/// which travels with its frames, else by the default.
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

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Before which time nothing is kept by default; `None`: all is.
    pub(crate) fn default_cutoff(&self) -> Option<Timestamp> {
        before(self.now, self.default)
    }

    /// Streams that were silent since are forgotten, when nothing from before `oldest` is kept.
    pub(crate) fn streams_before(now: Timestamp, oldest: Timestamp) -> Timestamp {
        now.plus_micros(-SILENT_AT_LEAST_MICROS).min(oldest.plus_micros(-SILENT_MICROS))
    }

    /// A chunk whose newest scrape is older than this is due; `None`: none is.
    /// `schema` is the newest one of the measurement.
    #[must_use]
    pub fn cutoff(&self, measurement: &MeasurementName, schema: Option<&Schema>) -> Option<Timestamp> {
        let own = self.own.get(measurement).copied();
        let keep = own.or_else(|| schema.and_then(Schema::retention)).unwrap_or(self.default);
        before(self.now, keep)
    }
}

fn before(now: Timestamp, keep: Duration) -> Option<Timestamp> {
    let micros = i64::try_from(keep.as_micros()).ok()?;
    Some(now.plus_micros(micros.checked_neg()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use pganalytics_core::{Column, ColumnKind, ColumnType, CounterFamily};

    use super::*;

    #[test]
    fn settings_come_before_the_schema_and_the_schema_before_the_default() {
        let [texts, tables] = ["pg_query_text", "pg_stat_user_tables"].map(|name| MeasurementName::new(name).unwrap());
        let (now, hour) = (Timestamp::from_secs(10_000), Duration::from_secs(3600));
        let columns = vec![Column::new("a", ColumnKind::Key, ColumnType::Int)];
        let silent = Schema::new(texts.clone(), CounterFamily::None, columns).unwrap();
        let says = silent.clone().with_retention(Some(2 * hour));
        let default = Retention::new(now, hour, vec![]);
        assert_eq!(default.cutoff(&tables, None), Some(Timestamp::from_secs(6400)));
        assert_eq!(default.cutoff(&texts, Some(&silent)), Some(Timestamp::from_secs(6400)));
        assert_eq!(default.cutoff(&texts, Some(&says)), Some(Timestamp::from_secs(2800)));
        let named = Retention::new(now, Duration::MAX, vec![(texts.clone(), hour)]);
        assert_eq!(named.cutoff(&texts, Some(&says)), Some(Timestamp::from_secs(6400)));
        assert_eq!(named.cutoff(&tables, None), None);
    }
}

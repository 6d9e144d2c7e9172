//! The account of the agent's own work, as samples (`agent_scrape`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use pganalytics_core::{
    Batch, InstanceId, MeasurementName, ModelError, ServerId, Source, Timestamp, Value,
    catalog::{Catalog, Measurement},
};

use crate::{
    collector::{Outcome, Report},
    scrape::full_scrape,
};

/// What is known of the last visit for one measurement at one source.
#[derive(Debug, Clone)]
struct Line {
    outcome: Outcome,
    elapsed: Duration,
}

/// The last line of each measurement at each source. A batch of `agent_scrape`
/// holds all lines of its source, so that a reader sees the whole state.
#[derive(Debug)]
pub(crate) struct Accounts {
    measurement: Option<Arc<Measurement>>,
    sources: BTreeMap<Source, BTreeMap<MeasurementName, Line>>,
    /// Sources that have lost a line since their last batch.
    shorter: BTreeSet<Source>,
}

impl Accounts {
    pub(crate) fn new() -> Self {
        Self {
            measurement: Catalog::builtin().get("agent_scrape").cloned(),
            sources: BTreeMap::new(),
            shorter: BTreeSet::new(),
        }
    }

    /// A measurement is not taken at a source any more; the next batches say so.
    pub(crate) fn forget(&mut self, measurement: &MeasurementName, source: &Source) {
        if self.sources.get_mut(source).is_some_and(|lines| lines.remove(measurement).is_some()) {
            self.shorter.insert(source.clone());
        }
    }

    /// Takes the lines of one visit and returns a batch for each source that
    /// they speak of. Lines without a source count for `fallback`.
    pub(crate) fn take(
        &mut self,
        reports: Vec<Report>,
        fallback: &Source,
        now: Timestamp,
        interval: Duration,
    ) -> Result<Vec<Batch>, ModelError> {
        let mut touched = std::mem::take(&mut self.shorter);
        for report in reports {
            let source = report.source.unwrap_or_else(|| fallback.clone());
            let lines = self.sources.entry(source.clone()).or_default();
            lines.insert(report.measurement, Line { outcome: report.outcome, elapsed: report.elapsed });
            touched.insert(source);
        }
        touched.into_iter().filter_map(|source| self.batch(source, now, interval).transpose()).collect()
    }

    fn batch(&self, source: Source, now: Timestamp, interval: Duration) -> Result<Option<Batch>, ModelError> {
        let (Some(measurement), Some(lines)) = (&self.measurement, self.sources.get(&source)) else { return Ok(None) };
        let rows: Vec<_> = lines.iter().collect();
        let mut batch = full_scrape(measurement, source, now, &rows, |(name, line), column| {
            let (status, error, count) = words(&line.outcome);
            match column {
                "measurement" => Some(Value::Text(name.as_str())),
                "status" => Some(Value::Text(status)),
                "error" => error.map(Value::Text),
                "ok" => Some(Value::Bool(count.is_some())),
                "duration_ms" => Some(Value::Float((line.elapsed.as_secs_f64() * 1e6).round() / 1e3)),
                "rows" => count.map(Value::Int),
                _ => None,
            }
        })?;
        batch.scrape.interval_micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
        Ok(Some(batch))
    }
}

/// Status, error and rows of an outcome.
fn words(outcome: &Outcome) -> (&'static str, Option<&str>, Option<i64>) {
    match outcome {
        Outcome::Collected { rows } => ("ok", None, Some(i64::try_from(*rows).unwrap_or(i64::MAX))),
        Outcome::Unsupported { reason } => ("unsupported", Some(reason), None),
        Outcome::Skipped { reason } => ("skipped", Some(reason), None),
        Outcome::Failed { message } => ("failed", Some(message), None),
    }
}

/// A line for each measurement, at each source where it was found before.
pub(super) fn lines(
    due: &[MeasurementName],
    seen: &BTreeMap<MeasurementName, BTreeSet<Source>>,
    elapsed: Duration,
    outcome: &Outcome,
) -> Vec<Report> {
    let line = |measurement: &MeasurementName, source: Option<&Source>| Report {
        measurement: measurement.clone(),
        source: source.cloned(),
        outcome: outcome.clone(),
        elapsed,
    };
    let mut reports = Vec::new();
    for measurement in due {
        match seen.get(measurement) {
            Some(sources) => reports.extend(sources.iter().map(|source| line(measurement, Some(source)))),
            None => reports.push(line(measurement, None)),
        }
    }
    reports
}

/// The source for lines of a collector that could not even say where it failed.
pub(super) fn unknown_source(collector: &str) -> Source {
    let server_id = ServerId::of_host(&format!("collector:{collector}"));
    Source {
        server_id,
        instance_id: InstanceId::of_address(server_id, collector),
        server: collector.into(),
        database: None,
    }
}

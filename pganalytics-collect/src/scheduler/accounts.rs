//! The account of the agent's own work, as samples (`agent_scrape`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use pganalytics_core::{
    Batch, InstanceId, MeasurementName, ModelError, ServerId, Source, Timestamp, Value, Values,
    catalog::{Catalog, Measurement},
};

use crate::{
    collector::{Outcome, Report},
    scrape::full_scrape,
};

/// How many values of a measurement at a source hold U+FFFD, which stands for
/// bytes that are no text. Where there is none there is no entry.
pub(crate) type Replaced = BTreeMap<(Source, MeasurementName), usize>;

/// What is known of the last visit for one measurement at one source.
#[derive(Debug, Clone)]
struct Line {
    outcome: Outcome,
    elapsed: Duration,
    replaced: usize,
}

/// The last line of each measurement at each source. A batch of `agent_scrape`
/// holds all lines of its source, so that a reader sees the whole state.
#[derive(Debug)]
pub(crate) struct Accounts {
    measurement: Option<Arc<Measurement>>,
    sources: BTreeMap<Source, BTreeMap<MeasurementName, Line>>,
    /// Sources that have lost a line since their last batch.
    shorter: BTreeSet<Source>,
    /// Values with replaced bytes, of batches whose lines are still to come.
    replaced: Replaced,
}

impl Accounts {
    pub(crate) fn new() -> Self {
        Self {
            measurement: Catalog::builtin().get("agent_scrape").cloned(),
            sources: BTreeMap::new(),
            shorter: BTreeSet::new(),
            replaced: Replaced::new(),
        }
    }

    /// Counts of a visit, for those of its lines that come next.
    pub(crate) fn note(&mut self, replaced: Replaced, reports: &[Report]) {
        let told = |(source, name): &(Source, MeasurementName)| {
            reports.iter().any(|report| report.measurement == *name && report.source.as_ref() == Some(source))
        };
        self.replaced.extend(replaced.into_iter().filter(|(place, _)| told(place)));
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
            let Report { measurement, outcome, elapsed, .. } = report;
            let replaced = self.replaced.remove(&(source.clone(), measurement.clone())).unwrap_or_default();
            let lines = self.sources.entry(source.clone()).or_default();
            lines.insert(measurement, Line { outcome, elapsed, replaced });
            touched.insert(source);
        }
        let batches = touched.into_iter().filter_map(|source| self.batch(source, now, interval).transpose()).collect();
        // What has no line left has said so now.
        self.sources.retain(|_, lines| !lines.is_empty());
        batches
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
                "replaced" => count.map(|_| Value::Int(i64::try_from(line.replaced).unwrap_or(i64::MAX))),
                _ => None,
            }
        })?;
        batch.scrape.interval_micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
        Ok(Some(batch))
    }
}

/// Counts what could not be read as text.
pub(super) fn replaced(batches: &[Batch]) -> Replaced {
    let mut replaced = Replaced::new();
    for batch in batches {
        let texts = batch.rows.columns().iter().filter_map(|column| match column.values() {
            Values::Text(texts) if texts.bytes().contains(char::REPLACEMENT_CHARACTER) => Some(texts),
            _ => None,
        });
        let odd = texts.map(|texts| texts.iter().filter(|text| text.contains(char::REPLACEMENT_CHARACTER)).count());
        let count: usize = odd.sum();
        if count > 0 {
            let place = (batch.source.clone(), batch.schema.measurement().clone());
            *replaced.entry(place).or_default() += count;
        }
    }
    replaced
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

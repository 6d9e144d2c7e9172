//! Drives the collectors of a server by hand.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pganalytics_collect::{
    CollectContext, Collected, Collector, Outcome,
    postgres::{PostgresConfig, PostgresServer},
};
use pganalytics_core::{
    Batch, Timestamp, Value,
    catalog::{Catalog, Measurement},
};
use tokio::time::Instant;

/// The collectors of a server.
pub(crate) struct Watch {
    pub(crate) collectors: Vec<Box<dyn Collector>>,
}

/// The whole catalog.
pub(crate) fn everything() -> Vec<Arc<Measurement>> {
    Catalog::builtin().iter().cloned().collect()
}

/// Some of it.
pub(crate) fn only(names: &[&str]) -> Vec<Arc<Measurement>> {
    names.iter().map(|name| Arc::clone(Catalog::builtin().get(name).expect("it is in the catalog"))).collect()
}

/// A measurement of a user's own.
pub(crate) fn own(toml: &str) -> Arc<Measurement> {
    Arc::new(Measurement::parse(toml, "own.toml").expect("a good catalog file"))
}

/// A measurement of one column `n` in the scope cluster.
pub(crate) fn own_sql(name: &str, sql: &str) -> Arc<Measurement> {
    own(&format!(
        "name = '{name}'\nscope = 'cluster'\n[[query]]\nsql = \"\"\"{sql}\"\"\"\n[[column]]\nname = 'n'\nkind = 'gauge'\ntype = 'int'\n"
    ))
}

pub(crate) fn config(url: &str) -> PostgresConfig {
    let mut config = PostgresConfig::from_url(url).expect("a good URL").named("watched");
    // Tests may run on a machine that has much else to do.
    config.connect_timeout = Duration::from_secs(30);
    config.statement_timeout = Duration::from_secs(60);
    config
}

impl Watch {
    pub(crate) fn new(url: &str, measurements: Vec<Arc<Measurement>>) -> Self {
        Self::with(config(url), measurements)
    }

    pub(crate) fn with(config: PostgresConfig, measurements: Vec<Arc<Measurement>>) -> Self {
        Self { collectors: PostgresServer::new(config, measurements).collectors() }
    }

    /// One visit of each collector, everything due.
    pub(crate) async fn visit(&mut self) -> Collected {
        self.visit_within(Duration::from_secs(180)).await
    }

    /// Visits until the batch of a measurement is as it should be, and returns
    /// it. `what` says what was waited for.
    pub(crate) async fn until(&mut self, name: &str, what: &str, good: impl Fn(&Batch) -> bool) -> Batch {
        let mut last = None;
        for _ in 0..1200 {
            let mut collected = self.visit().await;
            if let Some(at) = collected.batches.iter().position(|batch| batch.schema.measurement().as_str() == name) {
                let batch = collected.batches.swap_remove(at);
                if good(&batch) {
                    return batch;
                }
                last = Some(batch);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name}: never saw {what}, at last {last:#?}");
    }

    pub(crate) async fn visit_within(&mut self, time: Duration) -> Collected {
        let mut all = Collected::default();
        for collector in &mut self.collectors {
            let cx = context(&**collector, time);
            match collector.collect(&cx).await {
                Ok(collected) => {
                    all.batches.extend(collected.batches);
                    all.reports.extend(collected.reports);
                    all.gone.extend(collected.gone);
                    // Of use where one collector is watched.
                    all.state = collected.state.or(all.state);
                }
                Err(error) => eprintln!("{}: {error}", collector.name()),
            }
        }
        all
    }
}

pub(crate) fn context(collector: &dyn Collector, time: Duration) -> CollectContext {
    let due = collector.measurements().iter().map(|measurement| measurement.name().clone()).collect();
    CollectContext { due, now: now(), deadline: Instant::now() + time, only_visit: false }
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_micros(i64::try_from(since.as_micros()).expect("before the year 290,000"))
}

/// The batches of a measurement.
pub(crate) fn batches<'a>(collected: &'a Collected, name: &'a str) -> impl Iterator<Item = &'a Batch> {
    collected.batches.iter().filter(move |batch| batch.schema.measurement().as_str() == name)
}

/// The only batch of a measurement.
pub(crate) fn batch<'a>(collected: &'a Collected, name: &'a str) -> &'a Batch {
    let mut all = batches(collected, name);
    let batch = all.next().unwrap_or_else(|| panic!("no {name}: {:#?}", collected.reports));
    assert!(all.next().is_none(), "more than one batch of {name}");
    batch
}

/// An integer by its column's name.
pub(crate) fn int(batch: &Batch, row: usize, column: &str) -> Option<i64> {
    match value(batch, row, column) {
        Value::Int(value) => Some(value),
        Value::Null => None,
        other => panic!("{column} is no integer: {other:?}"),
    }
}

/// A float by its column's name.
pub(crate) fn float(batch: &Batch, row: usize, column: &str) -> Option<f64> {
    match value(batch, row, column) {
        Value::Float(value) => Some(value),
        Value::Null => None,
        other => panic!("{column} is no float: {other:?}"),
    }
}

/// A text by its column's name.
pub(crate) fn text<'a>(batch: &'a Batch, row: usize, column: &str) -> Option<&'a str> {
    match value(batch, row, column) {
        Value::Text(value) => Some(value),
        Value::Null => None,
        other => panic!("{column} is no text: {other:?}"),
    }
}

/// All texts that were collected, for tests of what must not leave.
pub(crate) fn all_texts(collected: &Collected) -> Vec<String> {
    let mut texts = Vec::new();
    for batch in &collected.batches {
        for row in 0..batch.rows.len() {
            for column in 0..batch.schema.columns().len() {
                if let Value::Text(text) = batch.rows.get(row, column) {
                    texts.push(text.to_owned());
                }
            }
        }
    }
    texts
}

/// How a measurement went, at the first place that is reported.
pub(crate) fn outcome<'a>(collected: &'a Collected, name: &str) -> &'a Outcome {
    let report = collected.reports.iter().find(|report| report.measurement.as_str() == name);
    &report.unwrap_or_else(|| panic!("no report of {name}: {:#?}", collected.reports)).outcome
}

/// Why a measurement failed.
pub(crate) fn failure<'a>(collected: &'a Collected, name: &str) -> &'a str {
    match outcome(collected, name) {
        Outcome::Failed { message } => message,
        other => panic!("{name} did not fail: {other:?}"),
    }
}

pub(crate) fn went_well(collected: &Collected, name: &str) -> bool {
    matches!(outcome(collected, name), Outcome::Collected { .. })
}

/// A value by its column's name.
pub(crate) fn value<'a>(batch: &'a Batch, row: usize, column: &str) -> Value<'a> {
    batch.rows.get(row, batch.schema.position(column).unwrap_or_else(|| panic!("no column {column}")))
}

/// The row whose columns have these texts.
pub(crate) fn row_where(batch: &Batch, keys: &[(&str, &str)]) -> Option<usize> {
    (0..batch.rows.len()).find(|&row| keys.iter().all(|(column, text)| value(batch, row, column) == Value::Text(text)))
}

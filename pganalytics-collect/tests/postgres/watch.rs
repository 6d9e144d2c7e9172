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

    pub(crate) async fn visit_within(&mut self, time: Duration) -> Collected {
        let mut all = Collected::default();
        for collector in &mut self.collectors {
            let cx = context(&**collector, time);
            match collector.collect(&cx).await {
                Ok(collected) => {
                    all.batches.extend(collected.batches);
                    all.reports.extend(collected.reports);
                }
                Err(error) => eprintln!("{}: {error}", collector.name()),
            }
        }
        all
    }
}

pub(crate) fn context(collector: &dyn Collector, time: Duration) -> CollectContext {
    let due = collector.measurements().iter().map(|measurement| measurement.name().clone()).collect();
    CollectContext { due, now: now(), deadline: Instant::now() + time }
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_micros(i64::try_from(since.as_micros()).expect("before the year 290,000"))
}

/// The batches of a measurement.
pub(crate) fn batches<'a>(collected: &'a Collected, name: &'a str) -> impl Iterator<Item = &'a Batch> {
    collected.batches.iter().filter(move |batch| batch.schema.measurement().as_str() == name)
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

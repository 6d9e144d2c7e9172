//! Visits one PgBouncer.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use pganalytics_core::{
    Batch, InstanceId, ModelError, ServerId, Source, Value,
    catalog::{Catalog, Measurement, Scope},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    console::{Console, ConsoleConnector, Fault},
    local::Figures,
    shape::{self, SHAPES, Shape},
    summary::{Summary, SummaryRow},
};
use crate::{
    collector::{CollectContext, Collected, Collector, Outcome},
    error::CollectError,
    postgres::PostgresConfig,
    scrape::full_scrape,
};

const UP: &str = "pgbouncer_up";

/// Collects from the admin console of one PgBouncer: all measurements of the
/// scope pooler.
pub struct PgBouncerCollector {
    name: String,
    config: Arc<PostgresConfig>,
    source: Source,
    connector: ConsoleConnector,
    /// The session of the visit before.
    console: Option<Console>,
}

impl std::fmt::Debug for PgBouncerCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgBouncerCollector").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What one measurement brought.
type Found = Result<Batch, NoBatch>;

/// Why it brought nothing.
enum NoBatch {
    Console(Fault),
    Unsupported(String),
    Model(ModelError),
}

impl From<Fault> for NoBatch {
    fn from(fault: Fault) -> Self {
        Self::Console(fault)
    }
}

impl From<ModelError> for NoBatch {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

impl From<NoBatch> for Outcome {
    fn from(miss: NoBatch) -> Self {
        match miss {
            NoBatch::Console(fault) => Self::failed(fault.message()),
            NoBatch::Unsupported(reason) => Self::Unsupported { reason },
            NoBatch::Model(error) => Self::failed(error),
        }
    }
}

impl PgBouncerCollector {
    /// A collector for this console; see
    /// [`PgBouncerSettings::resolve`](super::PgBouncerSettings::resolve).
    #[must_use]
    pub fn new(config: PostgresConfig) -> Self {
        let id = format!("pgbouncer {} at {}", config.name, config.address());
        let server_id = ServerId::from_uuid(Uuid::new_v5(&Uuid::NAMESPACE_URL, id.as_bytes()));
        let source = Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, &config.address()),
            server: Arc::clone(&config.name),
            database: None,
        };
        let config = Arc::new(config);
        let connector = ConsoleConnector::new(Arc::clone(&config));
        Self { name: format!("pgbouncer {}", config.name), config, source, connector, console: None }
    }

    /// The source of its batches.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// A session that has just answered, and how long that took.
    async fn live_console(&mut self) -> Result<(Console, Duration), String> {
        let began = Instant::now();
        if let Some(mut console) = self.console.take().filter(Console::is_good)
            && console.ask_version().await.is_ok()
        {
            return Ok((console, began.elapsed()));
        }
        let began = Instant::now();
        let opened = Box::pin(self.connector.open()).await;
        opened.map(|console| (console, began.elapsed())).map_err(|problem| problem.message)
    }

    fn up(&self, up: &Measurement, cx: &CollectContext, answer: Result<(&str, Duration), &str>) -> Found {
        let row = [answer];
        Ok(full_scrape(up, self.source.clone(), cx.now, &row, |answer, column| match (column, answer) {
            ("up", answer) => Some(Value::Bool(answer.is_ok())),
            ("connect_ms", Ok((_, time))) => Some(Value::Float(time.as_secs_f64() * 1000.0)),
            ("version", Ok((version, _))) => Some(Value::Text(version)),
            ("error", Err(message)) => Some(Value::Text(message)),
            _ => None,
        })?)
    }

    async fn measure(&self, measurement: &Measurement, console: &Console, cx: &CollectContext) -> Found {
        let name = measurement.name().as_str();
        let source = self.source.clone();
        if let Some(shape) = SHAPES.iter().find(|shape| shape.measurement == name) {
            return self.shaped(shape, measurement, console, cx).await;
        }
        let (command, mut summary) = match name {
            "pgbouncer_clients" => ("SHOW CLIENTS", Summary::of_clients()),
            "pgbouncer_servers" => ("SHOW SERVERS", Summary::of_servers()),
            _ => return self.process(measurement, console, cx).await,
        };
        console.read(command, |record| summary.add(record)).await?;
        Ok(full_scrape(measurement, source, cx.now, &summary.rows(), SummaryRow::value)?)
    }

    async fn shaped(&self, shape: &Shape, measurement: &Measurement, console: &Console, cx: &CollectContext) -> Found {
        let (mut rows, mut misfits) = (Vec::new(), BTreeSet::new());
        let see = |record: &_| match shape::row(shape.fields, record) {
            Ok(row) if rows.len() < measurement.max_rows() => rows.push(row),
            Ok(_) => {}
            Err(misfit) => {
                misfits.insert(misfit);
            }
        };
        console.read(shape.command, see).await?;
        if !misfits.is_empty() {
            let misfits: Vec<_> = misfits.into_iter().collect();
            return Err(Fault::Refused(format!("{}: {}", shape.command, misfits.join(", "))).into());
        }
        let started = console.process.map(|process| process.started.as_micros());
        Ok(full_scrape(measurement, self.source.clone(), cx.now, &rows, |row, column| match column {
            "started_at" => started.map(Value::Timestamp),
            column => shape::value_of(shape.fields, row, column),
        })?)
    }

    async fn process(&self, measurement: &Measurement, console: &Console, cx: &CollectContext) -> Found {
        let Some(process) = console.process else {
            let reason = "PgBouncer runs on another host, or has no pidfile that the agent may read; \
                          set pidfile in pgbouncer.ini where both are on one host";
            return Err(NoBatch::Unsupported(reason.to_owned()));
        };
        let Some(figures) = process.figures().await else {
            return Err(NoBatch::Unsupported(format!("process {} has ended or can't be read", process.pid)));
        };
        let row = [figures];
        Ok(full_scrape(measurement, self.source.clone(), cx.now, &row, Figures::value)?)
    }
}

#[async_trait]
impl Collector for PgBouncerCollector {
    fn name(&self) -> &str {
        &self.name
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        let is_own = |measurement: &&Arc<Measurement>| {
            let name = measurement.name().as_str();
            measurement.scope() == Scope::Pooler && name.starts_with("pgbouncer_")
        };
        Catalog::builtin().iter().filter(is_own).cloned().collect()
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let mut collected = Collected::default();
        let began = Instant::now();
        let entered = self.live_console().await;
        let is_due = |measurement: &Arc<Measurement>| cx.due.contains(measurement.name());
        let (ups, others): (Vec<_>, Vec<_>) =
            self.measurements().into_iter().filter(is_due).partition(|measurement| measurement.name().as_str() == UP);
        let answer = match &entered {
            Ok((console, time)) => Ok((console.version.as_str(), *time)),
            Err(message) => Err(message.as_str()),
        };
        for up in &ups {
            let found = self.up(up, cx, answer);
            collected.add(up, &self.source, began.elapsed(), found.map_err(Outcome::from));
        }
        let (console, mut lost) = match entered {
            Ok((console, _)) => (Some(console), None),
            Err(message) => (None, Some(message)),
        };
        for measurement in &others {
            let began = Instant::now();
            let found = match (&console, &lost) {
                (Some(console), None) if began < cx.deadline => self.measure(measurement, console, cx).await,
                (_, Some(message)) => Err(Fault::Refused(message.clone()).into()),
                _ => Err(Fault::Refused(String::from("the visit's time was over; it is tried again")).into()),
            };
            if let Err(NoBatch::Console(Fault::Lost(message))) = &found {
                lost = Some(message.clone());
            }
            collected.add(measurement, &self.source, began.elapsed(), found.map_err(Outcome::from));
        }
        self.console = console.filter(|_| lost.is_none());
        Ok(collected)
    }
}

//! From entries to rows.

mod rows;
mod summary;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use pganalytics_core::{
    Batch, ModelError, RowsBuilder, Source, Timestamp, Value,
    catalog::{Catalog, Measurement},
};

use self::{rows::Row, summary::Summary};
use super::{
    class::Class,
    classify::classify,
    entry::Entry,
    facts::Facts,
    redact::{Redaction, texts},
};
use crate::scrape::keyframe;

/// Names of the measurements that are filled from logs.
pub const MEASUREMENTS: &[&str] = &[
    "pg_log",
    "pg_log_summary",
    "pg_log_checkpoint",
    "pg_log_autovacuum",
    "pg_log_lock_wait",
    "pg_log_deadlock",
    "pg_log_plan",
];

/// Gathers the rows of one instance's log: classified, redacted, counted.
///
/// Rows go with [`LogTables::take`]; the counts of `pg_log_summary` go on for as
/// long as this lives.
///
/// ```
/// use pganalytics_collect::logs::{Format, LogTables, Options, Parser, Prefix, Redaction};
/// use pganalytics_core::{InstanceId, ServerId, Source, Timestamp, Value};
///
/// let line = b"2026-11-21 12:00:00.123 UTC [42] ERROR:  invalid input syntax for type integer: \"secret\"\n";
/// let started = Timestamp::from_secs(1_795_000_000);
/// let mut tables = LogTables::new(Redaction::Literals, started);
/// let mut parser = Parser::new(Format::Stderr(Prefix::default()), Options::default(), 0);
/// parser.push(line, &mut |entry| drop(tables.add("postgresql.log 1234", entry)));
/// parser.flush(&mut |entry| drop(tables.add("postgresql.log 1234", entry)));
///
/// let server_id = ServerId::of_host("db1");
/// let instance_id = InstanceId::of_address(server_id, "db1");
/// let source = Source { server_id, instance_id, server: "db1".into(), database: None };
/// let batches = tables.take(&source, started)?;
/// let log = &batches[0];
/// let message = log.schema.position("message").unwrap();
/// assert_eq!(log.rows.get(0, message), Value::Text("invalid input syntax for type integer: \"…\""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LogTables {
    redaction: Redaction,
    tables: Vec<Table>,
    summary: Summary,
    /// Why the last checkpoint or restartpoint began.
    reason: Option<String>,
}

/// Rows of one measurement.
#[derive(Debug)]
struct Table {
    measurement: &'static Measurement,
    builder: RowsBuilder<'static>,
}

/// The tables of `LogTables`, in this order.
#[derive(Debug, Clone, Copy)]
enum TableKind {
    Log,
    Checkpoint,
    Autovacuum,
    LockWait,
    Deadlock,
    Plan,
}

const TABLES: &[(&str, TableKind)] = &[
    ("pg_log", TableKind::Log),
    ("pg_log_checkpoint", TableKind::Checkpoint),
    ("pg_log_autovacuum", TableKind::Autovacuum),
    ("pg_log_lock_wait", TableKind::LockWait),
    ("pg_log_deadlock", TableKind::Deadlock),
    ("pg_log_plan", TableKind::Plan),
];

impl LogTables {
    /// None yet. `started` is since when it counts.
    #[must_use]
    pub fn new(redaction: Redaction, started: Timestamp) -> Self {
        let tables = TABLES.iter().filter_map(|(name, _)| {
            let measurement = Catalog::builtin().get(name)?;
            Some(Table { builder: RowsBuilder::new(measurement.schema()), measurement })
        });
        Self { redaction, tables: tables.collect(), summary: Summary::new(started), reason: None }
    }

    /// The measurements that it fills, from the catalog.
    #[must_use]
    pub fn measurements() -> Vec<Arc<Measurement>> {
        MEASUREMENTS.iter().filter_map(|name| Catalog::builtin().get(name).cloned()).collect()
    }

    /// Adds an entry of this file: `file` and the entry's offset are the key of
    /// its rows, so `file` names the file for ever (not only its path).
    ///
    /// # Errors
    /// When a value does not fit its column, which would be a mistake here.
    pub fn add(&mut self, file: &str, entry: &Entry<'_>) -> Result<Class, ModelError> {
        let (class, facts) = classify(entry);
        self.summary.count(class, entry);
        let texts = texts(entry, class, &facts, self.redaction);
        let row = Row { file, entry, class, facts: &facts, texts: &texts, redaction: self.redaction };
        self.push(TableKind::Log, &row.log())?;
        match &facts {
            Facts::CheckpointStart { reason, .. } => self.reason = Some((*reason).to_owned()),
            Facts::Checkpoint(checkpoint) => {
                let reason = self.reason.take();
                self.push(TableKind::Checkpoint, &row.checkpoint(checkpoint, reason.as_deref()).values())?;
            }
            Facts::Autovacuum(vacuum) => self.push(TableKind::Autovacuum, &row.autovacuum("vacuum", vacuum))?,
            Facts::Autoanalyze(vacuum) => self.push(TableKind::Autovacuum, &row.autovacuum("analyze", vacuum))?,
            Facts::LockWait(wait) => self.push(TableKind::LockWait, &row.lock_wait(wait).values())?,
            Facts::Deadlock(members) => {
                for member in members {
                    self.push(TableKind::Deadlock, &row.deadlock(member).values())?;
                }
            }
            Facts::Plan(plan) => self.push(TableKind::Plan, &row.plan(plan))?,
            _ => {}
        }
        Ok(class)
    }

    /// Counts an entry without making rows of it; `pg_log_summary` says how
    /// many there were.
    pub fn leave_out(&mut self, entry: &Entry<'_>) -> Class {
        let (class, _) = classify(entry);
        self.summary.count(class, entry);
        self.summary.leave_out(class, entry);
        class
    }

    fn push(&mut self, table: TableKind, values: &[Value<'_>]) -> Result<(), ModelError> {
        if let Some(table) = self.tables.get_mut(table as usize) {
            table.builder.push(values)?;
        }
        Ok(())
    }

    /// Rows of `pg_log` that wait to be taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.first().map_or(0, |table| table.builder.len())
    }

    /// Whether none wait.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives away the rows so far: a batch for each measurement that has some.
    /// `pg_log_summary` is not among them.
    ///
    /// # Errors
    /// When a value does not fit its column, which would be a mistake here.
    pub fn take(&mut self, source: &Source, at: Timestamp) -> Result<Vec<Batch>, ModelError> {
        let mut batches = Vec::new();
        for table in self.tables.iter_mut().filter(|table| !table.builder.is_empty()) {
            let schema = table.measurement.schema();
            let rows = std::mem::replace(&mut table.builder, RowsBuilder::new(schema)).finish();
            batches.push(keyframe(table.measurement, source.clone(), at, rows));
        }
        Ok(batches)
    }

    /// A full scrape of `pg_log_summary`: all counts so far.
    ///
    /// # Errors
    /// As [`LogTables::take`].
    pub fn summary(&self, source: &Source, at: Timestamp) -> Result<Option<Batch>, ModelError> {
        Catalog::builtin()
            .get("pg_log_summary")
            .map(|measurement| self.summary.batch(measurement, source, at))
            .transpose()
    }
}

//! One measurement, at one place, once.

use std::sync::{Arc, Mutex, PoisonError};

use pganalytics_core::{
    Batch, CounterFamily, Epoch, Source, Timestamp,
    catalog::{Measurement, QueryChoice},
};
use tokio::time::Instant;

use super::{
    epochs,
    fault::{QueryContext, QueryFault},
    journal::Journal,
    requirement::{FixTarget, MissingRequirement},
    rows::RowReader,
};
use crate::{
    collector::{CollectContext, Collected, Outcome},
    postgres::{
        session::{Extension, Session},
        settings::PostgresConfig,
    },
    scrape::keyframe,
};

/// A visit to one session: what its measurements share.
pub(crate) struct Visit<'a> {
    pub(crate) config: &'a PostgresConfig,
    pub(crate) journal: &'a Mutex<Journal>,
    pub(crate) source: Source,
    pub(crate) in_recovery: bool,
    pub(crate) clock: Clock,
    /// Known extensions among those that due measurements need.
    pub(crate) extensions: Vec<Extension>,
    /// The cluster's epoch; with a pooler it is read anew for each measurement.
    pub(crate) epoch: Epoch,
    pub(crate) collected: &'a mut Collected,
    /// Why the last measurement brought nothing.
    pub(crate) failure: Option<Failure>,
}

/// The agent's time: the wall clock as the scheduler gave it, and what has
/// passed since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    now: Timestamp,
    began: Instant,
}

impl Clock {
    pub(crate) fn new(cx: &CollectContext) -> Self {
        Self { now: cx.now, began: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now.plus_micros(i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX))
    }
}

/// Why there is no batch.
enum NoBatch {
    Outcome(Outcome),
    MissingRequirement(MissingRequirement),
    Fault(QueryFault),
}

/// Why the last measurement brought nothing, for whoever tells what mends it.
pub(crate) enum Failure {
    MissingRequirement(MissingRequirement),
    Fault(QueryFault),
}

impl From<QueryFault> for NoBatch {
    fn from(fault: QueryFault) -> Self {
        Self::Fault(fault)
    }
}

/// The extension whose counters have an epoch of their own.
pub(crate) const STATEMENTS: &str = "pg_stat_statements";

/// Times that statements are read again because they were reset meanwhile.
const TRIES: usize = 3;

impl Visit<'_> {
    /// Reads a measurement and accounts for it. `keys` are for measurements
    /// that follow another. An error says that the session is gone.
    pub(crate) async fn measure(
        &mut self,
        session: &mut Session,
        measurement: &Arc<Measurement>,
        keys: Option<&[i64]>,
    ) -> Result<(), QueryFault> {
        let began = Instant::now();
        let database = self.source.database.clone();
        let paused = lock(self.journal).paused(measurement.name(), database.as_ref());
        let result = match paused {
            Some(outcome) => Err(NoBatch::Outcome(outcome)),
            None => self.read(session, measurement, keys).await,
        };
        let mut lost = Ok(());
        let outcome = match result {
            Ok((batch, seen)) => {
                // Facts that are sent once need no empty batches.
                if keys.is_none() || !batch.rows.is_empty() {
                    self.collected.batches.push(batch);
                }
                lock(self.journal).worked(measurement.name(), database.as_ref());
                Outcome::Collected { rows: seen }
            }
            Err(NoBatch::Outcome(outcome)) => outcome,
            Err(NoBatch::MissingRequirement(missing)) => {
                let reason = missing.reason(&self.fix_target(session));
                self.failure = Some(Failure::MissingRequirement(missing));
                Outcome::Unsupported { reason }
            }
            Err(NoBatch::Fault(fault)) => {
                self.failure = Some(Failure::Fault(fault.clone()));
                let outcome = fault.outcome(&self.query_context(session, measurement));
                if fault.is_lasting() {
                    lock(self.journal).pause(measurement.name(), database.as_ref(), &outcome);
                }
                if fault.is_lost() || session.is_broken() {
                    lost = Err(fault);
                }
                outcome
            }
        };
        self.collected.report(measurement, &self.source, began.elapsed(), outcome);
        lost
    }

    /// A measurement that follows another, which had nothing new.
    pub(crate) fn nothing_new(&mut self, session: &Session, measurement: &Arc<Measurement>) {
        let outcome = match self.sql(session, measurement) {
            Ok(_) => Outcome::Collected { rows: 0 },
            Err(NoBatch::Outcome(outcome)) => outcome,
            Err(NoBatch::MissingRequirement(missing)) => {
                Outcome::Unsupported { reason: missing.reason(&self.fix_target(session)) }
            }
            Err(NoBatch::Fault(fault)) => fault.plain_outcome(),
        };
        self.collected.report(measurement, &self.source, std::time::Duration::ZERO, outcome);
    }

    async fn read(
        &mut self,
        session: &mut Session,
        measurement: &Arc<Measurement>,
        keys: Option<&[i64]>,
    ) -> Result<(Batch, usize), NoBatch> {
        let (sql, extension) = self.sql(session, measurement)?;
        session.begin().await?;
        let result = match self.right_missing(session, measurement).await {
            Ok(None) => self.read_in(session, measurement, &sql, extension.as_ref(), keys).await,
            Ok(Some(missing)) => Err(NoBatch::MissingRequirement(missing)),
            Err(fault) => Err(fault.into()),
        };
        session.end().await?;
        result
    }

    /// What to run, and the extension it needs.
    fn sql(&self, session: &Session, measurement: &Measurement) -> Result<(String, Option<Extension>), NoBatch> {
        let query = match measurement.query_for(session.facts.version) {
            QueryChoice::Query(query) => query,
            QueryChoice::Unsupported(reason) => {
                return Err(NoBatch::Outcome(Outcome::Unsupported { reason: reason.to_owned() }));
            }
        };
        if !measurement.role().includes(self.in_recovery) {
            let what = if self.in_recovery { "a standby" } else { "a primary" };
            let reason = format!("this is {what}, which has no such thing");
            return Err(NoBatch::Outcome(Outcome::Unsupported { reason }));
        }
        let Some(name) = &query.requires.extension else { return Ok((query.sql.clone(), None)) };
        let is_statements = name == STATEMENTS;
        if is_statements && !session.facts.statements_loaded {
            return Err(NoBatch::MissingRequirement(MissingRequirement::NotLoaded(name.clone())));
        }
        match self.extensions.iter().find(|extension| extension.name == *name) {
            Some(found) if is_statements && !found.is_at_least(1, 8) => {
                Err(NoBatch::MissingRequirement(MissingRequirement::TooOld(found.clone())))
            }
            Some(found) => Ok((query.sql_in(&found.schema), Some(found.clone()))),
            None => Err(NoBatch::MissingRequirement(MissingRequirement::NotCreated(name.clone()))),
        }
    }

    /// Why a query is not run for which the role lacks a right. To run it anyway
    /// would only fill the server's log.
    async fn right_missing(
        &self,
        session: &mut Session,
        measurement: &Measurement,
    ) -> Result<Option<MissingRequirement>, QueryFault> {
        let QueryChoice::Query(query) = measurement.query_for(session.facts.version) else { return Ok(None) };
        let Some(function) = &query.requires.execute else { return Ok(None) };
        let may = session.may_execute(function).await?;
        Ok((!may).then(|| MissingRequirement::NoRight(function.clone())))
    }

    /// Where and for whom things are mended.
    pub(crate) fn fix_target<'a>(&'a self, session: &'a Session) -> FixTarget<'a> {
        FixTarget { database: &session.database, user: &self.config.user, in_recovery: self.in_recovery }
    }

    async fn read_in(
        &mut self,
        session: &mut Session,
        measurement: &Arc<Measurement>,
        sql: &str,
        extension: Option<&Extension>,
        keys: Option<&[i64]>,
    ) -> Result<(Batch, usize), NoBatch> {
        let family = measurement.schema().family();
        if session.pooled && family != CounterFamily::None {
            self.epoch = epochs::cluster(session).await?;
        }
        // Before 1.9 the extension tells neither resets nor evictions.
        let schema = extension
            .filter(|extension| family == CounterFamily::Statements && extension.is_at_least(1, 9))
            .map(|extension| extension.schema.as_str());
        for _ in 0..TRIES {
            let before = match schema {
                Some(schema) => epochs::statements(session, schema).await?,
                None => Epoch::default(),
            };
            let collected_at = self.clock.now();
            let mut reader = RowReader::new(measurement, session.facts.version, session.facts.encoding);
            session.read(sql, keys, |row| reader.take(row)).await?;
            // A reset between the stamp and the values would make the values
            // count twice: the next batch, with the new stamp, has them whole.
            if let Some(schema) = schema
                && epochs::statements(session, schema).await?.stamp != before.stamp
            {
                continue;
            }
            self.remark(measurement, &reader);
            let seen = reader.seen();
            let rows = reader.finish()?;
            let epoch = epochs::of_batch(measurement, &rows, self.epoch, before);
            let mut batch = keyframe(measurement, self.source.clone(), collected_at, rows);
            batch.scrape.epoch = epoch;
            return Ok((batch, seen));
        }
        let reason = String::from("its counters were reset again and again while they were read");
        Err(NoBatch::Outcome(Outcome::Skipped { reason }))
    }

    /// Says once what a query brought that nobody expected.
    fn remark(&self, measurement: &Measurement, reader: &RowReader<'_>) {
        let mut remarks = Vec::new();
        if !reader.unexpected.is_empty() {
            remarks.push(format!(
                "columns that its catalog file does not know are left out: {}",
                reader.unexpected.join(", ")
            ));
        }
        if !reader.missing.is_empty() {
            remarks.push(format!("columns are missing and stay empty: {}", reader.missing.join(", ")));
        }
        let max = measurement.max_rows();
        if reader.seen() > max {
            remarks.push(format!("only the first {max} rows were taken; raise max_rows or narrow the query"));
        }
        lock(self.journal).remark(measurement.name(), self.source.database.as_ref(), &remarks.join("; "));
    }

    pub(crate) fn query_context<'a>(&'a self, session: &'a Session, measurement: &'a Measurement) -> QueryContext<'a> {
        let extension = match measurement.query_for(session.facts.version) {
            QueryChoice::Query(query) => query.requires.extension.as_deref(),
            QueryChoice::Unsupported(_) => None,
        };
        QueryContext {
            user: &self.config.user,
            monitors: session.facts.monitors,
            database: &session.database,
            in_utf8: session.facts.encoding.is_utf8,
            extension,
            statement_timeout: self.config.statement_timeout,
            lock_timeout: self.config.lock_timeout,
        }
    }
}

/// The extensions that these measurements need on this version.
pub(crate) fn needed<'m>(measurements: impl IntoIterator<Item = &'m Arc<Measurement>>, version: u32) -> Vec<&'m str> {
    let mut names: Vec<&str> = measurements
        .into_iter()
        .filter_map(|measurement| match measurement.query_for(version) {
            QueryChoice::Query(query) => query.requires.extension.as_deref(),
            QueryChoice::Unsupported(_) => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What a poisoned lock guards here is never left half-written.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

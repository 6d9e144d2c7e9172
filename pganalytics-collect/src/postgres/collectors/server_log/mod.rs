//! Brings a server's log: from its files where they are on this host, else through
//! the server itself.

mod check;
mod location;
mod reader;
mod remote;

use std::{panic::resume_unwind, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use pganalytics_core::{Batch, Source, catalog::Measurement};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, timeout_at},
};

pub(in crate::postgres) use self::check::check;
use self::{
    location::Settings,
    reader::{BUDGET, Fault, Reader, State, deadline_passed},
};
use crate::{
    collector::{CollectContext, Collected, Collector, Outcome},
    error::CollectError,
    logs::tail::{LogLocation, Visited},
    postgres::{
        query::context::{LastPlace, ServerContext, report_all},
        session::{fault::ConnectProblem, pool::SessionPool},
    },
};

/// How often the server is asked where its log is.
const ASK: Duration = Duration::from_secs(300);

/// The collector of a server's log.
pub(crate) struct LogCollector {
    name: String,
    context: Arc<ServerContext>,
    pool: SessionPool,
    measurements: Vec<Arc<Measurement>>,
    /// What the server said last, and when.
    settings: Option<(Instant, Settings)>,
    /// Its log says that this is no longer so.
    outdated: bool,
    /// Its folder is not on this host, though the server seems to be.
    elsewhere: bool,
    /// Why the last visit got no session.
    unreached: Option<String>,
    reader: Work,
    place: LastPlace,
    /// What was handed over with the last visit.
    state: State,
}

/// A file system that does not answer keeps a thread, not the visit.
enum Work {
    Ready(Box<Reader>),
    Running(JoinHandle<Box<Reader>>),
    /// It begins anew from the last state.
    None,
}

impl LogCollector {
    pub(crate) fn new(context: Arc<ServerContext>, measurements: Vec<Arc<Measurement>>) -> Self {
        Self {
            name: format!("log {}", context.config.name),
            pool: SessionPool::for_databases(&context.config, &context.connector, &context.budget),
            context,
            measurements,
            settings: None,
            outdated: false,
            elsewhere: false,
            unreached: None,
            reader: Work::None,
            place: LastPlace::default(),
            state: State::default(),
        }
    }

    /// Asks the server where its log is.
    async fn ask(&mut self, deadline: Instant) -> Result<Settings, ConnectProblem> {
        let database: Arc<str> = self.context.config.database.as_str().into();
        let asking = async {
            let (mut session, _) = self.context.live_session(&self.pool, &database, deadline).await?;
            let settings = location::read(&mut session, &self.context.config).await;
            self.pool.put_back(session);
            Ok(settings)
        };
        match timeout_at(deadline, Box::pin(asking)).await {
            Ok(settings) => settings,
            Err(_) => Err(deadline_passed(&self.context.config)),
        }
    }

    fn account(&self, cx: &CollectContext, source: &Source, outcome: &Outcome, began: Instant) -> Collected {
        let mut collected = Collected::default();
        let due = self.measurements.iter().filter(|measurement| cx.due.contains(measurement.name()));
        report_all(&mut collected, due, source, outcome, began);
        collected
    }
}

#[async_trait]
impl Collector for LogCollector {
    fn name(&self) -> &str {
        &self.name
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        self.measurements.clone()
    }

    /// That the server can't be reached is said by those who watch whether it is up.
    fn already_logged(&self) -> Option<String> {
        self.unreached.clone()
    }

    fn resume(&mut self, state: Option<&[u8]>) {
        self.reader = Work::None;
        self.state = match state.map(serde_json::from_slice) {
            None => State::default(),
            Some(Ok(state)) => state,
            Some(Err(error)) => {
                tracing::error!(collector = %self.name, %error, "how far the log was read can't be understood; it begins anew");
                State::default()
            }
        };
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let mut collected = self.visit(cx).await?;
        self.place.note(&mut collected);
        Ok(collected)
    }
}

impl LogCollector {
    async fn visit(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let began = Instant::now();
        self.unreached = None;
        let old = self.settings.as_ref().is_none_or(|(asked, _)| asked.elapsed() >= ASK);
        if old || std::mem::take(&mut self.outdated) {
            // Where it does not answer there is time left for its files.
            match self.ask(began + cx.deadline.duration_since(began) / 2).await {
                Ok(settings) => {
                    self.settings = Some((Instant::now(), settings));
                    self.elsewhere = false;
                }
                // A log that says why a server is down is read while it is down.
                Err(_) if self.settings.is_some() => {}
                Err(problem) => {
                    self.unreached = Some(problem.to_string());
                    let outcome = Outcome::failed(problem);
                    return Ok(self.account(cx, &self.context.last_source(), &outcome, began));
                }
            }
        }
        let source = self.context.last_source();
        let Some((_, settings)) = self.settings.clone() else { return Ok(Collected::default()) };
        if !self.elsewhere && !settings.is_over_sql(&self.context.config) {
            let location = match settings.location(&self.context.config, cx.now, false) {
                Ok(location) => LogLocation { only_visit: cx.only_visit, ..location },
                Err(reason) => return Ok(self.account(cx, &source, &Outcome::Unsupported { reason }, began)),
            };
            let reader = match self.read_files(cx, settings.clone(), location, began).await {
                Ok(reader) => reader,
                Err(outcome) => return Ok(self.account(cx, &source, &outcome, began)),
            };
            self.elsewhere = matches!(reader.result, Err(Fault::Elsewhere(_)));
            if !self.elsewhere {
                return self.collected_from(reader, cx, &source, began);
            }
            self.reader = Work::Ready(reader);
        }
        let location = match settings.location(&self.context.config, cx.now, true) {
            Ok(location) => LogLocation { only_visit: cx.only_visit, ..location },
            Err(reason) => return Ok(self.account(cx, &source, &Outcome::Unsupported { reason }, began)),
        };
        match self.read_remote(cx, &settings, &location).await {
            Ok(reader) => self.collected_from(reader, cx, &source, began),
            Err(problem) => {
                self.unreached = Some(problem.to_string());
                let outcome = Outcome::failed(problem);
                Ok(self.account(cx, &source, &outcome, began))
            }
        }
    }
}

impl LogCollector {
    /// Reads the files on this host; why it is not done yet otherwise.
    async fn read_files(
        &mut self,
        cx: &CollectContext,
        settings: Settings,
        location: LogLocation,
        began: Instant,
    ) -> Result<Box<Reader>, Outcome> {
        let mut running = match std::mem::replace(&mut self.reader, Work::None) {
            Work::Running(running) => running,
            ready => {
                let mut reader = self.reader_of(ready, cx);
                let config = Arc::clone(&self.context.config);
                spawn_blocking(move || {
                    reader.visit(&config, &settings, &location);
                    reader
                })
            }
        };
        let deadline = cx.deadline.min(began + 2 * BUDGET.time);
        match timeout_at(deadline, &mut running).await {
            Ok(Ok(reader)) => Ok(reader),
            Ok(Err(fault)) => match fault.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(fault) => Err(Outcome::failed(fault)),
            },
            Err(_) => {
                self.reader = Work::Running(running);
                let reason =
                    String::from("the file system that holds the log does not answer; reading goes on when it does");
                Err(Outcome::Skipped { reason })
            }
        }
    }

    /// Reads the files through the server.
    async fn read_remote(
        &mut self,
        cx: &CollectContext,
        settings: &Settings,
        location: &LogLocation,
    ) -> Result<Box<Reader>, ConnectProblem> {
        let context = Arc::clone(&self.context);
        let database: Arc<str> = context.config.database.as_str().into();
        let entering = Box::pin(context.live_session(&self.pool, &database, cx.deadline));
        let entered = timeout_at(cx.deadline, entering).await;
        let (mut session, _) = entered.unwrap_or_else(|_| Err(deadline_passed(&context.config)))?;
        let ready = std::mem::replace(&mut self.reader, Work::None);
        let mut reader = self.reader_of(ready, cx);
        if reader.visit_remote(&mut session, &context.config, settings, location, cx.deadline).await {
            self.pool.put_back(session);
        }
        Ok(reader)
    }

    fn reader_of(&self, work: Work, cx: &CollectContext) -> Box<Reader> {
        match work {
            Work::Ready(reader) => reader,
            _ => Box::new(Reader::new(&self.state, self.context.config.log.redaction, cx.now)),
        }
    }

    /// What was read, and how far.
    fn collected_from(
        &mut self,
        mut reader: Box<Reader>,
        cx: &CollectContext,
        source: &Source,
        began: Instant,
    ) -> Result<Collected, CollectError> {
        let mut collected = Collected { batches: reader.tables.take(source, cx.now)?, ..Collected::default() };
        if cx.is_due("pg_log_summary") || std::mem::take(&mut reader.counted) {
            collected.batches.extend(reader.tables.summary(source, cx.now)?);
        }
        let wanted = |batch: &Batch| {
            self.measurements.iter().any(|measurement| measurement.name() == batch.schema.measurement())
        };
        collected.batches.retain(wanted);
        let fault = match &reader.result {
            Ok(visited) => {
                visited.faults.first().map(|(path, error)| Outcome::Failed { message: location::advice(path, error) })
            }
            Err(Fault::Failed(message) | Fault::Elsewhere(message)) => {
                Some(Outcome::Failed { message: message.clone() })
            }
            Err(Fault::Unsupported(reason)) => Some(Outcome::Unsupported { reason: reason.clone() }),
        };
        for measurement in self.measurements.iter().filter(|measurement| cx.due.contains(measurement.name())) {
            let of = collected.batches.iter().filter(|batch| batch.schema.measurement() == measurement.name());
            let rows = of.map(|batch| batch.rows.len()).sum();
            let outcome = fault.clone().unwrap_or(Outcome::Collected { rows });
            collected.report(measurement, source, began.elapsed(), outcome);
        }
        self.outdated = reader.outdated;
        let state = reader.state();
        if state != self.state {
            self.state = state;
            let state = serde_json::to_vec(&self.state).map_err(|error| CollectError::Host {
                path: String::from("the state of the log"),
                source: error.into(),
            })?;
            collected.state = Some(Bytes::from(state));
        }
        reader.result = Ok(Visited::default());
        self.reader = Work::Ready(reader);
        Ok(collected)
    }
}

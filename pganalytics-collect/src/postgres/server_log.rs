//! Brings a server's log, where its files are on this host.

mod place;

use std::{panic::resume_unwind, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use pganalytics_core::{Batch, Source, catalog::Measurement};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, timeout_at},
};

use self::place::Settings;
use super::{
    fault::ConnectProblem,
    keeper::Keeper,
    visit::{Shared, report_all},
};
use crate::{
    collector::{CollectContext, Collected, Collector, Outcome, Report},
    error::CollectError,
    logs::{
        LogTables, Severity,
        tail::{Budget, Place, Tail, TailState, Visited},
    },
};

/// How often the server is asked where its log is.
const ASK: Duration = Duration::from_secs(300);
/// What one visit reads at most.
const BUDGET: Budget = Budget { bytes: 32 << 20, time: Duration::from_secs(5) };
/// Most entries of a visit that become rows; of those that end sessions or the
/// server, twice as many.
const ROWS: usize = 10_000;
/// Most bytes of entries of a visit that become rows.
const ROW_BYTES: u64 = 16 << 20;

/// The collector of a server's log.
pub(super) struct LogCollector {
    name: String,
    shared: Arc<Shared>,
    keeper: Keeper,
    measurements: Vec<Arc<Measurement>>,
    /// What the server said last, and when.
    settings: Option<(Instant, Settings)>,
    reader: Work,
    /// What was handed over with the last visit.
    state: TailState,
}

/// What a visit works with.
struct Reader {
    tail: Tail,
    tables: LogTables,
    settings: Option<Settings>,
    result: Result<Visited, String>,
}

/// A file system that does not answer keeps a thread, not the visit.
enum Work {
    Ready(Box<Reader>),
    Running(JoinHandle<Box<Reader>>),
    /// It begins anew from the last state.
    None,
}

impl LogCollector {
    pub(super) fn new(shared: Arc<Shared>, measurements: Vec<Arc<Measurement>>) -> Self {
        Self {
            name: format!("log {}", shared.config.name),
            keeper: Keeper::for_databases(&shared.config, &shared.connector, &shared.budget),
            shared,
            measurements,
            settings: None,
            reader: Work::None,
            state: TailState::default(),
        }
    }

    /// Asks the server where its log is. The session is given back at once.
    async fn ask(&mut self, deadline: Instant) -> Result<Settings, ConnectProblem> {
        let database: Arc<str> = self.shared.config.database.as_str().into();
        let (mut session, _) = self.shared.enter(&mut self.keeper, &database, deadline).await?;
        Ok(place::read(&mut session, &self.shared.config).await)
    }

    fn reader(&mut self, cx: &CollectContext) -> Box<Reader> {
        Box::new(Reader {
            tail: Tail::new(self.state.clone()),
            tables: LogTables::new(self.shared.config.log.redaction, cx.now),
            settings: None,
            result: Ok(Visited::default()),
        })
    }

    fn account(&self, cx: &CollectContext, source: &Source, outcome: &Outcome, began: Instant) -> Collected {
        let mut collected = Collected::default();
        let due = self.measurements.iter().filter(|measurement| cx.due.contains(measurement.name()));
        report_all(&mut collected, due, Some(source), outcome, began);
        collected
    }
}

impl Reader {
    fn visit(&mut self, settings: &Settings, place: &Place) {
        if self.settings.as_ref().is_some_and(|before| before != settings) {
            self.tail.reopen();
        }
        self.settings = Some(settings.clone());
        let (mut rows, mut bytes, mut fault) = (0, 0_u64, None);
        let (tail, tables) = (&mut self.tail, &mut self.tables);
        let visited = tail.visit(place, BUDGET, &mut |file, entry| {
            let most = if entry.severity >= Severity::Fatal { 2 * ROWS } else { ROWS };
            if rows >= most || bytes >= ROW_BYTES {
                tables.leave_out(entry);
                return;
            }
            rows += 1;
            bytes += entry.bytes;
            if let Err(error) = tables.add(file, entry) {
                fault = Some(error.to_string());
            }
        });
        self.result = match (visited, fault) {
            (Ok(visited), None) if visited.nothing => Err(place::no_file(place)),
            (Ok(visited), None) => Ok(visited),
            (Ok(_), Some(fault)) => Err(fault),
            (Err((path, error)), _) => Err(place::advice(&path, &error)),
        };
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

    fn resume(&mut self, state: Option<&[u8]>) {
        self.reader = Work::None;
        self.state = match state.map(serde_json::from_slice) {
            None => TailState::default(),
            Some(Ok(state)) => state,
            Some(Err(error)) => {
                tracing::error!(collector = %self.name, %error, "how far the log was read can't be understood; it begins anew");
                TailState::default()
            }
        };
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let began = Instant::now();
        if self.settings.as_ref().is_none_or(|(asked, _)| asked.elapsed() >= ASK) {
            match self.ask(cx.deadline).await {
                Ok(settings) => self.settings = Some((Instant::now(), settings)),
                // A log that says why a server is down is read while it is down.
                Err(_) if self.settings.is_some() => {}
                Err(problem) => {
                    let outcome = Outcome::Failed { message: problem.to_string() };
                    return Ok(self.account(cx, &self.shared.last_source(), &outcome, began));
                }
            }
        }
        let source = self.shared.last_source();
        let Some((_, settings)) = self.settings.clone() else { return Ok(Collected::default()) };
        let place = match settings.place(&self.shared.config, cx.now) {
            Ok(place) => place,
            Err(reason) => return Ok(self.account(cx, &source, &Outcome::Unsupported { reason }, began)),
        };
        let mut running = match std::mem::replace(&mut self.reader, Work::None) {
            Work::Running(running) => running,
            ready => {
                let mut reader = match ready {
                    Work::Ready(reader) => reader,
                    _ => self.reader(cx),
                };
                spawn_blocking(move || {
                    reader.visit(&settings, &place);
                    reader
                })
            }
        };
        let deadline = cx.deadline.min(began + 2 * BUDGET.time);
        let mut reader = match timeout_at(deadline, &mut running).await {
            Ok(Ok(reader)) => reader,
            Ok(Err(fault)) => match fault.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(fault) => {
                    let outcome = Outcome::Failed { message: fault.to_string() };
                    return Ok(self.account(cx, &source, &outcome, began));
                }
            },
            Err(_) => {
                self.reader = Work::Running(running);
                let reason =
                    String::from("the file system that holds the log does not answer; reading goes on when it does");
                return Ok(self.account(cx, &source, &Outcome::Skipped { reason }, began));
            }
        };

        let mut collected = Collected { batches: reader.tables.take(&source, cx.now)?, ..Collected::default() };
        if cx.is_due("pg_log_summary") {
            collected.batches.extend(reader.tables.summary(&source, cx.now)?);
        }
        let wanted = |batch: &Batch| {
            self.measurements.iter().any(|measurement| measurement.name() == batch.schema.measurement())
        };
        collected.batches.retain(wanted);
        let fault = match &reader.result {
            Ok(visited) => visited.faults.first().map(|(path, error)| place::advice(path, error)),
            Err(fault) => Some(fault.clone()),
        };
        for measurement in self.measurements.iter().filter(|measurement| cx.due.contains(measurement.name())) {
            let of = collected.batches.iter().filter(|batch| batch.schema.measurement() == measurement.name());
            let outcome = match &fault {
                Some(message) => Outcome::Failed { message: message.clone() },
                None => Outcome::Collected { rows: of.map(|batch| batch.rows.len()).sum() },
            };
            collected.reports.push(Report {
                measurement: measurement.name().clone(),
                source: Some(source.clone()),
                outcome,
                elapsed: began.elapsed(),
            });
        }
        if *reader.tail.state() != self.state {
            self.state = reader.tail.state().clone();
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

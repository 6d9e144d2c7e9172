//! Reads what is new in a log, as far as one visit may.

use std::{io::ErrorKind, time::Duration};

use pganalytics_core::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::{
    location::{self, Settings},
    remote::{self, RemoteState, RemoteTail},
};
use crate::{
    logs::{
        Entry, Format, LogTables, Prefix, Redaction, Severity, Zone,
        tail::{Budget, LogLocation, Tail, TailState, Visited},
    },
    postgres::{
        query::fault::QueryFault,
        session::{
            Session,
            fault::{ConnectFault, ConnectProblem},
        },
        settings::PostgresConfig,
    },
};

/// What one visit reads at most.
pub(super) const BUDGET: Budget = Budget { bytes: 32 << 20, time: Duration::from_secs(5) };
/// Most entries of a visit that become rows; of those that end sessions or the
/// server, twice as many.
const ROWS: usize = 10_000;
/// Lines of one visit that are no entries, from which on the settings are in doubt, when they are a
/// quarter of all.
const UNPARSED: u64 = 4;
/// Most bytes of entries of a visit that become rows.
const ROW_BYTES: u64 = 16 << 20;

/// How far its files were read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    #[serde(flatten)]
    files: TailState,
    #[serde(default)]
    over_sql: RemoteState,
}

/// What a visit works with.
pub(super) struct Reader {
    tail: Tail,
    over_sql: RemoteTail,
    pub(super) tables: LogTables,
    settings: Option<Settings>,
    /// The prefix and zone before those that the settings say.
    older: Option<(Prefix, Zone)>,
    /// Whether the server should be asked for its settings at once: its log says that they were
    /// read anew, or can't be read by those that are known.
    pub(super) outdated: bool,
    /// Whether the last visit met entries: their counts go with them, or would be lost when the
    /// agent ends before they are due.
    pub(super) counted: bool,
    pub(super) result: Result<Visited, Fault>,
}

/// Why nothing could be read.
pub(super) enum Fault {
    Failed(String),
    /// It can't be had as things are, which is no failure.
    Unsupported(String),
    /// The folder is not on this host.
    Elsewhere(String),
}

/// Takes the entries of a visit, as many as may become rows.
struct RowLimiter<'t> {
    tables: &'t mut LogTables,
    rows: usize,
    bytes: u64,
    entries: u64,
    unparsed: u64,
    reloaded: bool,
    fault: Option<String>,
}

impl<'t> RowLimiter<'t> {
    fn new(tables: &'t mut LogTables) -> Self {
        Self { tables, rows: 0, bytes: 0, entries: 0, unparsed: 0, reloaded: false, fault: None }
    }

    /// Whether what is known of the server's settings is in doubt.
    fn outdated(&self) -> bool {
        self.reloaded || (self.unparsed >= UNPARSED && self.unparsed * 4 >= self.entries)
    }

    fn take(&mut self, file: &str, entry: &Entry<'_>) {
        self.entries += 1;
        self.unparsed += u64::from(entry.severity == Severity::Unparsed);
        // Each language keeps the name of the signal.
        let short = entry.severity == Severity::Log && entry.message.len() < 200;
        self.reloaded |= short && entry.message.contains("SIGHUP");
        let most = if entry.severity >= Severity::Fatal { 2 * ROWS } else { ROWS };
        if self.rows >= most || self.bytes >= ROW_BYTES {
            self.tables.leave_out(entry);
            return;
        }
        self.rows += 1;
        self.bytes += entry.bytes;
        if let Err(error) = self.tables.add(file, entry) {
            self.fault = Some(error.to_string());
        }
    }
}

impl Reader {
    /// Goes on where `state` says.
    pub(super) fn new(state: &State, redaction: Redaction, now: Timestamp) -> Self {
        Self {
            tail: Tail::new(state.files.clone()),
            over_sql: RemoteTail::new(state.over_sql.clone()),
            tables: LogTables::new(redaction, now),
            settings: None,
            older: None,
            outdated: false,
            counted: false,
            result: Ok(Visited::default()),
        }
    }

    pub(super) fn state(&self) -> State {
        State { files: self.tail.state().clone(), over_sql: self.over_sql.state().clone() }
    }

    /// What was begun in another format can't be gone on with.
    fn follow(&mut self, settings: &Settings, location: &LogLocation) -> LogLocation {
        if let Some(before) = self.settings.as_ref().filter(|before| *before != settings) {
            self.older = Some((before.prefix(), before.zone()));
            self.tail.reopen();
            self.over_sql.reopen();
        }
        self.settings = Some(settings.clone());
        let mut location = location.clone();
        if let Some((prefix, zone)) = &self.older {
            location.options.zone = std::mem::take(&mut location.options.zone).with_older(zone.clone());
            if let Format::Stderr(now) | Format::Syslog(now) = &mut location.format {
                *now = std::mem::take(now).with_older(prefix.clone());
            }
        }
        location
    }

    /// Reads the files on this host.
    pub(super) fn visit(&mut self, config: &PostgresConfig, settings: &Settings, location: &LogLocation) {
        let location = &self.follow(settings, location);
        let mut limiter = RowLimiter::new(&mut self.tables);
        let visited = self.tail.visit(location, BUDGET, &mut |file, entry| limiter.take(file, entry));
        self.outdated = limiter.outdated();
        self.counted = limiter.entries > 0;
        self.result = match (visited, limiter.fault) {
            (Ok(visited), None) if visited.nothing => Err(Fault::Failed(location::no_file(location))),
            (Ok(visited), None) => Ok(visited),
            (Ok(_), Some(fault)) => Err(Fault::Failed(fault)),
            (Err((path, error)), _) if error.kind() == ErrorKind::NotFound && config.log.paths.is_empty() => {
                Err(Fault::Elsewhere(location::advice(&path, &error)))
            }
            (Err((path, error)), _) => Err(Fault::Failed(location::advice(&path, &error))),
        };
    }

    /// The same through the server. Whether the session is still good.
    pub(super) async fn visit_remote(
        &mut self,
        session: &mut Session,
        config: &PostgresConfig,
        settings: &Settings,
        location: &LogLocation,
        deadline: Instant,
    ) -> bool {
        let location = &self.follow(settings, location);
        let mut limiter = RowLimiter::new(&mut self.tables);
        let visited = async {
            session.begin().await?;
            // Not tried where it is not allowed: each try would be an error in the log.
            let missing = remote::missing_grants(session, config).await?;
            if !missing.is_empty() {
                return Ok(Err(Fault::Unsupported(remote::advice(config, &missing))));
            }
            let each = &mut |file: &str, entry: &Entry<'_>| limiter.take(file, entry);
            Ok(Ok(self.over_sql.visit(session, location, deadline, each).await?))
        };
        // Whatever waits: what came before counts, and its session is given up.
        let visited = timeout_at(deadline, Box::pin(visited)).await;
        let good = visited.is_ok() && matches!(timeout_at(deadline, session.end()).await, Ok(Ok(())));
        let visited: Result<Result<bool, Fault>, QueryFault> =
            visited.unwrap_or_else(|_| Ok(Err(Fault::Failed(deadline_passed(config).message))));
        self.outdated = limiter.outdated();
        self.counted = limiter.entries > 0;
        self.result = match (visited, limiter.fault) {
            (_, Some(fault)) => Err(Fault::Failed(fault)),
            (Ok(Ok(true)), None) => Ok(Visited::default()),
            (Ok(Ok(false)), None) => Err(Fault::Failed(remote::no_file(location))),
            (Ok(Err(fault)), None) => Err(fault),
            (Err(fault), None) => Err(Fault::Failed(format!("the log could not be read over SQL: {fault}"))),
        };
        good
    }
}

pub(super) fn deadline_passed(config: &PostgresConfig) -> ConnectProblem {
    let message = format!("{}: no answer before the visit's time was over", config.address());
    ConnectProblem::new(ConnectFault::Timeout, message)
}

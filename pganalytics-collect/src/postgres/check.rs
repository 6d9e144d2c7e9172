//! Tries everything once and says what works, what does not, and what to do.

use std::{sync::Arc, time::Duration};

use pganalytics_core::{Timestamp, catalog::Measurement};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    discover,
    keeper::Keeper,
    measure::{Clock, STATEMENTS, not_created, not_loaded, too_old},
    query_fault::quoted,
    session::Session,
    visit::{Shared, report_all},
};
use crate::collector::{CollectContext, Collected, Outcome, Report};

/// How well something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should.
    Works,
    /// In part, or at a cost.
    Degraded,
    /// Not at all.
    Off,
}

/// Something about the server as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: `connection`, `role`, `pg_monitor`, `extensions`, `pooler`, `databases`.
    pub about: &'static str,
    /// How well it works.
    pub state: State,
    /// What was found.
    pub message: String,
    /// What to do, as exactly as can be said: a command where there is one.
    pub fix: Option<String>,
}

/// What became of one measurement at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MeasurementCheck {
    /// Its name.
    pub measurement: String,
    /// The database; `None` for what a cluster has once.
    pub database: Option<String>,
    /// How well it works.
    pub state: State,
    /// Rows that it brought.
    pub rows: usize,
    /// Why it does not work, and what to do.
    pub why: Option<String>,
    /// Whether it should have worked here: a fault to be mended, unlike what
    /// this server can't have.
    pub failed: bool,
    /// How long it took.
    #[serde(serialize_with = "millis")]
    pub elapsed: Duration,
}

impl From<Report> for MeasurementCheck {
    fn from(report: Report) -> Self {
        let failed = matches!(report.outcome, Outcome::Failed { .. });
        let (state, rows, why) = match report.outcome {
            Outcome::Collected { rows } => (State::Works, rows, None),
            Outcome::Unsupported { reason } => (State::Off, 0, Some(reason)),
            Outcome::Skipped { reason } => (State::Degraded, 0, Some(reason)),
            Outcome::Failed { message } => (State::Off, 0, Some(message)),
        };
        Self {
            measurement: report.measurement.to_string(),
            database: report.source.and_then(|source| source.database).as_deref().map(str::to_owned),
            state,
            rows,
            why,
            failed,
            elapsed: report.elapsed,
        }
    }
}

fn millis<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64() * 1000.0)
}

/// What was found about a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerCheck {
    /// Its name in the settings.
    pub server: String,
    /// Where it was looked for.
    pub address: String,
    /// Its version, when it could be asked.
    pub version: Option<String>,
    /// What concerns it as a whole.
    pub findings: Vec<Finding>,
    /// Each measurement at each place.
    pub measurements: Vec<MeasurementCheck>,
}

impl ServerCheck {
    /// Whether the server could be asked at all.
    #[must_use]
    pub fn reached(&self) -> bool {
        self.version.is_some()
    }

    /// Whether something is wrong that should be mended. What a server can't
    /// have, or has in part only, is not.
    #[must_use]
    pub fn failed(&self) -> bool {
        !self.reached()
            || self.findings.iter().any(|finding| finding.state == State::Off)
            || self.measurements.iter().any(|check| check.failed)
    }

    /// The worst of all that was found.
    #[must_use]
    pub fn worst(&self) -> State {
        let findings = self.findings.iter().map(|finding| finding.state);
        findings.chain(self.measurements.iter().map(|check| check.state)).max().unwrap_or(State::Works)
    }

    fn find(&mut self, about: &'static str, state: State, message: impl Into<String>, fix: Option<String>) {
        self.findings.push(Finding { about, state, message: message.into(), fix });
    }
}

/// Time for one database.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn check(
    shared: &Shared,
    cluster: &[Arc<Measurement>],
    databases: &[Arc<Measurement>],
) -> ServerCheck {
    let config = &shared.config;
    let mut found = ServerCheck {
        server: config.name.to_string(),
        address: config.address(),
        version: None,
        findings: Vec::new(),
        measurements: Vec::new(),
    };
    let mut keeper = Keeper::for_cluster(config, &shared.connector, &shared.budget);
    let home: Arc<str> = config.database.as_str().into();
    let (mut session, in_recovery) = match shared.enter(&mut keeper, &home, Instant::now() + LIMIT).await {
        Ok(entered) => entered,
        Err(problem) => {
            found.find("connection", State::Off, problem.message, None);
            return found;
        }
    };
    found.version = Some(session.facts.version_text.clone());
    about_server(&mut found, &mut session, &config.user, in_recovery).await;
    let places = if config.databases.is_empty() {
        discover::databases(&mut session, config).await
    } else {
        Ok(discover::named(config))
    };
    found.measurements.extend(take(shared, session, &mut keeper, None, in_recovery, cluster).await);
    keeper.clear();

    let (names, left_out) = match places {
        Ok(places) => places,
        Err(fault) => {
            found.find("databases", State::Off, format!("the list of databases could not be read: {fault}"), None);
            return found;
        }
    };
    if left_out > 0 {
        let message = format!("{left_out} databases are left out");
        found.find("databases", State::Degraded, message, Some(String::from("raise max_databases in the settings")));
    }
    for name in names {
        match shared.enter(&mut keeper, &name, Instant::now() + LIMIT).await {
            Ok((session, in_recovery)) => {
                let database = Some(Arc::clone(&name));
                found.measurements.extend(take(shared, session, &mut keeper, database, in_recovery, databases).await);
            }
            Err(problem) => found.find("databases", State::Off, problem.message, None),
        }
    }
    found
}

async fn about_server(found: &mut ServerCheck, session: &mut Session, user: &str, in_recovery: bool) {
    let (facts, user) = (session.facts.clone(), quoted(user));
    let what = if in_recovery { "a standby" } else { "a primary" };
    found.find("connection", State::Works, format!("PostgreSQL {}, {what}", facts.version_text), None);
    if facts.version < 140_000 {
        found.find(
            "version",
            State::Degraded,
            "older than 14: not tested with",
            Some(String::from("upgrade PostgreSQL")),
        );
    }
    if facts.superuser {
        let fix = format!("ALTER ROLE {user} NOSUPERUSER; GRANT pg_monitor TO {user}");
        found.find("role", State::Degraded, "the role is a superuser, which is more than it needs", Some(fix));
    } else if facts.monitors {
        found.find("pg_monitor", State::Works, "the role is a member of pg_monitor", None);
    } else {
        let fix = Some(format!("GRANT pg_monitor TO {user}"));
        let message =
            "the role is not a member of pg_monitor: other roles' queries and many figures are hidden from it";
        found.find("pg_monitor", State::Degraded, message, fix);
    }
    if session.pooled {
        let message = "a pooler stands between: each measurement is a transaction that brings its settings along";
        found.find("pooler", State::Degraded, message, Some(String::from("set host and port to the server itself")));
    }
    if facts.system_identifier.is_none() {
        let message = "the system identifier may not be read, so the server is known by its name and address only";
        let fix = format!("GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO {user}");
        found.find("identity", State::Degraded, message, Some(fix));
    }
    let name = STATEMENTS;
    if !facts.statements_loaded {
        let fix = not_loaded(name, &session.database);
        found.find(
            "extensions",
            State::Degraded,
            format!("{name} is not loaded: no statistics of statements"),
            Some(fix),
        );
        return;
    }
    match session.extensions(&[name]).await {
        Ok(extensions) => match extensions.first() {
            Some(extension) if !extension.is_at_least(1, 9) => {
                let message = format!("{name} {} can't tell when its counters were reset", extension.version);
                found.find("extensions", State::Degraded, message, Some(too_old(extension, &session.database)));
            }
            Some(extension) => {
                let message = format!("{name} {} in schema {}", extension.version, extension.schema);
                found.find("extensions", State::Works, message, None);
            }
            None => {
                let message = format!("{name} is not in database {}", session.database);
                let fix = Some(not_created(name, &session.database));
                found.find("extensions", State::Degraded, message, fix);
            }
        },
        Err(fault) => found.find("extensions", State::Degraded, fault.to_string(), None),
    }
}

async fn take(
    shared: &Shared,
    mut session: Session,
    keeper: &mut Keeper,
    database: Option<Arc<str>>,
    in_recovery: bool,
    measurements: &[Arc<Measurement>],
) -> Vec<MeasurementCheck> {
    let began = Instant::now();
    let mut collected = Collected::default();
    let cx = CollectContext { due: Vec::new(), now: Timestamp::from_secs(0), deadline: began + LIMIT };
    let (clock, source) = (Clock::new(&cx), session.source(&shared.config, database.clone()));
    match shared.visit(&mut session, database, in_recovery, measurements, &mut collected, clock).await {
        Ok(mut visit) => {
            let mut left = measurements.iter();
            let mut lost = None;
            for measurement in left.by_ref() {
                // Those that follow others are asked for nothing: it shows that they can be.
                let keys = measurement.follows().map(|_| &[][..]);
                let read = visit.measure(&mut session, measurement, keys).await;
                // Rows are not kept: a check needs their number only.
                visit.collected.batches.clear();
                if let Err(fault) = read {
                    lost = Some(fault.plain_outcome());
                    break;
                }
            }
            if let Some(outcome) = lost {
                report_all(&mut collected, left, Some(&source), &outcome, began);
            }
        }
        Err(fault) => report_all(&mut collected, measurements, Some(&source), &fault.plain_outcome(), began),
    }
    keeper.put_back(session);
    collected.reports.into_iter().map(MeasurementCheck::from).collect()
}

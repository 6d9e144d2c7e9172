//! Tries everything once and says what works, what does not, and what to do.

mod denied;
mod wants;

use std::{sync::Arc, time::Duration};

use pganalytics_core::{Timestamp, catalog::Measurement};
use serde::Serialize;
use tokio::time::Instant;

use self::wants::Has;
use super::{
    collectors::{cluster_database, discover},
    query::{
        context::{ServerContext, report_all},
        measure::{Clock, Failure, STATEMENTS},
        requirement::{FixTarget, Libraries, MissingRequirement},
    },
    session::{
        Session,
        fault::{ConnectFault, ConnectProblem},
        pool::SessionPool,
    },
    settings::PostgresConfig,
};
use crate::{
    check::{Finding, MeasurementCheck, Section, State},
    collector::{CollectContext, Collected},
    qualified::quote_ident,
};

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
        !self.reached() || self.section().failed()
    }

    /// The worst of all that was found.
    #[must_use]
    pub fn worst(&self) -> State {
        self.section().worst()
    }

    /// It as a part of a whole check.
    #[must_use]
    pub fn section(&self) -> Section {
        Section {
            kind: "postgres",
            name: self.server.clone(),
            address: Some(self.address.clone()).filter(|address| *address != self.server),
            findings: self.findings.clone(),
            measurements: self.measurements.clone(),
        }
    }

    fn find(&mut self, about: &'static str, state: State, message: impl Into<String>, fix: Option<String>) {
        self.findings.push(Finding { about, state, message: message.into(), fix });
    }
}

/// Time for one database.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn check(
    context: &ServerContext,
    cluster: &[Arc<Measurement>],
    databases: &[Arc<Measurement>],
) -> ServerCheck {
    let config = &context.config;
    let mut found = ServerCheck {
        server: config.name.to_string(),
        address: config.address(),
        version: None,
        findings: Vec::new(),
        measurements: Vec::new(),
    };
    let pool = SessionPool::for_cluster(config, &context.connector, &context.budget);
    let first: Arc<str> = config.database.as_str().into();
    let (mut session, in_recovery) = match context.live_session(&pool, &first, Instant::now() + LIMIT).await {
        Ok(entered) => entered,
        Err(problem) => {
            let fix = way_in(&problem, config, &first);
            found.find("connection", State::Off, problem.message, fix);
            return found;
        }
    };
    found.version = Some(session.facts.version_text.clone());
    let places = if config.databases.is_empty() {
        discover::databases(&mut session, config).await
    } else {
        Ok(discover::named(config))
    };
    // As the agent does: cluster-wide views are read where their extensions are.
    let wanted = cluster_database::wanted(cluster, &session);
    if let Ok(fit) = cluster_database::Fit::of(&mut session, &wanted).await
        && !fit.is_best(&wanted)
    {
        let home = cluster_database::search(context, &pool, session, &wanted, fit, Instant::now() + LIMIT).await;
        session = match context.live_session(&pool, &home, Instant::now() + LIMIT).await {
            Ok((session, _)) => session,
            Err(problem) => {
                let fix = way_in(&problem, config, &home);
                found.find("connection", State::Off, problem.message, fix);
                return found;
            }
        };
    }
    let has = Has::ask(&mut session, cluster.iter().chain(databases)).await.unwrap_or_else(|fault| {
        found.find("settings", State::Degraded, format!("the settings could not be read: {fault}"), None);
        Has::default()
    });
    about_server(&mut found, &mut session, &config.user, in_recovery, has.libraries().as_ref()).await;
    found.measurements.extend(take(context, session, &pool, None, in_recovery, cluster, &has).await);
    pool.clear();

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
        match context.live_session(&pool, &name, Instant::now() + LIMIT).await {
            Ok((session, in_recovery)) => {
                let there = Some(Arc::clone(&name));
                let checks = take(context, session, &pool, there, in_recovery, databases, &has).await;
                found.measurements.extend(checks);
            }
            Err(problem) => {
                let fix = way_in(&problem, config, &name);
                found.find("databases", State::Off, problem.message, fix);
            }
        }
    }
    found
}

/// What lets the role in.
fn way_in(problem: &ConnectProblem, config: &PostgresConfig, database: &str) -> Option<String> {
    let user = quote_ident(&config.user);
    let said = problem.message.as_str();
    match problem.fault {
        ConnectFault::WrongPassword => Some(format!(
            "-- set the role's password in the settings (password_file), or give it a new one:\n\\password {user}\n\
             -- where there is no such role: CREATE ROLE {user} LOGIN IN ROLE pg_monitor;"
        )),
        ConnectFault::NotAllowed if said.contains("is not permitted to log in") => {
            Some(format!("ALTER ROLE {user} LOGIN;"))
        }
        ConnectFault::NotAllowed if said.contains("pg_hba.conf") => {
            let host = said.split_once("for host \"").and_then(|(_, rest)| rest.split_once('"')).map(|(host, _)| host);
            let line = match host {
                Some(host) if host != "[local]" => {
                    let bits = if host.contains(':') { 128 } else { 32 };
                    format!("host all {user} {host}/{bits} scram-sha-256")
                }
                _ => format!("local all {user} scram-sha-256"),
            };
            Some(format!("-- in pg_hba.conf, above all lines that say reject:\n-- {line}\nSELECT pg_reload_conf();"))
        }
        ConnectFault::NoDatabase if said.contains("permission denied") => {
            Some(format!("GRANT CONNECT ON DATABASE {} TO {user};", quote_ident(database)))
        }
        _ => None,
    }
}

async fn about_server(
    found: &mut ServerCheck,
    session: &mut Session,
    user: &str,
    in_recovery: bool,
    libraries: Option<&Libraries>,
) {
    let (facts, database) = (session.facts.clone(), Arc::clone(&session.database));
    let target = FixTarget { database: &database, user, in_recovery };
    let user = quote_ident(user);
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
        // The role that initdb made can't lose its rights.
        let first = "select oid = 10 from pg_catalog.pg_roles where rolname = current_user";
        let first = session.first(first, |row| row.try_get(0).unwrap_or(false)).await;
        let fix = if matches!(first, Ok(Some(true))) {
            let make = target.anywhere("CREATE ROLE pganalytics LOGIN IN ROLE pg_monitor");
            format!("{make}\n\\password pganalytics\n-- then set user to pganalytics in the settings")
        } else {
            target.anywhere(&format!("ALTER ROLE {user} NOSUPERUSER; GRANT pg_monitor TO {user}"))
        };
        found.find("role", State::Degraded, "the role is a superuser, which is more than it needs", Some(fix));
    } else if facts.monitors {
        found.find("pg_monitor", State::Works, "the role is a member of pg_monitor", None);
    } else {
        let fix = target.anywhere(&format!("GRANT pg_monitor TO {user}"));
        let message =
            "the role is not a member of pg_monitor: other roles' queries and many figures are hidden from it";
        found.find("pg_monitor", State::Degraded, message, Some(fix));
    }
    if session.pooled {
        let message = "a pooler stands between: each measurement is a transaction that brings its settings along";
        found.find("pooler", State::Degraded, message, Some(String::from("set host and port to the server itself")));
    }
    if facts.system_identifier.is_none() {
        let message = "the system identifier may not be read, so the server is known by its name and address only";
        let fix = target.script(&format!("GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO {user}"));
        found.find("identity", State::Degraded, message, Some(fix));
    }
    let name = STATEMENTS;
    let missing = if facts.statements_loaded {
        match session.extensions(&[name]).await.as_deref() {
            Ok([extension, ..]) if !extension.is_at_least(1, 9) => {
                let message = format!("{name} {} can't tell when its counters were reset", extension.version);
                let fix = MissingRequirement::TooOld(extension.clone()).fix(&target, libraries);
                return found.find("extensions", State::Degraded, message, Some(fix));
            }
            Ok([extension, ..]) => {
                let message =
                    format!("{name} {} in schema {} of database {database}", extension.version, extension.schema);
                return found.find("extensions", State::Works, message, None);
            }
            Ok([]) => MissingRequirement::NotCreated(name.to_owned()),
            Err(fault) => return found.find("extensions", State::Degraded, fault.to_string(), None),
        }
    } else {
        MissingRequirement::NotLoaded(name.to_owned())
    };
    let message = format!("{}: no statistics of statements", missing.why());
    found.find("extensions", State::Degraded, message, Some(missing.fix(&target, libraries)));
}

async fn take(
    context: &ServerContext,
    mut session: Session,
    pool: &SessionPool,
    database: Option<Arc<str>>,
    in_recovery: bool,
    measurements: &[Arc<Measurement>],
    has: &Has,
) -> Vec<MeasurementCheck> {
    let began = Instant::now();
    let mut collected = Collected::default();
    let cx =
        CollectContext { due: Vec::new(), now: Timestamp::from_secs(0), deadline: began + LIMIT, only_visit: true };
    let (clock, source) = (Clock::new(&cx), session.source(&context.config, database.clone()));
    let there = Arc::clone(&session.database);
    let target = FixTarget { database: &there, user: &context.config.user, in_recovery };
    let mut checks = Vec::with_capacity(measurements.len());
    match context.visit(&mut session, database, in_recovery, measurements, &mut collected, clock).await {
        Ok(mut visit) => {
            let mut left = measurements.iter();
            let mut lost = None;
            for measurement in left.by_ref() {
                // Those that follow others are asked for nothing: it shows that they can be.
                let keys = measurement.follows().map(|_| &[][..]);
                let read = visit.measure(&mut session, measurement, keys).await;
                // Rows are not kept: a check needs their number only.
                visit.collected.batches.clear();
                let trouble = match visit.failure.take() {
                    Some(Failure::MissingRequirement(missing)) => {
                        Some((missing.why(), Some(missing.fix(&target, has.libraries().as_ref()))))
                    }
                    Some(Failure::Fault(fault)) => {
                        let (why, statement) = fault.why(&visit.query_context(&session, measurement));
                        let exact = match statement.as_deref() {
                            Some(grant) if grant.contains("pg_monitor") => None,
                            _ => denied::grant(&mut session, &fault, &target).await,
                        };
                        Some((why, exact.or(statement).map(|statement| target.script(&statement))))
                    }
                    None => None,
                };
                for report in visit.collected.reports.drain(..) {
                    let mut check = MeasurementCheck::from(report);
                    if let Some((why, fix)) = &trouble {
                        check.why = Some(why.clone());
                        check.fix.clone_from(fix);
                    }
                    has.judge(measurement, session.facts.version, &target, &mut check);
                    checks.push(check);
                }
                if let Err(fault) = read {
                    lost = Some(fault.plain_outcome());
                    break;
                }
            }
            if let Some(outcome) = lost {
                report_all(&mut collected, left, &source, &outcome, began);
            }
        }
        Err(fault) => report_all(&mut collected, measurements, &source, &fault.plain_outcome(), began),
    }
    pool.put_back(session);
    checks.extend(collected.reports.into_iter().map(MeasurementCheck::from));
    checks
}

//! Collects what each database has.
//!
//! All databases are visited one after the other, the one that waits longest
//! first. What the visit's time did not suffice for is pending: it is reported as
//! left out, with its age, and comes first next time.
//!
//! The schema is taken out of turn when the catalogs were written to, and its
//! changes become events.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use pganalytics_core::{
    MeasurementName, Source,
    catalog::{Measurement, Scope},
};
use tokio::time::Instant;

use super::{
    catalog_watch::{CatalogWatch, SCHEMA},
    discover,
    events::Events,
};
use crate::{
    collector::{CollectContext, Collected, Collector, Outcome},
    error::CollectError,
    own_sql::CatalogChange,
    postgres::{
        query::{
            context::{ServerContext, report_all},
            measure::{Clock, lock},
        },
        session::{
            fault::{ConnectFault, ConnectProblem},
            pool::SessionPool,
        },
    },
    scrape::empty_scrape,
};

/// The collector of measurements that are taken in each database.
pub(crate) struct DatabasesCollector {
    name: String,
    context: Arc<ServerContext>,
    pool: SessionPool,
    default_database: Arc<str>,
    measurements: Vec<Arc<Measurement>>,
    states: BTreeMap<Arc<str>, DatabaseState>,
    left_out: usize,
    events: Events,
}

/// A database that is watched.
#[derive(Default)]
struct DatabaseState {
    visited: Option<Instant>,
    pending: BTreeSet<MeasurementName>,
    /// Where it was when it was last visited.
    source: Option<Source>,
    /// What has been collected there.
    known: BTreeSet<MeasurementName>,
    catalogs: CatalogWatch,
    refused: Option<Refused>,
}

/// A database that the server lets nobody of us enter. Each try is a `FATAL` in its log, so they
/// become rare.
struct Refused {
    message: String,
    pause: Duration,
    until: Instant,
}

impl Refused {
    const FIRST: Duration = Duration::from_secs(300);
    const LONGEST: Duration = Duration::from_secs(900);

    fn again(before: Option<Self>, message: String) -> Self {
        let pause = before.map_or(Self::FIRST, |before| (before.pause * 2).min(Self::LONGEST));
        Self { message, pause, until: Instant::now() + pause }
    }
}

impl DatabasesCollector {
    pub(crate) fn new(
        context: Arc<ServerContext>,
        measurements: Vec<Arc<Measurement>>,
        events: Option<Arc<Measurement>>,
    ) -> Self {
        let schema = measurements.iter().find(|measurement| measurement.name().as_str() == SCHEMA);
        Self {
            events: Events::of_databases(events, schema.map(AsRef::as_ref)),
            name: format!("postgres {} databases", context.config.name),
            pool: SessionPool::for_databases(&context.config, &context.connector, &context.budget),
            default_database: context.config.database.as_str().into(),
            context,
            measurements,
            states: BTreeMap::new(),
            left_out: 0,
        }
    }

    /// The databases as they are now.
    async fn databases(&mut self, deadline: Instant) -> Result<Vec<Arc<str>>, ConnectProblem> {
        let config = &self.context.config;
        let (names, left_out) = if config.databases.is_empty() {
            // The list is the same everywhere, so no session is opened just for it.
            let known = self.pool.last_database().unwrap_or_else(|| Arc::clone(&self.default_database));
            let (mut session, _) = match self.context.live_session(&self.pool, &known, deadline).await {
                Err(problem) if problem.fault == ConnectFault::NoDatabase && known != self.default_database => {
                    self.context.live_session(&self.pool, &self.default_database, deadline).await?
                }
                entered => entered?,
            };
            let found = discover::databases(&mut session, config).await;
            self.pool.put_back(session);
            found.map_err(|fault| {
                let message = format!("{}: the list of databases could not be read: {fault}", config.address());
                ConnectProblem::new(ConnectFault::Other, message)
            })?
        } else {
            discover::named(config)
        };
        if left_out != self.left_out {
            self.left_out = left_out;
            tracing::warn!(server = %config.name, left_out, "more databases than max_databases; the last in the alphabet are not watched");
        }
        Ok(names)
    }

    /// Databases that are gone: an empty keyframe says so of all their rows.
    fn end_dropped_databases(&mut self, names: &[Arc<str>], clock: Clock, collected: &mut Collected) {
        let gone: Vec<_> = self.states.keys().filter(|name| !names.contains(name)).cloned().collect();
        for name in gone {
            lock(&self.context.journal).forget(&name);
            let Some(DatabaseState { source: Some(source), known, .. }) = self.states.remove(&name) else { continue };
            self.events.forget(&source);
            let known = self.measurements.iter().filter(|measurement| known.contains(measurement.name()));
            let ends = known.map(|measurement| empty_scrape(measurement, source.clone(), clock.now()));
            collected.batches.extend(ends);
            collected.gone.push(source);
        }
    }

    /// Visits one database. An error says that no other can be visited either.
    async fn visit(
        &mut self,
        database: &Arc<str>,
        is_first: bool,
        cx: &CollectContext,
        clock: Clock,
        collected: &mut Collected,
    ) -> Result<(), ConnectProblem> {
        let began = Instant::now();
        let context = Arc::clone(&self.context);
        let state = self.states.entry(Arc::clone(database)).or_default();
        let mut pending: Vec<_> =
            self.measurements.iter().filter(|m| state.pending.contains(m.name())).cloned().collect();
        let here = Source { database: Some(Arc::clone(database)), ..context.last_source() };
        let here = state.source.clone().unwrap_or(here);
        if let Some(refused) = state.refused.as_ref().filter(|refused| began < refused.until) {
            let outcome = Outcome::Failed { message: refused.message.clone() };
            report_all(collected, &pending, &here, &outcome, began);
            state.visited = Some(began);
            state.pending.clear();
            return Ok(());
        }

        let (mut session, in_recovery) = match context.live_session(&self.pool, database, cx.deadline).await {
            Ok(entered) => entered,
            // Others have had the time of this round; there was too little left to try.
            Err(problem)
                if problem.fault == ConnectFault::Timeout
                    && !is_first
                    && cx.deadline.duration_since(began) < context.config.connect_timeout =>
            {
                return Ok(());
            }
            Err(problem) => {
                let outcome = Outcome::Failed { message: problem.message.clone() };
                report_all(collected, &pending, &here, &outcome, began);
                state.visited = Some(began);
                state.pending.clear();
                return match problem.fault {
                    ConnectFault::NoDatabase | ConnectFault::NotAllowed | ConnectFault::Other => {
                        state.refused = Some(Refused::again(state.refused.take(), problem.message));
                        Ok(())
                    }
                    _ => Err(problem),
                };
            }
        };
        state.refused = None;
        // Not before it was due once: it may be switched off.
        let schema = self.measurements.iter().find(|measurement| measurement.name().as_str() == SCHEMA);
        if let Some(schema) = schema.filter(|schema| state.known.contains(schema.name()))
            && !state.pending.contains(schema.name())
            && matches!(state.catalogs.is_time(&mut session).await, Ok(true))
        {
            state.pending.insert(schema.name().clone());
            pending.push(Arc::clone(schema));
        }
        let entered = Some(Arc::clone(database));
        let visit = context.visit(&mut session, entered, in_recovery, &pending, collected, clock).await;
        let mut visit = match visit {
            Ok(visit) => visit,
            Err(fault) => {
                report_all(collected, &pending, &here, &fault.plain_outcome(), began);
                state.visited = Some(began);
                state.pending.clear();
                self.pool.put_back(session);
                return Ok(());
            }
        };
        let before = state.source.replace(visit.source.clone());
        visit.collected.gone.extend(before.filter(|before| *before != visit.source));
        let mut left = pending.iter();
        let mut rest = None;
        for measurement in left.by_ref() {
            if Instant::now() >= cx.deadline {
                break;
            }
            let read = if measurement.name().as_str() == SCHEMA {
                let begun = Instant::now();
                // What can't be counted is looked at by the interval alone; a lost session fails below.
                let _ = state.catalogs.begin(&mut session).await;
                let read = visit.measure(&mut session, measurement, None).await;
                state.catalogs.end(begun.elapsed());
                read
            } else {
                visit.measure(&mut session, measurement, None).await
            };
            state.pending.remove(measurement.name());
            state.known.insert(measurement.name().clone());
            if let Err(fault) = read {
                rest = Some(fault.plain_outcome());
                break;
            }
        }
        if let Some(outcome) = rest {
            report_all(collected, left, &here, &outcome, began);
            state.pending.clear();
        }
        if state.pending.is_empty() {
            state.visited = Some(began);
        }
        self.pool.put_back(session);
        Ok(())
    }

    /// What is pending and was not visited, with its age.
    fn report_pending(&self, problem: Option<&ConnectProblem>, collected: &mut Collected, began: Instant) {
        for (database, state) in self.states.iter().filter(|(_, state)| !state.pending.is_empty()) {
            let outcome = match problem {
                Some(problem) => Outcome::Failed { message: problem.message.clone() },
                None => Outcome::Skipped {
                    reason: match state.visited {
                        Some(visited) => format!(
                            "the time for this round was over; last visited {} s ago, first in line now",
                            visited.elapsed().as_secs()
                        ),
                        None => String::from("the time for this round was over; not visited yet, first in line now"),
                    },
                },
            };
            let here = Source { database: Some(Arc::clone(database)), ..self.context.last_source() };
            let pending = self.measurements.iter().filter(|measurement| state.pending.contains(measurement.name()));
            report_all(collected, pending, state.source.as_ref().unwrap_or(&here), &outcome, began);
        }
    }
}

#[async_trait]
impl Collector for DatabasesCollector {
    fn name(&self) -> &str {
        &self.name
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        self.measurements.clone()
    }

    fn already_logged(&self) -> Option<String> {
        lock(&self.context.journal).closed().map(str::to_owned)
    }

    fn adopt(&mut self, change: &CatalogChange) {
        self.measurements.retain(|measurement| !change.concerns(measurement.name()));
        let new = change.new.iter().filter(|measurement| measurement.scope() == Scope::Database);
        self.measurements.extend(new.cloned());
        for state in self.states.values_mut() {
            state.pending.retain(|name| !change.concerns(name));
            state.known.retain(|name| !change.concerns(name));
        }
        if self.measurements.is_empty() {
            self.states.clear();
            self.pool.clear();
        }
        let mut journal = lock(&self.context.journal);
        change.new.iter().for_each(|measurement| journal.begin_anew(measurement.name()));
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let (began, clock) = (Instant::now(), Clock::new(cx));
        if self.measurements.is_empty() {
            return Ok(Collected::default());
        }
        let names = Box::pin(self.databases(cx.deadline)).await;
        lock(&self.context.journal).databases(names.as_ref().err().map(|problem| problem.message.as_str()));
        let names = names.map_err(|problem| {
            let server = self.context.config.name.to_string();
            // A server without a name of its own is called by its address, and so begins the message.
            let message = problem.message.strip_prefix(&format!("{server}: ")).unwrap_or(&problem.message).to_owned();
            CollectError::Connect { server, message }
        })?;
        let (mut collected, mut ended) = (Collected::default(), Collected::default());
        self.end_dropped_databases(&names, clock, &mut ended);
        for name in &names {
            self.states.entry(Arc::clone(name)).or_default().pending.extend(cx.due.iter().cloned());
        }
        let mut order = names;
        order.sort_by_key(|name| self.states.get(name).and_then(|state| state.visited));
        let mut problem = None;
        for (at, database) in order.iter().enumerate() {
            if Instant::now() >= cx.deadline {
                break;
            }
            if let Err(found) = Box::pin(self.visit(database, at == 0, cx, clock, &mut collected)).await {
                problem = Some(found);
                break;
            }
        }
        self.report_pending(problem.as_ref(), &mut collected, began);
        if let Some(problem) = problem {
            lock(&self.context.journal).databases(Some(&problem.message));
            // Nobody can be asked; the next visit begins anew.
            self.states.values_mut().for_each(|state| state.pending.clear());
        }
        self.events.look(&mut collected, None);
        // A database that went is no change of its schema.
        collected.batches.append(&mut ended.batches);
        collected.gone.append(&mut ended.gone);
        Ok(collected)
    }
}

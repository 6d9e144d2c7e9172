//! Collects what a cluster has once, and says whether the server is up.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use pganalytics_core::{
    Batch, MeasurementName, Source, Value,
    catalog::{Measurement, Scope},
};
use tokio::time::Instant;

use super::{
    cluster_database,
    events::{Events, SeenEpoch},
    folder_reporter::FolderReporter,
    followed_keys::FollowedKeys,
};
use crate::{
    collector::{CollectContext, Collected, Collector, Outcome, Report},
    delivery::Loss,
    error::CollectError,
    own_sql::CatalogChange,
    postgres::{
        query::{
            context::{LastPlace, ServerContext, report_all},
            measure::{Clock, lock},
        },
        server::UP,
        session::{Session, fault::ConnectProblem, pool::SessionPool},
    },
    scrape::full_scrape,
};

/// How often all databases are searched for what that one lacks.
const SEARCH: Duration = Duration::from_secs(3600);

/// The collector of cluster-wide measurements and of `pg_up`.
pub(crate) struct ClusterCollector {
    name: String,
    context: Arc<ServerContext>,
    pool: SessionPool,
    /// Where cluster-wide views are read; extensions and encodings may call it elsewhere.
    database: Arc<str>,
    searched: Option<Instant>,
    up: Option<Arc<Measurement>>,
    /// Those that follow another come behind it.
    measurements: Vec<Arc<Measurement>>,
    followed: HashMap<MeasurementName, FollowedKeys>,
    events: Events,
    /// What the visit under way has read.
    epoch: Option<SeenEpoch>,
    folder_reporter: Option<FolderReporter>,
    place: LastPlace,
}

impl ClusterCollector {
    pub(crate) fn new(
        context: Arc<ServerContext>,
        measurements: Vec<Arc<Measurement>>,
        up: Option<Arc<Measurement>>,
        events: Events,
        folder_reporter: Option<FolderReporter>,
    ) -> Self {
        let mut collector = Self {
            name: format!("postgres {}", context.config.name),
            pool: SessionPool::for_cluster(&context.config, &context.connector, &context.budget),
            database: context.config.database.as_str().into(),
            searched: None,
            context,
            up,
            measurements,
            followed: HashMap::new(),
            events,
            epoch: None,
            folder_reporter,
            place: LastPlace::default(),
        };
        collector.put_in_order();
        collector
    }

    /// Those that follow another come behind it, and remember what they sent.
    fn put_in_order(&mut self) {
        self.measurements.sort_by_key(|measurement| measurement.follows().is_some());
        for measurement in &self.measurements {
            if let Some(follow) = measurement.follows() {
                self.followed.entry(measurement.name().clone()).or_insert_with(|| FollowedKeys::new(follow.resend));
            }
        }
    }

    async fn visit(&mut self, cx: &CollectContext, clock: Clock, began: Instant) -> Result<Collected, ConnectProblem> {
        let context = Arc::clone(&self.context);
        let due: Vec<_> = self.measurements.iter().filter(|m| cx.due.contains(m.name())).cloned().collect();
        let (mut session, in_recovery) = context.live_session(&self.pool, &self.database, cx.deadline).await?;
        let answered = began.elapsed();
        if let Some(folder_reporter) = &mut self.folder_reporter {
            folder_reporter.report(&mut session, &context).await;
        }

        let mut collected = Collected::default();
        self.up(&mut collected, cx, clock, &context.last_source(), Ok(answered));
        let (mut session, in_recovery) = self.move_to_best_database(session, in_recovery, &due, cx).await?;
        let visit = context.visit(&mut session, None, in_recovery, &due, &mut collected, clock).await;
        let mut visit = match visit {
            Ok(visit) => visit,
            Err(fault) => {
                let outcome = fault.plain_outcome();
                report_all(&mut collected, &due, &context.last_source(), &outcome, began);
                self.pool.put_back(session);
                return Ok(collected);
            }
        };
        self.epoch = Some(SeenEpoch { source: visit.source.clone(), at: clock.now(), epoch: visit.epoch });
        let mut left = due.iter();
        let mut lost = None;
        while let Some(measurement) = left.next() {
            if Instant::now() >= cx.deadline {
                let reason = String::from("the visit's time was over; it is tried again");
                lost = Some((measurement, Outcome::Skipped { reason }));
                break;
            }
            let keys = self.followed.get(measurement.name()).map(FollowedKeys::due);
            if keys.as_ref().is_some_and(Vec::is_empty) {
                visit.nothing_new(&session, measurement);
                continue;
            }
            let read = visit.measure(&mut session, measurement, keys.as_deref()).await;
            let batch = visit.collected.batches.last().filter(|batch| batch.schema.measurement() == measurement.name());
            if let (Some(keys), Some(followed)) = (&keys, self.followed.get_mut(measurement.name())) {
                if matches!(visit.collected.reports.last(), Some(Report { outcome: Outcome::Collected { .. }, .. })) {
                    followed.note_asked(keys);
                }
            } else if let Some(batch) = batch {
                note_keys(&mut self.followed, &self.measurements, batch);
            }
            if let Err(fault) = read {
                if let Some(next) = left.next() {
                    lost = Some((next, fault.plain_outcome()));
                }
                break;
            }
        }
        if let Some((first, outcome)) = lost {
            let rest = std::iter::once(first).chain(left);
            report_all(&mut collected, rest, &context.last_source(), &outcome, Instant::now());
        }
        self.pool.put_back(session);
        Ok(collected)
    }

    /// Moves to the database that has the extensions which are needed, or the
    /// encoding, if the one it reads has not.
    async fn move_to_best_database(
        &mut self,
        mut session: Session,
        in_recovery: bool,
        due: &[Arc<Measurement>],
        cx: &CollectContext,
    ) -> Result<(Session, bool), ConnectProblem> {
        let wanted = cluster_database::wanted(due, &session);
        let Ok(fit) = cluster_database::Fit::of(&mut session, &wanted).await else {
            // Whoever comes next meets the same trouble and reports it.
            return Ok((session, in_recovery));
        };
        if fit.is_best(&wanted) || self.searched.is_some_and(|searched| searched.elapsed() < SEARCH) {
            return Ok((session, in_recovery));
        }
        self.searched = Some(Instant::now());
        let context = Arc::clone(&self.context);
        let best = cluster_database::search(&context, &self.pool, session, &wanted, fit, cx.deadline).await;
        if best != self.database {
            tracing::info!(server = %context.config.name, database = %best, "cluster-wide views are read there: it has the extensions, or the encoding for all texts of statements");
            self.database = best;
        }
        context.live_session(&self.pool, &self.database, cx.deadline).await
    }

    /// Says whether the server is up: how long the answer took, or why not.
    fn up(
        &self,
        collected: &mut Collected,
        cx: &CollectContext,
        clock: Clock,
        source: &Source,
        answer: Result<Duration, &str>,
    ) {
        lock(&self.context.journal).server(answer.err());
        let Some(up) = self.up.as_ref().filter(|up| cx.due.contains(up.name())) else { return };
        let row = [answer];
        let batch = full_scrape(up, source.clone(), clock.now(), &row, |answer, column| match (column, answer) {
            ("up", answer) => Some(Value::Bool(answer.is_ok())),
            ("connect_ms", Ok(time)) => Some(Value::Float(time.as_secs_f64() * 1000.0)),
            ("error", Err(message)) => Some(Value::Text(message)),
            _ => None,
        });
        collected.add(up, source, answer.unwrap_or_default(), batch.map_err(Outcome::failed));
    }
}

/// Takes note of the keys of a batch that another measurement follows.
fn note_keys(followed: &mut HashMap<MeasurementName, FollowedKeys>, measurements: &[Arc<Measurement>], batch: &Batch) {
    for measurement in measurements {
        if let Some(follow) = measurement.follows()
            && follow.measurement == *batch.schema.measurement()
            && let Some(followed) = followed.get_mut(measurement.name())
        {
            followed.note_batch(batch, &follow.key, Instant::now());
        }
    }
}

#[async_trait]
impl Collector for ClusterCollector {
    fn name(&self) -> &str {
        &self.name
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        self.up.iter().chain(&self.measurements).cloned().collect()
    }

    fn already_logged(&self) -> Option<String> {
        lock(&self.context.journal).down().map(str::to_owned)
    }

    fn adopt(&mut self, change: &CatalogChange) {
        self.measurements.retain(|measurement| !change.concerns(measurement.name()));
        self.followed.retain(|name, _| !change.concerns(name));
        if self.up.as_ref().is_some_and(|up| change.concerns(up.name())) {
            self.up = None;
        }
        for measurement in &change.new {
            match measurement.scope() {
                Scope::Cluster => self.measurements.push(Arc::clone(measurement)),
                _ if measurement.name().as_str() == UP => self.up = Some(Arc::clone(measurement)),
                _ => {}
            }
        }
        self.put_in_order();
        // A new one may need an extension that this database lacks.
        self.searched = None;
        let mut journal = lock(&self.context.journal);
        change.new.iter().for_each(|measurement| journal.begin_anew(measurement.name()));
    }

    fn lost(&mut self, loss: &Loss) {
        for (measurement, followed) in &mut self.followed {
            if loss.cut.is_empty() || loss.cut.iter().any(|cut| cut.measurements.contains(measurement)) {
                followed.note_loss();
            }
        }
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let (began, clock) = (Instant::now(), Clock::new(cx));
        let problem = match Box::pin(self.visit(cx, clock, began)).await {
            Ok(mut collected) => {
                let epoch = self.epoch.take();
                self.events.look(&mut collected, epoch);
                self.place.note(&mut collected);
                return Ok(collected);
            }
            Err(problem) => problem,
        };
        let mut collected = Collected::default();
        let source = self.context.last_source();
        self.up(&mut collected, cx, clock, &source, Err(&problem.message));
        let due = self.measurements.iter().filter(|measurement| cx.due.contains(measurement.name()));
        let outcome = Outcome::Failed { message: problem.message.clone() };
        report_all(&mut collected, due, &source, &outcome, began);
        self.place.note(&mut collected);
        Ok(collected)
    }
}

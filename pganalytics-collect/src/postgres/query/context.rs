//! Opening a visit, and what the two collectors of a server share.

use std::sync::{Arc, Mutex};

use pganalytics_core::{InstanceId, Source, catalog::Measurement};
use tokio::time::Instant;

use super::{
    epochs,
    fault::QueryFault,
    journal::Journal,
    measure::{Clock, Visit, lock, needed},
};
use crate::{
    collector::{Collected, Outcome},
    postgres::{
        session::{
            Session,
            connect::Connector,
            fault::{ConnectFault, ConnectProblem},
            pool::{Budget, SessionPool},
            unidentified,
        },
        settings::PostgresConfig,
    },
};

/// What the collectors of one server share.
pub(crate) struct ServerContext {
    pub(crate) config: Arc<PostgresConfig>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) budget: Budget,
    pub(crate) journal: Mutex<Journal>,
    /// Who the server was when it was last reached.
    source: Mutex<Source>,
}

impl ServerContext {
    /// `sampling`: whether there is something to sample.
    pub(crate) fn new(config: PostgresConfig, sampling: bool) -> Self {
        let server_id = unidentified(&config);
        let source = Source {
            server_id,
            instance_id: InstanceId::of_address(server_id, &config.address()),
            server: Arc::clone(&config.name),
            database: None,
        };
        let config = Arc::new(config);
        Self {
            connector: Arc::new(Connector::new(Arc::clone(&config))),
            budget: Budget::new(config.max_connections, sampling),
            journal: Mutex::new(Journal::new(Arc::clone(&config.name))),
            source: Mutex::new(source),
            config,
        }
    }

    /// Who the server was when it was last reached; before that, an id of its
    /// name and address in the settings stands in.
    pub(crate) fn last_source(&self) -> Source {
        lock(&self.source).clone()
    }

    /// A session that has just answered, and whether the server is in recovery.
    /// A session that was kept and has died meanwhile is replaced at once.
    pub(crate) async fn live_session(
        &self,
        pool: &SessionPool,
        database: &Arc<str>,
        deadline: Instant,
    ) -> Result<(Session, bool), ConnectProblem> {
        loop {
            let (mut session, new) = pool.open(database, deadline).await?;
            let answer = session.first("select pg_catalog.pg_is_in_recovery()", |row| row.try_get(0)).await;
            let fault = match answer {
                Ok(Some(Ok(in_recovery))) => {
                    *lock(&self.source) = session.source(&self.config, None);
                    return Ok((session, in_recovery));
                }
                Ok(_) => QueryFault::Misfit(String::from("it gave no answer to a trivial query")),
                Err(fault) => fault,
            };
            if new {
                let message = match fault {
                    QueryFault::Lost(why) => format!("{}: the connection was lost: {why}", self.config.address()),
                    QueryFault::Refused { message, .. } | QueryFault::Misfit(message) => {
                        format!("{}: a trivial query failed: {message}", self.config.address())
                    }
                };
                return Err(ConnectProblem::new(ConnectFault::Other, message));
            }
            drop(session);
        }
    }

    /// Prepares a visit: finds extensions, reads the cluster's epoch.
    pub(crate) async fn visit<'a>(
        &'a self,
        session: &mut Session,
        database: Option<Arc<str>>,
        in_recovery: bool,
        measurements: impl IntoIterator<Item = &Arc<Measurement>>,
        collected: &'a mut Collected,
        clock: Clock,
    ) -> Result<Visit<'a>, QueryFault> {
        let extensions = session.extensions(&needed(measurements, session.facts.version)).await?;
        let epoch = epochs::cluster(session).await?;
        Ok(Visit {
            config: &self.config,
            journal: &self.journal,
            source: session.source(&self.config, database),
            in_recovery,
            clock,
            extensions,
            epoch,
            collected,
            failure: None,
        })
    }
}

/// The place that the last visit was of.
#[derive(Debug, Default)]
pub(crate) struct LastPlace(Option<Source>);

impl LastPlace {
    /// Says of the place before that it is gone, where the reports of this visit are of
    /// another: the server was reached for the first time, or another host has its part.
    pub(crate) fn note(&mut self, collected: &mut Collected) {
        let Some(now) = collected.reports.iter().find_map(|report| report.source.clone()) else { return };
        let before = self.0.replace(now.clone());
        collected.gone.extend(before.filter(|before| *before != now));
    }
}

/// One outcome for all of these measurements.
pub(crate) fn report_all<'m>(
    collected: &mut Collected,
    measurements: impl IntoIterator<Item = &'m Arc<Measurement>>,
    source: &Source,
    outcome: &Outcome,
    began: Instant,
) {
    for measurement in measurements {
        collected.report(measurement, source, began.elapsed(), outcome.clone());
    }
}

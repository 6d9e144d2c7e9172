//! Sessions within a budget.
//!
//! Invariant: the server never sees more of our sessions than the budget
//! allows. A session holds a permit from before it is opened until the server
//! has closed its side. The cluster's visits have one permit of their own, so
//! that a slow sweep over databases never keeps them waiting; so has sampling,
//! which else would wait for both. With a budget of two there is no sampling, and
//! with one the others take turns and keep no session.

use std::sync::Arc;

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{
    config::PostgresConfig,
    connect::Connector,
    fault::{ConnectFault, ConnectProblem},
    session::Session,
};

/// The permits of one server.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    cluster: Arc<Semaphore>,
    databases: Arc<Semaphore>,
    /// `None`: there is none to spare, or nobody samples.
    sampling: Option<Arc<Semaphore>>,
    keep: bool,
}

/// Sessions that a server must allow for sampling to have one.
pub(super) const LEAST_FOR_SAMPLING: usize = 3;

impl Budget {
    /// A budget of this many sessions, at least one.
    pub(super) fn new(sessions: usize, sampling: bool) -> Self {
        if sessions <= 1 {
            let shared = Arc::new(Semaphore::new(1));
            return Self { cluster: Arc::clone(&shared), databases: shared, sampling: None, keep: false };
        }
        let sampling = (sampling && sessions >= LEAST_FOR_SAMPLING).then(|| Arc::new(Semaphore::new(1)));
        let left = sessions - 1 - usize::from(sampling.is_some());
        Self { cluster: Arc::new(Semaphore::new(1)), databases: Arc::new(Semaphore::new(left)), sampling, keep: true }
    }
}

/// Opens sessions and keeps them between visits.
pub(super) struct Keeper {
    config: Arc<PostgresConfig>,
    connector: Arc<Connector>,
    permits: Arc<Semaphore>,
    keep: bool,
    /// The most recently used is last.
    idle: Vec<Session>,
}

impl Keeper {
    /// For what concerns the cluster: one session.
    pub(super) fn for_cluster(config: &Arc<PostgresConfig>, connector: &Arc<Connector>, budget: &Budget) -> Self {
        Self::new(config, connector, &budget.cluster, budget.keep)
    }

    /// For the databases: all sessions that are left.
    pub(super) fn for_databases(config: &Arc<PostgresConfig>, connector: &Arc<Connector>, budget: &Budget) -> Self {
        Self::new(config, connector, &budget.databases, budget.keep)
    }

    /// For sampling: one session, or none where the budget has none for it.
    pub(super) fn for_sampling(
        config: &Arc<PostgresConfig>,
        connector: &Arc<Connector>,
        budget: &Budget,
    ) -> Option<Self> {
        Some(Self::new(config, connector, budget.sampling.as_ref()?, true))
    }

    fn new(config: &Arc<PostgresConfig>, connector: &Arc<Connector>, permits: &Arc<Semaphore>, keep: bool) -> Self {
        Self {
            config: Arc::clone(config),
            connector: Arc::clone(connector),
            permits: Arc::clone(permits),
            keep,
            idle: Vec::new(),
        }
    }

    /// A session in a database: the one kept, or a new one. The second value
    /// says whether it is new.
    pub(super) async fn open(
        &mut self,
        database: &Arc<str>,
        deadline: Instant,
    ) -> Result<(Session, bool), ConnectProblem> {
        let (born_after, now) = (self.config.session_lifetime, Instant::now());
        self.idle.retain(|session| !session.is_broken() && now.duration_since(session.born) < born_after);
        if let Some(at) = self.idle.iter().position(|session| session.database == *database) {
            return Ok((self.idle.remove(at), false));
        }
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                // The one used last goes: in a round over more databases than
                // sessions the others then still meet their own.
                drop(self.idle.pop());
                let wait = timeout_at(deadline, Arc::clone(&self.permits).acquire_owned()).await;
                wait.ok().and_then(Result::ok).ok_or_else(|| self.none_free())?
            }
        };
        let connecting = async {
            let link = self.connector.connect(database, permit).await?;
            Session::begin_on(link, Arc::clone(database), &self.config).await
        };
        match timeout_at(deadline, Box::pin(connecting)).await {
            Ok(session) => session.map(|session| (session, true)),
            Err(_) => Err(ConnectProblem::new(
                ConnectFault::Timeout,
                format!("{}: no session before the visit's time was over", self.config.address()),
            )),
        }
    }

    /// The database of the session that was used last, of those that are kept.
    pub(super) fn kept(&self) -> Option<Arc<str>> {
        self.idle.last().map(|session| Arc::clone(&session.database))
    }

    /// Keeps a session for the next visit, if it is still good.
    pub(super) fn put_back(&mut self, session: Session) {
        if self.keep && !session.is_broken() {
            self.idle.push(session);
        }
    }

    /// Closes all sessions that are kept.
    pub(super) fn clear(&mut self) {
        self.idle.clear();
    }

    fn none_free(&self) -> ConnectProblem {
        let message = format!(
            "{}: all {} sessions of max_connections were busy; raise it in the settings if this stays",
            self.config.address(),
            self.config.max_connections
        );
        ConnectProblem::new(ConnectFault::Busy, message)
    }
}

//! Sessions within a budget.
//!
//! Invariant: the server never sees more of our sessions than the budget
//! allows. A session holds a permit from before it is opened until the server
//! has closed its side; one that hangs there, in its login or in a statement,
//! for as long as the server's limits let it live. The cluster's visits have a pool of their own, so that a
//! slow sweep over databases never keeps them waiting; so has sampling, which
//! else would wait for both. The databases share theirs with the log. With a
//! budget of two there is no sampling, and with one all take turns.
//!
//! A session that is kept between visits belongs to its pool, not to who used it
//! last: it never stands in the way of another.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{
    Session,
    connect::Connector,
    fault::{ConnectFault, ConnectProblem},
};
use crate::postgres::{query::measure::lock, settings::PostgresConfig};

/// The sessions of one server.
pub(crate) struct Budget {
    cluster: Arc<PoolShare>,
    databases: Arc<PoolShare>,
    /// `None`: there is none to spare, or nobody samples.
    sampling: Option<Arc<PoolShare>>,
}

/// Sessions that a server must allow for sampling to have one.
pub(crate) const LEAST_FOR_SAMPLING: usize = 3;

impl Budget {
    /// A budget of this many sessions, at least one.
    pub(crate) fn new(sessions: usize, sampling: bool) -> Self {
        if sessions <= 1 {
            let context = PoolShare::of(1);
            return Self { cluster: Arc::clone(&context), databases: context, sampling: None };
        }
        let sampling = (sampling && sessions >= LEAST_FOR_SAMPLING).then(|| PoolShare::of(1));
        let left = sessions - 1 - usize::from(sampling.is_some());
        Self { cluster: PoolShare::of(1), databases: PoolShare::of(left), sampling }
    }
}

/// Some of the budget, and the sessions that are kept of it.
struct PoolShare {
    permits: Arc<Semaphore>,
    /// The most recently used is last.
    idle: Mutex<Vec<Session>>,
    /// A session became idle.
    returned: Notify,
}

impl PoolShare {
    fn of(sessions: usize) -> Arc<Self> {
        Arc::new(Self { permits: Arc::new(Semaphore::new(sessions)), idle: Mutex::default(), returned: Notify::new() })
    }

    /// A session in this database, or the right to open one.
    async fn acquire(&self, database: &str, config: &PostgresConfig) -> Acquired {
        // In line from the first wait on: who comes back at once can't overtake.
        let mut permit = pin!(Arc::clone(&self.permits).acquire_owned());
        loop {
            let mut returned = pin!(self.returned.notified());
            returned.as_mut().enable();
            {
                let (mut idle, now) = (lock(&self.idle), Instant::now());
                idle.retain(|session| {
                    !session.is_broken() && now.duration_since(session.born) < config.session_lifetime
                });
                if let Some(at) = idle.iter().position(|session| *session.database == *database) {
                    return Acquired::Session(Box::new(idle.remove(at)));
                }
                if self.permits.available_permits() == 0 {
                    // The one used last goes: in a round over more databases than
                    // sessions the others then still meet their own.
                    drop(idle.pop());
                }
            }
            tokio::select! {
                permit = &mut permit => match permit {
                    Ok(permit) => return Acquired::Permit(permit),
                    // The semaphore is never closed.
                    Err(_) => std::future::pending().await,
                },
                () = returned => {}
            }
        }
    }
}

enum Acquired {
    Session(Box<Session>),
    Permit(OwnedSemaphorePermit),
}

/// Opens sessions and keeps them between visits.
pub(crate) struct SessionPool {
    config: Arc<PostgresConfig>,
    connector: Arc<Connector>,
    share: Arc<PoolShare>,
}

impl SessionPool {
    /// For what concerns the cluster: one session.
    pub(crate) fn for_cluster(config: &Arc<PostgresConfig>, connector: &Arc<Connector>, budget: &Budget) -> Self {
        Self::new(config, connector, &budget.cluster)
    }

    /// For the databases and the log: all sessions that are left.
    pub(crate) fn for_databases(config: &Arc<PostgresConfig>, connector: &Arc<Connector>, budget: &Budget) -> Self {
        Self::new(config, connector, &budget.databases)
    }

    /// For sampling: one session, or none where the budget has none for it.
    pub(crate) fn for_sampling(
        config: &Arc<PostgresConfig>,
        connector: &Arc<Connector>,
        budget: &Budget,
    ) -> Option<Self> {
        Some(Self::new(config, connector, budget.sampling.as_ref()?))
    }

    fn new(config: &Arc<PostgresConfig>, connector: &Arc<Connector>, share: &Arc<PoolShare>) -> Self {
        Self { config: Arc::clone(config), connector: Arc::clone(connector), share: Arc::clone(share) }
    }

    /// A session in a database: one that was kept, or a new one. The second value
    /// says whether it is new.
    pub(crate) async fn open(&self, database: &Arc<str>, deadline: Instant) -> Result<(Session, bool), ConnectProblem> {
        let permit = match timeout_at(deadline, self.share.acquire(database, &self.config)).await {
            Ok(Acquired::Session(session)) => return Ok((*session, false)),
            Ok(Acquired::Permit(permit)) => permit,
            Err(_) => return Err(self.none_free()),
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
    pub(crate) fn last_database(&self) -> Option<Arc<str>> {
        lock(&self.share.idle).last().map(|session| Arc::clone(&session.database))
    }

    /// Keeps a session for the next visit, whoever makes it, if it is still good.
    pub(crate) fn put_back(&self, session: Session) {
        if !session.is_broken() {
            lock(&self.share.idle).push(session);
            self.share.returned.notify_waiters();
        }
    }

    /// Closes all sessions that are kept.
    pub(crate) fn clear(&self) {
        lock(&self.share.idle).clear();
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

//! Where queries run, and whose turn it is.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{error::SqlError, query::SqlQuery, stream::RecordStream};
use crate::{error::StoreError, metric_store::MetricStore};

/// Runs queries somewhere: in this process ([`InProcess`]), or where they can't
/// harm it ([`WorkerPool`](super::worker::WorkerPool), on Linux).
#[async_trait]
pub trait SqlRunner: Send + Sync {
    /// Runs a query. Returns when the first rows can come. Dropping the future or
    /// the stream ends the query.
    ///
    /// # Errors
    /// [`StoreError::Sql`] for what is wrong with the query or its limits, and
    /// the store's own errors.
    async fn run(&self, query: SqlQuery) -> Result<RecordStream, StoreError>;

    /// Whether queries can be run.
    ///
    /// # Errors
    /// Says why not.
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Where queries run, for people, as `in this process`.
    fn place(&self) -> String;
}

/// Runs queries with the store's own engine, in this process. A query that
/// breaks a limit which only a process can have, as one that makes the planner
/// take all memory, takes the process with it: right for programs that write
/// their SQL themselves, not for servers of strangers.
#[derive(Clone)]
pub struct InProcess {
    store: Arc<dyn MetricStore>,
}

impl InProcess {
    /// Runs what this store answers.
    #[must_use]
    pub fn new(store: Arc<dyn MetricStore>) -> Self {
        Self { store }
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}

#[async_trait]
impl SqlRunner for InProcess {
    async fn run(&self, query: SqlQuery) -> Result<RecordStream, StoreError> {
        self.store.query(query).await
    }

    fn place(&self) -> String {
        "in this process".to_owned()
    }
}

/// Lets each [named principal](super::SqlPrincipal::named) have a few queries at
/// once, whatever others do; further ones wait for their turn until their own
/// deadline.
pub struct PerPrincipal {
    runner: Arc<dyn SqlRunner>,
    at_once: usize,
    waiting: usize,
    turns: Arc<Mutex<HashMap<Arc<str>, Turns>>>,
}

/// The turns of one principal.
struct Turns {
    permits: Arc<Semaphore>,
    /// Queries that run or wait.
    queries: usize,
}

impl fmt::Debug for PerPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerPrincipal").field("at_once", &self.at_once).finish_non_exhaustive()
    }
}

/// A query among those of its principal; none any more when this is dropped.
struct Entry {
    name: Arc<str>,
    turns: Arc<Mutex<HashMap<Arc<str>, Turns>>>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = turns.get_mut(&self.name) {
            mine.queries -= 1;
            if mine.queries == 0 {
                turns.remove(&self.name);
            }
        }
    }
}

impl PerPrincipal {
    /// Lets each principal have `at_once` queries at once, and `waiting` more that
    /// wait.
    #[must_use]
    pub fn new(runner: Arc<dyn SqlRunner>, at_once: usize, waiting: usize) -> Self {
        Self { runner, at_once: at_once.max(1), waiting, turns: Arc::default() }
    }

    fn enter(&self, name: &Arc<str>) -> Result<(Arc<Semaphore>, Entry), SqlError> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = turns
            .entry(Arc::clone(name))
            .or_insert_with(|| Turns { permits: Arc::new(Semaphore::new(self.at_once)), queries: 0 });
        if mine.queries >= self.at_once.saturating_add(self.waiting) {
            return Err(self.too_many());
        }
        mine.queries += 1;
        Ok((Arc::clone(&mine.permits), Entry { name: Arc::clone(name), turns: Arc::clone(&self.turns) }))
    }

    fn too_many(&self) -> SqlError {
        SqlError::TooManyOfYours { running: self.at_once, waiting: self.waiting }
    }

    async fn turn(&self, name: &Arc<str>, deadline: Instant) -> Result<(OwnedSemaphorePermit, Entry), SqlError> {
        let (permits, entry) = self.enter(name)?;
        match timeout_at(deadline, permits.acquire_owned()).await {
            Ok(Ok(permit)) => Ok((permit, entry)),
            _ => Err(self.too_many()),
        }
    }
}

#[async_trait]
impl SqlRunner for PerPrincipal {
    async fn run(&self, query: SqlQuery) -> Result<RecordStream, StoreError> {
        let Some(name) = query.principal().name.clone() else { return self.runner.run(query).await };
        let deadline = Instant::now() + query.timeout();
        let turn = self.turn(&name, deadline).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        Ok(self.runner.run(query.with_timeout(left)).await?.holding(turn))
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.runner.check().await
    }

    fn place(&self) -> String {
        self.runner.place()
    }
}

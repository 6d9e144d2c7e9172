//! The workers, and whose turn it is.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{WorkerOptions, lease::Lease, process::Worker};
use crate::{
    error::StoreError,
    sql::{RecordStream, SqlError, SqlQuery, SqlRunner},
};

/// Runs queries in processes that are started beforehand. Cheap to clone; clones
/// share the processes, which end when the last clone and the last answer are
/// dropped.
#[derive(Clone)]
pub struct WorkerPool {
    pool: Arc<Pool>,
}

/// What leases give their workers back to.
pub(super) struct Pool {
    options: WorkerOptions,
    permits: Arc<Semaphore>,
    /// The last one has the warmest caches, and is taken first.
    idle: Mutex<Vec<Worker>>,
    /// Why the last start failed, if it did.
    trouble: Mutex<Option<String>>,
    runtime: Handle,
}

impl fmt::Debug for WorkerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool").field("options", &self.pool.options).finish_non_exhaustive()
    }
}

impl WorkerPool {
    /// Starts the workers; returns when the first of them can take queries, the
    /// others follow at once.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it can't be started, as when the program
    /// can't open the store.
    pub async fn start(options: WorkerOptions) -> Result<Self, StoreError> {
        let count = options.workers.clamp(1, 1_024);
        let options = WorkerOptions { workers: count, ..options };
        let first = Worker::start(&options).await?;
        let permits = Arc::new(Semaphore::new(count));
        let pool = Arc::new(Pool {
            options,
            permits: Arc::clone(&permits),
            idle: Mutex::new(vec![first]),
            trouble: Mutex::default(),
            runtime: Handle::current(),
        });
        for _ in 1..count {
            if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
                pool.replace(None, permit);
            }
        }
        Ok(Self { pool })
    }

    /// Queries that could be taken at once right now.
    #[must_use]
    pub fn free(&self) -> usize {
        self.pool.permits.available_permits()
    }
}

impl Pool {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker that is idle, or a new one.
    async fn worker(&self) -> Result<Worker, StoreError> {
        loop {
            let Some(mut idle) = self.lock().pop() else { return self.fresh().await };
            if idle.lives() {
                return Ok(idle);
            }
            tracing::warn!("an idle SQL worker has gone away; another takes its place");
        }
    }

    async fn fresh(&self) -> Result<Worker, StoreError> {
        let started = Worker::start(&self.options).await;
        let trouble = started.as_ref().err().map(ToString::to_string);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        started
    }

    /// Takes a worker back that has ended its query.
    pub(super) fn give_back(self: &Arc<Self>, worker: Worker, permit: OwnedSemaphorePermit) {
        if worker.is_swollen() {
            return self.replace(Some(worker), permit);
        }
        self.lock().push(worker);
        drop(permit);
    }

    /// Ends a worker and starts another in its place; the place is free after that.
    pub(super) fn replace(self: &Arc<Self>, worker: Option<Worker>, permit: OwnedSemaphorePermit) {
        let pool = Arc::clone(self);
        self.runtime.spawn(async move {
            let _permit = permit;
            if let Some(worker) = worker {
                worker.end().await;
            }
            match pool.fresh().await {
                Ok(fresh) => pool.lock().push(fresh),
                Err(error) => tracing::error!(%error, "the place of a SQL worker stays empty for now"),
            }
        });
    }
}

#[async_trait]
impl SqlRunner for WorkerPool {
    async fn run(&self, query: SqlQuery) -> Result<RecordStream, StoreError> {
        let deadline = Instant::now() + query.timeout();
        let timeout = || SqlError::Timeout { seconds: query.seconds() };
        let turn = timeout_at(deadline, Arc::clone(&self.pool.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = turn else {
            return Err(SqlError::Busy { running: self.pool.options.workers }.into());
        };
        let worker = timeout_at(deadline, self.pool.worker()).await.map_err(|_| timeout())??;
        Lease::new(Arc::clone(&self.pool), worker, permit, deadline, query.seconds()).run(&query).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        match &*self.pool.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(why) => Err(StoreError::Unavailable(why.clone())),
            None => Ok(()),
        }
    }

    fn place(&self) -> String {
        let WorkerOptions { workers, memory_bytes, .. } = &self.pool.options;
        format!("in {workers} worker processes, each with {} MiB", memory_bytes >> 20)
    }
}

impl Pool {
    /// Processor time that a query may use.
    pub(super) fn cpu(&self, timeout: Duration) -> Duration {
        let threads = u32::try_from(self.options.threads).unwrap_or(u32::MAX);
        self.options.cpu.unwrap_or_else(|| timeout.saturating_mul(threads))
    }
}

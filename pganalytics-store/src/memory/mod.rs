//! A store in memory, for tests, examples and a first look. It keeps the same
//! promises as the others, but for one: nothing outlives the process.

mod append;
mod documents;
mod meta;
mod metrics;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::{meta::Meta, metrics::Metrics};
use crate::{
    error::StoreError,
    sql::{Engine, EngineOptions},
};

/// A store in memory. Clones are handles of the same store.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    metrics: Mutex<Metrics>,
    meta: Mutex<Meta>,
    engine: Engine,
    /// One job at a time.
    jobs: Arc<tokio::sync::Mutex<()>>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store.
    ///
    /// # Errors
    /// When the system gives no threads for queries.
    pub fn new(engine: EngineOptions) -> Result<Self, StoreError> {
        Ok(Self {
            inner: Arc::new(Inner {
                metrics: Mutex::default(),
                meta: Mutex::default(),
                engine: Engine::new(engine)?,
                jobs: Arc::default(),
            }),
        })
    }

    fn metrics(&self) -> MutexGuard<'_, Metrics> {
        self.inner.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meta(&self) -> MutexGuard<'_, Meta> {
        self.inner.meta.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

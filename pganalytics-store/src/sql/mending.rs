//! Queries go on without chunks that can't be read.
//!
//! A query that meets one before a megabyte of its rows is there is run again, after the chunk
//! was set aside. Then the answer says so: what it asks for is not all there. One that meets
//! it later breaks off; the next one does not meet it any more.

use std::{fmt, future::Future, sync::Arc};

use async_trait::async_trait;

use super::{query::SqlQuery, runner::SqlRunner, stream::RecordStream};
use crate::{error::StoreError, metric_store::MetricStore, quarantine::Quarantined};

/// Chunks that one query gets out of its way.
const MOST: usize = 16;
/// Bytes of rows that are waited for before the first one goes out.
const WAIT_BYTES: usize = 1 << 20;
/// Gaps that an answer tells one by one.
const TOLD: usize = 5;

/// Runs a query, again where a chunk was set aside that it met.
pub(crate) async fn run<F: Future<Output = Result<RecordStream, StoreError>>>(
    store: &Arc<dyn MetricStore>,
    query: &SqlQuery,
    once: impl Fn() -> F,
) -> Result<RecordStream, StoreError> {
    let mut tries = 0;
    let rows = loop {
        let begun = match once().await {
            Ok(rows) => rows.begun(WAIT_BYTES).await,
            Err(error) => Err(error),
        };
        match begun {
            Err(StoreError::Damaged { chunk, .. }) if tries < MOST && store.set_aside(chunk).await? => tries += 1,
            other => break other?,
        }
    };
    let rows = rows.with_mender(Arc::clone(store));
    let aside = store.quarantined(query.principal().tenant).await?;
    Ok(if aside.is_empty() { rows } else { rows.with_warnings(warnings(query, &aside)) })
}

/// What an answer says of what was set aside, of the measurements that its query names.
fn warnings(query: &SqlQuery, aside: &[Quarantined]) -> Vec<String> {
    let text = query.text().to_ascii_lowercase();
    let named: Vec<&Quarantined> = aside.iter().filter(|one| text.contains(one.measurement.as_str())).collect();
    let one = |one: &&Quarantined| {
        let Quarantined { measurement, source, from, to, reason, .. } = one;
        let database = source.database.as_deref().map(|name| format!(", database {name}")).unwrap_or_default();
        format!(
            "{measurement} of {}{database} has a gap from {from} to {to}: what is stored is damaged ({reason}); \
             see pganalytics_gaps",
            source.server
        )
    };
    let mut all: Vec<String> = named.iter().take(TOLD).map(one).collect();
    if named.len() > TOLD {
        all.push(format!("{} more gaps of damaged chunks; see pganalytics_gaps", named.len() - TOLD));
    }
    all
}

/// Runs queries somewhere that can't set chunks aside itself, as in processes that only read.
pub struct Mending {
    runner: Arc<dyn SqlRunner>,
    store: Arc<dyn MetricStore>,
}

impl Mending {
    /// Runs what this runner runs; chunks are set aside in this store.
    #[must_use]
    pub fn new(runner: Arc<dyn SqlRunner>, store: Arc<dyn MetricStore>) -> Self {
        Self { runner, store }
    }
}

impl fmt::Debug for Mending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mending").finish_non_exhaustive()
    }
}

#[async_trait]
impl SqlRunner for Mending {
    async fn run(&self, query: SqlQuery) -> Result<RecordStream, StoreError> {
        run(&self.store, &query, || self.runner.run(query.clone())).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.runner.check().await
    }

    fn place(&self) -> String {
        self.runner.place()
    }
}

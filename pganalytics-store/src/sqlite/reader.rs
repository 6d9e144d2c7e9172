//! The store as a process sees it that only reads.

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use futures::stream::BoxStream;
use pganalytics_core::TenantId;
use rusqlite::Connection;

use super::{
    accounts,
    find::Wanted,
    gaps,
    open::METRICS,
    pool::Readers,
    quarantine,
    read::{self, SchemaCache},
    streams,
};
use crate::{
    chunk::{Chunk, ChunkSelect, ChunkSource, Pick, StoredMeasurement},
    error::StoreError,
    fork::StoredFork,
    metric_store::StoredGap,
    quarantine::Quarantined,
    stream_account::StreamAccount,
};

/// A store that another process writes, open to read: for the SQL workers of that
/// process. Cheap to clone.
#[derive(Clone)]
pub struct SqliteReader {
    pub(super) readers: Arc<Readers>,
    pub(super) schemas: Arc<SchemaCache>,
}

impl fmt::Debug for SqliteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteReader").field("readers", &self.readers).finish_non_exhaustive()
    }
}

impl SqliteReader {
    /// Opens the store in this folder. It must be there; the process that writes it
    /// may run. The file of people's passwords and tokens is not opened. Blocks while
    /// it opens.
    ///
    /// # Errors
    /// When the file can't be read, is none of ours, or was made by another version.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        let readers = Arc::new(Readers::new(METRICS.file_in(folder.as_ref())?, 4));
        METRICS.check_version(&*readers.snapshot()?, "opening the store to read")?;
        Ok(Self { readers, schemas: Arc::default() })
    }

    /// Chunks that were set aside because they can't be read, of all tenants, the last
    /// found first. Blocks.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn quarantined_blocking(&self) -> Result<Vec<Quarantined>, StoreError> {
        quarantine::read(&*self.readers.snapshot()?, None)
    }

    /// What became of the frames of all streams, of all tenants.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn stream_accounts(&self) -> Result<Vec<StreamAccount>, StoreError> {
        self.readers.run(|connection| accounts::read(connection, None)).await
    }
}

#[async_trait]
impl ChunkSource for SqliteReader {
    async fn stored(&self, tenant: TenantId) -> Result<Vec<StoredMeasurement>, StoreError> {
        let schemas = Arc::clone(&self.schemas);
        self.readers.run(move |connection| read::stored(connection, &schemas, tenant)).await
    }

    async fn losses(&self, tenant: TenantId) -> Result<Vec<StoredGap>, StoreError> {
        let read = move |connection: &Connection| {
            let mut all = gaps::read(connection, tenant)?;
            let aside = quarantine::gaps(connection, tenant)?;
            if !aside.is_empty() {
                all.extend(aside);
                all.sort_by_key(|gap| gap.gap.from);
            }
            Ok(all)
        };
        self.readers.run(read).await
    }

    async fn streams(&self, tenant: TenantId) -> Result<(Vec<StreamAccount>, Vec<StoredFork>), StoreError> {
        let read = move |connection: &Connection| {
            Ok((accounts::read(connection, Some(tenant))?, streams::read_forks(connection, tenant)?))
        };
        self.readers.run(read).await
    }

    async fn chunks(&self, select: ChunkSelect) -> Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError> {
        Ok(read::chunks(self.clone(), select, Wanted::Range, None))
    }

    async fn picked(
        &self,
        select: ChunkSelect,
        pick: Arc<dyn Pick>,
    ) -> Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError> {
        Ok(read::chunks(self.clone(), select, Wanted::Range, Some(pick)))
    }

    async fn present(
        &self,
        select: ChunkSelect,
        pick: Arc<dyn Pick>,
    ) -> Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError> {
        Ok(read::chunks(self.clone(), select, Wanted::Present, Some(pick)))
    }
}

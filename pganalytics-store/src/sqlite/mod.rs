//! The embedded store: two SQLite files in a folder, no set-up.
//!
//! ```text
//! append ──> queue (bounded by bytes) ──> one writer thread ── group commit ──> metrics.db-wal
//! query  ──> pool of read-only connections, one snapshot a read ────────────<── metrics.db
//! log-in ──> a transaction each, of whatever process ───────────────────────<─> meta.db
//! ```
//!
//! [`SqliteStore`] keeps metrics, [`SqliteMetaStore`] users, tokens and what else a
//! server must remember; either is used without the other, too.
//! `docs/decisions/0008-two-database-files.md` says why there are two.
//!
//! # Format
//! `migrations/sqlite` has the tables. Frames are kept as they came in, one row
//! of `chunks` each, behind an index by (series, time); compaction joins those
//! of a finished hour to one row, which lies in one piece of the file, so that
//! a chart over one source reads forward. The ledger holds ranges.
//!
//! # Invariants
//! * `append` answers after the commit is synced: accepted means durable.
//! * The ledger's range, the frame, and the key of a push that has no numbers are
//!   written in one transaction.
//! * Readers see commits in order, one moment each, and wait on nobody.
//! * What a collector has is counted in the tables; the quotas hold across
//!   restarts, and retention gives back what nothing hangs on any more.
//! * One process writes the metrics of a store; a second one is told who has it. Others
//!   may read them ([`SqliteReader`]), and write metadata.
//! * The files are readable by their owner only.
//!
//! # Failure modes
//! * Disk full or failing: the transaction is undone, its calls fail with
//!   [`StoreError::DiskFull`] or [`StoreError::Unavailable`], later ones try
//!   anew. Readers go on.
//! * Killed: SQLite's write-ahead log holds what was committed; the next open
//!   reads it. The lock goes with the process.
//! * A bug that panics while it writes ends the writer: what was being written
//!   is undone, every later write fails, and [`MetricStore::failed`] tells
//!   whoever runs the store, so that the process can end and be started anew.
//! * Bytes flipped at rest: a frame's checksum finds it. It is set aside with its reason,
//!   queries and jobs go on without it, and it is a gap to them
//!   ([`MetricStore::quarantined`]).

mod accounts;
mod append;
pub mod backup;
mod checkpoint;
mod compact;
mod error;
mod find;
mod gaps;
mod heads;
mod inner;
mod lock;
mod meta;
mod names;
mod open;
mod options;
mod owners;
mod parts;
mod pool;
mod quarantine;
mod read;
mod reader;
mod retain;
mod shrink;
mod streams;
#[cfg(test)]
mod tests;
mod unnumbered;
mod value;
mod writer;

use std::{
    fmt,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use pganalytics_core::{CollectorId, StreamId, TenantId, Timestamp, frame::VerifiedFrame};

use self::inner::Inner;
pub use self::{meta::SqliteMetaStore, options::SqliteOptions, reader::SqliteReader};
use crate::{
    chunk::{Chunk, ChunkSelect, ChunkSource, Pick, StoredMeasurement},
    error::StoreError,
    fork::StoredFork,
    metric_store::{AppendOutcome, Job, JobReport, MetricStore, Origin, Owned, SeenSource, StoredGap},
    quarantine::Quarantined,
    retention::Retention,
    sql::{RecordStream, SqlQuery, mending},
    stream_account::StreamAccount,
    unnumbered::{MakeReply, PushKey, Unnumbered},
};

/// Damaged chunks that a job sets aside in one run; the next run goes on.
const MOST_DAMAGED: usize = 100;

/// Metrics in an SQLite file. Clones are handles of the same store; the last
/// one that is dropped closes it.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("readers", &self.inner.readers).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store in this folder; makes it when it is not there. Blocks while it
    /// does.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// use pganalytics_store::sqlite::{SqliteOptions, SqliteStore};
    /// let store = SqliteStore::open(folder.path(), SqliteOptions::default())?;
    /// let second = SqliteStore::open(folder.path(), SqliteOptions::default());
    /// assert!(second.is_err(), "it is open already");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it is open already,
    /// [`StoreError::TooNew`] when a newer version made it, others when the
    /// file can't be made or is none of ours.
    pub fn open(folder: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StoreError> {
        Ok(Self { inner: Arc::new(Inner::open(folder.as_ref(), options)?) })
    }

    /// Compacts, or refreshes heads when no time is given; chunks that can't be read are set aside,
    /// and it goes on without them.
    async fn without_damaged(&self, compact_before: Option<Timestamp>) -> Result<JobReport, StoreError> {
        let mut report = JobReport::default();
        let mut set_aside = 0;
        loop {
            let done = match compact_before {
                Some(before) => compact::compact(&self.inner, before, &mut report).await,
                None => heads::refresh(&self.inner).await.map(|done| report = done),
            };
            match done {
                Err(StoreError::Damaged { chunk, .. })
                    if set_aside < MOST_DAMAGED && quarantine::set_aside(&self.inner, chunk).await? =>
                {
                    set_aside += 1;
                }
                done => return done.map(|()| report),
            }
        }
    }

    /// Keeps the writer in a transaction, which it tells by `busy`, until `held` says something.
    #[cfg(test)]
    async fn hold_writer(&self, busy: tokio::sync::oneshot::Sender<()>, held: std::sync::mpsc::Receiver<()>) {
        let wait = move |_: &_, _: &mut _| {
            let _ = busy.send(());
            held.recv().map_err(|_| StoreError::Unavailable("nobody holds it".to_owned()))
        };
        self.inner.writer.call(1, wait).await.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[async_trait]
impl MetricStore for SqliteStore {
    async fn append(
        &self,
        origin: &Origin,
        stream: StreamId,
        frames: Vec<VerifiedFrame>,
    ) -> Result<AppendOutcome, StoreError> {
        let origin = *origin;
        self.inner
            .writer
            .call(append::size_of(&frames), move |connection, memory| {
                append::append(connection, memory, &origin, stream, &frames)
            })
            .await
    }

    async fn append_unnumbered(
        &self,
        origin: &Origin,
        key: Option<PushKey>,
        frames: Vec<VerifiedFrame>,
        reply: MakeReply,
    ) -> Result<Unnumbered, StoreError> {
        let origin = *origin;
        self.inner
            .writer
            .call(append::size_of(&frames), move |connection, memory| {
                unnumbered::append(connection, memory, &origin, key, &frames, reply)
            })
            .await
    }

    async fn query(&self, query: SqlQuery) -> Result<RecordStream, StoreError> {
        let store: Arc<dyn MetricStore> = Arc::new(self.clone());
        mending::run(&store, &query, || self.inner.engine.execute(Arc::new(self.clone()), query.clone())).await
    }

    async fn set_aside(&self, chunk: u64) -> Result<bool, StoreError> {
        quarantine::set_aside(&self.inner, chunk).await
    }

    async fn quarantined(&self, tenant: TenantId) -> Result<Vec<Quarantined>, StoreError> {
        if !self.inner.set_aside.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        self.inner.readers.run(move |connection| quarantine::read(connection, Some(tenant))).await
    }

    async fn measurements(&self, tenant: TenantId) -> Result<Vec<StoredMeasurement>, StoreError> {
        self.stored(tenant).await
    }

    async fn sources(&self, tenant: TenantId) -> Result<Vec<SeenSource>, StoreError> {
        self.inner.readers.run(move |connection| read::sources(connection, tenant)).await
    }

    async fn gaps(&self, tenant: TenantId) -> Result<Vec<StoredGap>, StoreError> {
        self.losses(tenant).await
    }

    async fn stream_accounts(&self, tenant: TenantId) -> Result<Vec<StreamAccount>, StoreError> {
        self.inner.readers.run(move |connection| accounts::read(connection, Some(tenant))).await
    }

    async fn forks(&self, tenant: TenantId) -> Result<Vec<StoredFork>, StoreError> {
        self.inner.readers.run(move |connection| streams::read_forks(connection, tenant)).await
    }

    async fn hand_over(
        &self,
        tenant: TenantId,
        what: Owned,
        to: Option<CollectorId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let work = move |connection: &_, memory: &mut _| owners::hand_over(connection, memory, tenant, what, to, now);
        self.inner.writer.call(1, work).await
    }

    async fn maintain(&self, job: Job) -> Result<JobReport, StoreError> {
        match job {
            Job::Compact { before } => self.without_damaged(Some(before)).await,
            Job::Heads => self.without_damaged(None).await,
            Job::Retain { now, default, retention } => {
                retain::retain(&self.inner, Retention::new(now, default, retention)).await
            }
        }
    }

    async fn failed(&self) -> StoreError {
        self.inner.writer.stopped().await
    }

    async fn check(&self) -> Result<(), StoreError> {
        if !self.inner.writer.is_running() {
            return Err(StoreError::Unavailable("the writer has stopped; restart the server".to_owned()));
        }
        self.inner.engine.check()?;
        self.inner.readers.run(|_| Ok(())).await
    }
}

#[async_trait]
impl ChunkSource for SqliteStore {
    async fn stored(&self, tenant: TenantId) -> Result<Vec<StoredMeasurement>, StoreError> {
        self.inner.reader().stored(tenant).await
    }

    async fn losses(&self, tenant: TenantId) -> Result<Vec<StoredGap>, StoreError> {
        self.inner.reader().losses(tenant).await
    }

    async fn streams(&self, tenant: TenantId) -> Result<(Vec<StreamAccount>, Vec<StoredFork>), StoreError> {
        self.inner.reader().streams(tenant).await
    }

    async fn chunks(&self, select: ChunkSelect) -> Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError> {
        self.inner.reader().chunks(select).await
    }

    async fn picked(
        &self,
        select: ChunkSelect,
        pick: Arc<dyn Pick>,
    ) -> Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError> {
        self.inner.reader().picked(select, pick).await
    }

    async fn present(
        &self,
        select: ChunkSelect,
        pick: Arc<dyn Pick>,
    ) -> Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError> {
        self.inner.reader().present(select, pick).await
    }
}

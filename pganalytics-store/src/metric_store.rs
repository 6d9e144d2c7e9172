//! The trait that metric stores implement.

use std::time::Duration;

use async_trait::async_trait;
use pganalytics_core::{
    CollectorId, Gap, MeasurementName, Seq, ServerId, Source, StreamId, TenantId, Timestamp, frame::VerifiedFrame,
};

use crate::{
    chunk::StoredMeasurement,
    error::StoreError,
    fork::{Fork, StoredFork},
    quarantine::Quarantined,
    quota::Quotas,
    sql::{RecordStream, SqlQuery},
    stream_account::StreamAccount,
    unnumbered::{MakeReply, PushKey, Unnumbered},
};

/// Who sent frames, and when they came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The tenant that owns the rows.
    pub tenant: TenantId,
    /// The collector that speaks.
    pub collector: CollectorId,
    /// When the server took the frames in, by its own clock.
    pub received_at: Timestamp,
    /// What the collector may have. A frame that goes over it is rejected; its
    /// neighbours are not, nor is what the collector has already.
    pub quotas: Quotas,
}

impl Origin {
    /// An origin that may have whatever it sends.
    #[must_use]
    pub const fn new(tenant: TenantId, collector: CollectorId, received_at: Timestamp) -> Self {
        Self { tenant, collector, received_at, quotas: Quotas::NONE }
    }
}

/// What belongs to a collector and can be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owned {
    /// All instances that this collector owns.
    By(CollectorId),
    /// All instances of this server, whoever owns them.
    Server(ServerId),
}

/// What became of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameOutcome {
    /// Stored, durably.
    Accepted,
    /// It was stored before; nothing was done.
    Duplicate,
    /// It will never be stored; the reason for the sender's log.
    Rejected {
        /// Stable code, `snake_case`.
        code: &'static str,
        /// What is wrong, where, what to do.
        message: String,
    },
}

/// What became of each frame of an append, in the order given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppendOutcome {
    /// One outcome a frame; none where there is a fork.
    pub frames: Vec<(Seq, FrameOutcome)>,
    /// The stream has two senders. Nothing of the push was stored.
    pub fork: Option<Fork>,
}

impl AppendOutcome {
    /// Number of frames newly stored.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.frames.iter().filter(|(_, outcome)| *outcome == FrameOutcome::Accepted).count()
    }

    /// Number of frames that were stored before.
    #[must_use]
    pub fn duplicates(&self) -> usize {
        self.frames.iter().filter(|(_, outcome)| *outcome == FrameOutcome::Duplicate).count()
    }
}

/// A source that frames have spoken of, for inventories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSource {
    /// The source.
    pub source: Source,
    /// The collector that spoke of it last.
    pub collector: CollectorId,
    /// `collected_at` of its first sample.
    pub first_seen: Timestamp,
    /// `collected_at` of its newest sample.
    pub last_seen: Timestamp,
}

/// What a stream has lost, as its agent declared it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGap {
    /// The collector whose stream it is.
    pub collector: CollectorId,
    /// The stream.
    pub stream: StreamId,
    /// The number of the gap's own frame.
    pub seq: Seq,
    /// What was lost, and why.
    pub gap: Gap,
}

/// Background work. Each job is safe to run at any time, on any number of
/// servers, and to be killed in the middle.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Job {
    /// Join small frames of finished hours to blocks.
    Compact {
        /// Only hours that ended before this time.
        before: Timestamp,
    },
    /// Make ready what is live at present, where much has come since that was done: who asks
    /// for the newest rows of a fleet then reads little. Stores without such a thing do nothing.
    Heads,
    /// Drop what is older than its measurement's retention.
    Retain {
        /// The present.
        now: Timestamp,
        /// Retention of measurements that are not named in `retention`.
        default: Duration,
        /// Retention by measurement.
        retention: Vec<(MeasurementName, Duration)>,
    },
}

/// What a job did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobReport {
    /// Frames and blocks read.
    pub chunks_in: u64,
    /// Blocks written.
    pub chunks_out: u64,
    /// Chunks dropped because they are too old.
    pub dropped: u64,
    /// Bytes before and after.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
}

/// Keeps frames and answers SQL over them.
///
/// All methods may be called at once from many tasks. They are cancel-safe in
/// this sense: a call that is dropped has either wholly happened or not at all.
#[async_trait]
pub trait MetricStore: Send + Sync {
    /// Stores frames of one stream, each at most once for ever by (collector,
    /// stream, seq). When this returns `Ok`, accepted frames are durable and
    /// visible to queries; when it returns an error, none is stored. A frame that
    /// goes over a [quota](Origin::quotas), or speaks of an instance that another
    /// collector owns, is rejected and leaves no trace.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] and [`StoreError::DiskFull`] ask the caller
    /// to try again; others do not go away by themselves.
    async fn append(
        &self,
        origin: &Origin,
        stream: StreamId,
        frames: Vec<VerifiedFrame>,
    ) -> Result<AppendOutcome, StoreError>;

    /// Stores frames of a sender that numbers nothing, all in one transaction:
    /// they get the next numbers of the collector's own stream
    /// ([`StreamId::of_unnumbered`]). A push with a key is stored once, however
    /// often it comes within [`KEPT`](crate::unnumbered::KEPT), and answered
    /// with the reply that was made the first time; one of which nothing was
    /// taken is not remembered.
    ///
    /// # Errors
    /// As [`MetricStore::append`].
    async fn append_unnumbered(
        &self,
        origin: &Origin,
        key: Option<PushKey>,
        frames: Vec<VerifiedFrame>,
        reply: MakeReply,
    ) -> Result<Unnumbered, StoreError>;

    /// Runs a query that the guard has let through. What it
    /// [knows](SqlQuery::known) and nobody has sent is an empty table.
    ///
    /// # Errors
    /// [`StoreError::Sql`] for what is wrong with the query or its limits.
    async fn query(&self, query: SqlQuery) -> Result<RecordStream, StoreError>;

    /// The measurements that a tenant has samples of, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn measurements(&self, tenant: TenantId) -> Result<Vec<StoredMeasurement>, StoreError>;

    /// The sources that a tenant has samples of.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn sources(&self, tenant: TenantId) -> Result<Vec<SeenSource>, StoreError>;

    /// What the streams of a tenant have lost, in order of time.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn gaps(&self, tenant: TenantId) -> Result<Vec<StoredGap>, StoreError>;

    /// What became of the frames of each stream of a tenant, by collector and stream.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn stream_accounts(&self, tenant: TenantId) -> Result<Vec<StreamAccount>, StoreError>;

    /// The streams of a tenant that two senders were seen to go on with, in order
    /// of time.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn forks(&self, tenant: TenantId) -> Result<Vec<StoredFork>, StoreError>;

    /// Hands instances over to another collector, or, with `None`, lets the next
    /// that speaks of them have them. Says how many there were.
    ///
    /// # Errors
    /// When the store can't be written.
    async fn hand_over(
        &self,
        tenant: TenantId,
        what: Owned,
        to: Option<CollectorId>,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Sets a chunk aside that somebody could not read ([`StoreError::Damaged`]), if nobody
    /// can. Says whether it is out of the way now, and what failed may be tried again.
    /// Stores that can't be damaged so need not implement it.
    ///
    /// # Errors
    /// When the store can't be read or written.
    async fn set_aside(&self, chunk: u64) -> Result<bool, StoreError> {
        let _ = chunk;
        Ok(false)
    }

    /// The chunks of a tenant that were set aside.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn quarantined(&self, tenant: TenantId) -> Result<Vec<Quarantined>, StoreError> {
        let _ = tenant;
        Ok(Vec::new())
    }

    /// Does background work.
    ///
    /// # Errors
    /// When the store can't be read or written. What was done stays done.
    async fn maintain(&self, job: Job) -> Result<JobReport, StoreError>;

    /// Waits until the store has failed in a way that only opening it anew can
    /// mend; until then nothing comes. Whoever runs the store ends the process
    /// then: [`check`](MetricStore::check) and all writes fail from there on.
    /// Stores that can't fail so need not implement it.
    async fn failed(&self) -> StoreError {
        std::future::pending().await
    }

    /// Whether the store can take and answer.
    ///
    /// # Errors
    /// Says why not.
    async fn check(&self) -> Result<(), StoreError>;
}

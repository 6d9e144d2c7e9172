//! What the SQL engine reads from a block store.

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use futures::stream::BoxStream;
use pganalytics_core::{
    CollectorId, MeasurementName, Schema, TenantId, Timestamp,
    frame::{Frame, FrameBytes, FrameError, FrameHead},
};

use crate::{error::StoreError, fork::StoredFork, metric_store::StoredGap, stream_account::StreamAccount};

/// A frame or block as stored, with whom it came from.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The collector that sent it.
    pub collector: CollectorId,
    /// A number that this source gives to no other chunk as long as it lives, of
    /// whatever tenant: what was learned of the chunk is found again by it.
    /// `None` where there is no such number; then its bytes are looked at.
    pub id: Option<u64>,
    /// The frame or block; its columns are decoded when asked for.
    pub frame: Frame,
}

/// Which chunks a query needs. Filters are hints that save work: a source may
/// give more than was asked for, never less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSelect {
    /// The tenant; no other tenant's chunk may ever be given.
    pub tenant: TenantId,
    /// The measurement.
    pub measurement: MeasurementName,
    /// Chunks with a scrape at or after this time.
    pub from: Timestamp,
    /// Chunks with a scrape at or before this time.
    pub to: Timestamp,
    /// Only sources whose server (id or name) is one of these; `None`: all.
    pub servers: Option<Vec<String>>,
    /// Only sources with one of these databases; `None`: all.
    pub databases: Option<Vec<String>>,
}

/// How many of its scrapes a series may have missed at the beginning of a range and still be
/// heard in it: what is measured once a day is there all day.
pub const MISSED: i64 = 3;

/// Chooses what is read of chunks, by their heads. A source that keeps chunks where reading all
/// of them costs more may ask it.
pub trait Pick: Send + Sync + fmt::Debug {
    /// The head of a chunk, by its number, if it is known from before.
    fn head(&self, id: u64) -> Option<FrameHead>;

    /// The places, counted from the beginning of the chunk, that will be asked for; `None`: all.
    /// It may be asked for others all the same, if seldom.
    ///
    /// # Errors
    /// When the chunk can't be read, or makes no sense.
    fn places(&self, id: u64, head: &FrameHead, rest: &dyn FrameBytes)
    -> Result<Option<Vec<Range<usize>>>, FrameError>;
}

/// A measurement as it is in a store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMeasurement {
    /// The newest schema with the columns of all earlier ones behind its own.
    /// Of a column whose type changed [`merged`](crate::stored_schema::merged) says which type
    /// it has; values of others are converted where that loses nothing, else
    /// NULL, and are in a column beside it as they came.
    pub schema: Arc<Schema>,
    /// Values stored (rows × columns of frames as they came), for ever counted.
    pub values: u64,
    /// Rows stored.
    pub rows: u64,
    /// Scrapes stored.
    pub scrapes: u64,
    /// Oldest and newest scrape that is still there.
    pub range: Option<(Timestamp, Timestamp)>,
}

/// A store that keeps frames and blocks and lets the SQL engine read them.
#[async_trait]
pub trait ChunkSource: Send + Sync {
    /// The measurements of a tenant, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn stored(&self, tenant: TenantId) -> Result<Vec<StoredMeasurement>, StoreError>;

    /// What the streams of a tenant have lost, as
    /// [`MetricStore::gaps`](crate::MetricStore::gaps): it marks values that were
    /// carried over it.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn losses(&self, tenant: TenantId) -> Result<Vec<StoredGap>, StoreError>;

    /// What became of the frames of a tenant's streams, and which of them two senders
    /// were seen to go on with.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn streams(&self, tenant: TenantId) -> Result<(Vec<StreamAccount>, Vec<StoredFork>), StoreError>;

    /// Chunks, grouped by source (server, instance, database) and collector;
    /// inside a group in order of their first scrape.
    ///
    /// # Errors
    /// When the store can't be read; the stream's items tell of what goes wrong
    /// later.
    async fn chunks(&self, select: ChunkSelect) -> Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError>;

    /// The same, of which only what `pick` chooses need be read.
    ///
    /// # Errors
    /// As [`ChunkSource::chunks`].
    async fn picked(
        &self,
        select: ChunkSelect,
        pick: Arc<dyn Pick>,
    ) -> Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError> {
        drop(pick);
        self.chunks(select).await
    }

    /// Chunks of which the rows that are live at present can be made, of measurements with
    /// [`Presence::State`](pganalytics_core::Presence::State): of each series that was heard
    /// at or after `select.from`, or has missed no more than [`MISSED`] scrapes by then, at
    /// least all that was stored from its last keyframe on. In place of chunks a source may
    /// give one that [`present`](pganalytics_core::frame::present) has made of them.
    ///
    /// # Errors
    /// As [`ChunkSource::chunks`].
    async fn present(
        &self,
        select: ChunkSelect,
        pick: Arc<dyn Pick>,
    ) -> Result<BoxStream<'static, Result<Chunk, StoreError>>, StoreError>;
}

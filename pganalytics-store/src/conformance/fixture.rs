//! Frames to append.

use std::sync::Arc;

use futures::TryStreamExt;
use pganalytics_core::{
    Batch, CollectorId, Column, ColumnKind, ColumnType, CounterFamily, Epoch, InstanceId, MeasurementName, ModelError,
    Presence, RowsBuilder, Schema, Scrape, ScrapeClock, ScrapeKind, Seq, ServerId, Source, StreamId, TenantId,
    Timestamp, Value,
    frame::{FrameError, VerifiedFrame},
};

use super::Candidate;
use crate::{AppendOutcome, Chunk, ChunkSelect, FrameOutcome, Origin, StoreError};

/// 2026-01-31T12:00:00Z, a full hour.
pub(super) const START: i64 = 1_769_860_800;
/// What most frames measure.
pub(super) const TABLES: &str = "conformance_tables";
/// What [`Presence::Append`] frames bring.
pub(super) const TEXTS: &str = "conformance_texts";

/// A time this many seconds after [`START`].
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(START + seconds)
}

/// The tenant of this number.
pub(super) fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(uuid::Uuid::from_u128(0xc0f0_0000 + number))
}

/// A database of a server, the same for the same names.
pub(super) fn source(server: &str, database: Option<&str>) -> Source {
    let server_id = ServerId::of_host(server);
    Source {
        server_id,
        instance_id: InstanceId::of_address(server_id, "10.0.0.1:5432"),
        server: server.into(),
        database: database.map(Into::into),
    }
}

/// A schema with a key `id` and counters.
pub(super) fn schema(measurement: &str, counters: &[&str]) -> Result<Arc<Schema>, ModelError> {
    let mut columns = vec![Column::new("id", ColumnKind::Key, ColumnType::Int)];
    columns.extend(counters.iter().map(|name| Column::new(name, ColumnKind::Counter, ColumnType::Int)));
    Ok(Arc::new(Schema::new(MeasurementName::new(measurement)?, CounterFamily::Cumulative, columns)?))
}

/// The schema of facts.
pub(super) fn texts() -> Result<Arc<Schema>, ModelError> {
    let columns = vec![
        Column::new("id", ColumnKind::Key, ColumnType::Int),
        Column::new("query", ColumnKind::Info, ColumnType::Text),
    ];
    let schema = Schema::new(MeasurementName::new(TEXTS)?, CounterFamily::None, columns)?;
    Ok(Arc::new(schema.with_presence(Presence::Append)))
}

/// One scrape: its key's number and its counters a row; a row without counters
/// says that its key is gone.
pub(super) fn scrape(
    schema: &Arc<Schema>,
    source: &Source,
    kind: ScrapeKind,
    seconds: i64,
    rows: &[(i64, Vec<i64>)],
) -> Result<Batch, ModelError> {
    let mut builder = RowsBuilder::new(schema);
    for (id, counters) in rows {
        let mut row = vec![Value::Int(*id)];
        row.extend(counters.iter().map(|&counter| Value::Int(counter)));
        row.resize(schema.columns().len(), Value::Null);
        if counters.is_empty() { builder.push_gone(&row)? } else { builder.push(&row)? }
    }
    batch(schema, source, kind, seconds, builder)
}

/// A scrape of rows that are there already.
pub(super) fn batch(
    schema: &Arc<Schema>,
    source: &Source,
    kind: ScrapeKind,
    seconds: i64,
    rows: RowsBuilder<'_>,
) -> Result<Batch, ModelError> {
    let scrape = Scrape {
        collected_at: at(seconds),
        interval_micros: 60_000_000,
        kind,
        epoch: Epoch::default(),
        clock: ScrapeClock::default(),
    };
    Ok(Batch { schema: Arc::clone(schema), source: source.clone(), scrape, rows: rows.finish() })
}

/// A spool of frames of one row each; frame `n` has key `n` and time `n`
/// minutes, so that each can be told from all others.
#[derive(Debug, Clone)]
pub(super) struct Spool {
    pub(super) origin: Origin,
    pub(super) stream: StreamId,
    pub(super) source: Source,
    schema: Arc<Schema>,
}

impl Spool {
    pub(super) fn new(tenant: TenantId, collector: u128, server: &str) -> Result<Self, ModelError> {
        let collector = CollectorId::from_uuid(uuid::Uuid::from_u128(0xc011_0000 + collector));
        Ok(Self {
            origin: Origin::new(tenant, collector, at(0)),
            stream: StreamId::random(),
            source: source(server, Some("app")),
            schema: schema(TABLES, &["seq_scan"])?,
        })
    }

    /// The frame of this number.
    pub(super) fn frame(&self, number: u64) -> Result<VerifiedFrame, FrameError> {
        let id = i64::try_from(number).unwrap_or(i64::MAX);
        let rows = [(id, vec![id.saturating_mul(10)])];
        let seconds = id.saturating_mul(60) % 1_000_000_000;
        VerifiedFrame::of_batch(Seq(number), &scrape(&self.schema, &self.source, ScrapeKind::Delta, seconds, &rows)?)
    }

    /// The frames of these numbers.
    pub(super) fn frames(&self, numbers: impl IntoIterator<Item = u64>) -> Result<Vec<VerifiedFrame>, FrameError> {
        numbers.into_iter().map(|number| self.frame(number)).collect()
    }

    /// Appends the frames of these numbers.
    pub(super) async fn push<S: Candidate>(
        &self,
        store: &S,
        numbers: impl IntoIterator<Item = u64>,
    ) -> Result<AppendOutcome, StoreError> {
        let frames = self.frames(numbers).map_err(|error| StoreError::backend("making frames", error))?;
        store.append(&self.origin, self.stream, frames).await
    }
}

/// What was accepted (`a`), a duplicate (`d`) or rejected (`r`), as a word.
pub(super) fn word(outcome: &AppendOutcome) -> String {
    let letter = |outcome: &FrameOutcome| match outcome {
        FrameOutcome::Accepted => 'a',
        FrameOutcome::Duplicate => 'd',
        FrameOutcome::Rejected { .. } => 'r',
    };
    outcome.frames.iter().map(|(_, outcome)| letter(outcome)).collect()
}

/// All of a measurement.
pub(super) fn everything(tenant: TenantId, measurement: &str) -> Result<ChunkSelect, ModelError> {
    Ok(ChunkSelect {
        tenant,
        measurement: MeasurementName::new(measurement)?,
        from: Timestamp::from_micros(i64::MIN),
        to: Timestamp::from_micros(i64::MAX),
        servers: None,
        databases: None,
    })
}

/// The chunks of a selection.
pub(super) async fn chunks<S: Candidate>(store: &S, select: ChunkSelect) -> Result<Vec<Chunk>, StoreError> {
    store.chunks(select).await?.try_collect().await
}

/// The keys of all rows in [`TABLES`], sorted; each stands as often as it is
/// stored.
pub(super) async fn stored_keys<S: Candidate>(store: &S, tenant: TenantId) -> Result<Vec<i64>, StoreError> {
    let select = everything(tenant, TABLES).map_err(|error| StoreError::backend("selecting", error))?;
    let mut keys = Vec::new();
    for chunk in chunks(store, select).await? {
        let column = chunk.frame.column(0).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        keys.extend((0..column.len()).filter_map(|row| match column.get(row) {
            Value::Int(key) => Some(key),
            _ => None,
        }));
    }
    keys.sort_unstable();
    Ok(keys)
}

/// Keys from 1 to `last`.
pub(super) fn keys_to(last: i64) -> Vec<i64> {
    (1..=last).collect()
}

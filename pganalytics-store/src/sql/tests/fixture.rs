//! Stores, frames and questions.

use std::{sync::Arc, time::Duration};

use pganalytics_core::{
    Batch, CollectorId, Column, ColumnKind, ColumnType, CounterFamily, Epoch, InstanceId, MeasurementName, Position,
    RowsBuilder, Schema, Scrape, ScrapeClock, ScrapeKind, Seq, ServerId, Source, StreamId, TenantId, Timestamp, Value,
    frame::VerifiedFrame,
};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    MetricStore, Origin, StoreError,
    memory::MemoryStore,
    sql::{Answer, EngineOptions, SqlGuard, SqlLimits, SqlParam, SqlPrincipal, SqlQuery, to_json_rows},
};

/// 2026-01-31T12:00:00Z, a full hour.
pub(super) const START: i64 = 1_769_860_800;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(START + seconds)
}

/// A time as answers show it.
pub(super) fn shown(time: Timestamp) -> Json {
    Json::from(jiff::Timestamp::from_microsecond(time.as_micros()).unwrap().to_string())
}

pub(super) fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(number))
}

pub(super) fn source(server: &str, database: Option<&str>) -> Source {
    let server_id = ServerId::of_host(server);
    Source {
        server_id,
        instance_id: InstanceId::of_address(server_id, "10.0.0.1:5432"),
        server: server.into(),
        database: database.map(Into::into),
    }
}

/// Columns by name, as `key:int`, `counter:float`.
pub(super) fn schema(name: &str, family: CounterFamily, columns: &[(&str, &str)]) -> Schema {
    let column = |(name, what): &(&str, &str)| {
        let (kind, ty) = what.split_once(':').unwrap();
        let kind = match kind {
            "key" => ColumnKind::Key,
            "counter" => ColumnKind::Counter,
            "gauge" => ColumnKind::Gauge,
            _ => ColumnKind::Info,
        };
        let ty = match ty {
            "int" => ColumnType::Int,
            "float" => ColumnType::Float,
            "time" => ColumnType::Timestamp,
            _ => ColumnType::Text,
        };
        Column::new(name, kind, ty)
    };
    Schema::new(MeasurementName::new(name).unwrap(), family, columns.iter().map(column).collect()).unwrap()
}

/// An epoch whose counters began with a crash at this time.
pub(super) fn epoch(seconds: i64) -> Epoch {
    Epoch { stamp: Some(at(seconds)), started: Some(at(seconds)), evictions: None }
}

/// One collector's stream into a store that remembers two centuries in
/// `m_latest`.
pub(super) struct Feed {
    pub(super) store: MemoryStore,
    pub(super) origin: Origin,
    pub(super) source: Source,
    stream: StreamId,
    next: u64,
}

pub(super) fn options() -> EngineOptions {
    EngineOptions { threads: 2, latest_lookback: Duration::from_secs(200 * 366 * 86_400), ..EngineOptions::default() }
}

impl Feed {
    pub(super) fn new() -> Self {
        Self::with(options())
    }

    pub(super) fn with(options: EngineOptions) -> Self {
        Self::into(MemoryStore::new(options).unwrap(), tenant(1), 1, source("db1", Some("app")))
    }

    pub(super) fn into(store: MemoryStore, tenant: TenantId, collector: u128, source: Source) -> Self {
        let collector = CollectorId::from_uuid(Uuid::from_u128(collector));
        let origin = Origin::new(tenant, collector, at(0));
        Self { store, origin, source, stream: StreamId::random(), next: 0 }
    }

    /// A keyframe in so many frames.
    pub(super) fn keyframe_in_parts(
        &mut self,
        schema: &Arc<Schema>,
        scrape: Scrape,
        rows: &[(Vec<Value<'_>>, bool)],
        parts: usize,
    ) -> Vec<VerifiedFrame> {
        let length = rows.len().div_ceil(parts);
        let part = |part: usize| {
            let kind = match part + 1 == parts {
                true => ScrapeKind::LastPart { parts: u32::try_from(parts).unwrap() },
                false => ScrapeKind::Delta,
            };
            let rows = &rows[(part * length).min(rows.len())..((part + 1) * length).min(rows.len())];
            let base = (part > 0).then_some(Seq(self.next));
            self.frame_behind(base, schema, Scrape { kind, ..scrape }, rows)
        };
        (0..parts).map(part).collect()
    }

    /// The next frame; rows without values but keys (`None`) are gone.
    pub(super) fn frame(
        &mut self,
        schema: &Arc<Schema>,
        scrape: Scrape,
        rows: &[(Vec<Value<'_>>, bool)],
    ) -> VerifiedFrame {
        self.frame_behind(None, schema, scrape, rows)
    }

    fn frame_behind(
        &mut self,
        base: Option<Seq>,
        schema: &Arc<Schema>,
        scrape: Scrape,
        rows: &[(Vec<Value<'_>>, bool)],
    ) -> VerifiedFrame {
        let mut builder = RowsBuilder::new(schema);
        for (row, gone) in rows {
            if *gone { builder.push_gone(row).unwrap() } else { builder.push(row).unwrap() }
        }
        let batch = Batch { schema: Arc::clone(schema), source: self.source.clone(), scrape, rows: builder.finish() };
        self.next += 1;
        VerifiedFrame::of_batch(Position { base, ..Seq(self.next).into() }, &batch).unwrap()
    }

    /// Appends a scrape at a minute.
    pub(super) async fn scrape(
        &mut self,
        schema: &Arc<Schema>,
        minute: i64,
        kind: ScrapeKind,
        epoch: Epoch,
        rows: &[Vec<Value<'_>>],
    ) {
        let scrape = Scrape {
            collected_at: at(60 * minute),
            interval_micros: 60_000_000,
            kind,
            epoch,
            clock: ScrapeClock::default(),
        };
        let rows: Vec<_> = rows.iter().map(|row| (row.clone(), false)).collect();
        let frame = self.frame(schema, scrape, &rows);
        self.append(vec![frame]).await;
    }

    pub(super) async fn append(&self, frames: Vec<VerifiedFrame>) {
        let count = frames.len();
        let outcome = self.store.append(&self.origin, self.stream, frames).await.unwrap();
        assert_eq!(outcome.accepted(), count);
    }

    /// The rows of an answer, which must be one.
    pub(super) async fn ask(&self, sql: &str) -> Vec<Vec<Json>> {
        rows(&answer(&self.store, self.origin.tenant, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")))
    }

    /// The error of a question that must have one.
    pub(super) async fn refusal(&self, sql: &str) -> StoreError {
        match answer(&self.store, self.origin.tenant, sql).await {
            Ok(answer) => panic!("{sql} was answered: {:?}", rows(&answer)),
            Err(error) => error,
        }
    }
}

pub(super) fn query(sql: &str, params: Vec<SqlParam>, tenant: TenantId, limits: SqlLimits) -> SqlQuery {
    SqlGuard::new(limits).check(sql, params, SqlPrincipal::new(tenant)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

pub(super) async fn answer(store: &MemoryStore, tenant: TenantId, sql: &str) -> Result<Answer, StoreError> {
    store.query(query(sql, Vec::new(), tenant, SqlLimits::default())).await?.into_answer().await
}

pub(super) fn rows(answer: &Answer) -> Vec<Vec<Json>> {
    answer.batches.iter().flat_map(to_json_rows).collect()
}

/// Rows in an order of their own, for comparing what has none.
pub(super) fn sorted(mut rows: Vec<Vec<Json>>) -> Vec<String> {
    rows.sort_by_key(|row| serde_json::to_string(row).unwrap());
    rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect()
}

//! Frames that can be told from each other, for tests in here.

use std::sync::Arc;

use futures::TryStreamExt;
use pganalytics_core::{
    Batch, CollectorId, Column, ColumnKind, ColumnType, CounterFamily, Epoch, InstanceId, MeasurementName, Presence,
    RowsBuilder, Schema, Scrape, ScrapeClock, ScrapeKind, Seq, ServerId, Source, StreamId, TenantId, Timestamp, Value,
    frame::VerifiedFrame,
};
use pganalytics_store::{ChunkSelect, ChunkSource, Origin};
use uuid::Uuid;

/// 2026-01-31T12:00:00Z.
const START: i64 = 1_769_860_800;

/// One stream of one collector. Its frame `n` holds the one row `n`, taken `n`
/// minutes after the start.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    pub(crate) origin: Origin,
    pub(crate) stream: StreamId,
    schema: Arc<Schema>,
    source: Source,
}

pub(crate) fn minute(number: i64) -> Timestamp {
    Timestamp::from_secs(START + 60 * number)
}

impl Spool {
    pub(crate) fn new(number: u128) -> Self {
        let id = Uuid::from_u128(0x5900_0000 + number);
        let server_id = ServerId::of_host("db1");
        let columns = vec![
            Column::new("number", ColumnKind::Key, ColumnType::Int),
            Column::new("text", ColumnKind::Info, ColumnType::Text),
        ];
        let schema = Schema::new(MeasurementName::new("frames").unwrap(), CounterFamily::None, columns).unwrap();
        let collector = CollectorId::from_uuid(id);
        Self {
            origin: Origin::new(TenantId::DEFAULT, collector, minute(0)),
            stream: StreamId::from_uuid(id),
            schema: Arc::new(schema.with_presence(Presence::Append)),
            source: Source {
                server_id,
                instance_id: InstanceId::of_address(server_id, "db1:5432"),
                server: "db1".into(),
                database: None,
            },
        }
    }

    pub(crate) fn frame(&self, number: i64) -> VerifiedFrame {
        let mut rows = RowsBuilder::new(&self.schema);
        rows.push(&[Value::Int(number), Value::Text(&"x".repeat(usize::try_from(number % 700).unwrap()))]).unwrap();
        let batch = Batch {
            schema: Arc::clone(&self.schema),
            source: self.source.clone(),
            scrape: Scrape {
                collected_at: minute(number),
                interval_micros: 60_000_000,
                kind: ScrapeKind::Delta,
                epoch: Epoch::default(),
                clock: ScrapeClock::default(),
            },
            rows: rows.finish(),
        };
        VerifiedFrame::of_batch(Seq(number.unsigned_abs()), &batch).unwrap()
    }

    pub(crate) fn frames(&self, numbers: impl IntoIterator<Item = i64>) -> Vec<VerifiedFrame> {
        numbers.into_iter().map(|number| self.frame(number)).collect()
    }
}

/// Collector and number of each row from this minute on, as often as stored.
pub(crate) async fn stored(store: &impl ChunkSource, from: i64) -> Vec<(CollectorId, i64)> {
    let select = ChunkSelect {
        tenant: TenantId::DEFAULT,
        measurement: MeasurementName::new("frames").unwrap(),
        from: minute(from),
        to: Timestamp::from_micros(i64::MAX),
        servers: None,
        databases: None,
    };
    let chunks: Vec<_> = store.chunks(select).await.unwrap().try_collect().await.unwrap();
    let mut rows = Vec::new();
    for chunk in chunks {
        let numbers = chunk.frame.column(0).unwrap();
        rows.extend((0..numbers.len()).map(|row| match numbers.get(row) {
            Value::Int(number) => (chunk.collector, number),
            other => panic!("row {row} has the number {other:?}"),
        }));
    }
    rows.sort_unstable();
    rows
}

//! What streams have lost, as their agents declared it.

use pganalytics_core::{
    CollectorId, Gap, Seq, StreamId, TenantId,
    frame::{Content, Limits, encode_gap},
};
use rusqlite::{Connection, params};

use super::{accounts, error::Doing, value::Id};
use crate::{
    error::StoreError,
    metric_store::{Origin, StoredGap},
};

/// Stores a gap; the ledger has made sure that it comes once.
pub(super) fn put(
    connection: &Connection,
    origin: &Origin,
    stream: StreamId,
    seq: Seq,
    gap: &Gap,
) -> Result<(), StoreError> {
    let write = || {
        connection
            .prepare_cached(
                "INSERT INTO gaps (tenant, collector, stream, seq, t_min, t_max, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                Id(origin.tenant.as_uuid()),
                Id(origin.collector.as_uuid()),
                Id(stream.as_uuid()),
                seq.0.cast_signed(),
                gap.from.as_micros(),
                gap.to.as_micros(),
                encode_gap(gap),
            ])
    };
    write().doing("writing a gap")?;
    accounts::note_declared(connection, origin, stream, gap.first, gap.last)
}

/// The gaps of a tenant, in order of time.
pub(super) fn read(connection: &Connection, tenant: TenantId) -> Result<Vec<StoredGap>, StoreError> {
    let read = || {
        let mut statement = connection.prepare_cached(
            "SELECT collector, stream, seq, body FROM gaps WHERE tenant = ?1 ORDER BY t_min, collector, stream, seq",
        )?;
        let rows = statement.query_map([Id(tenant.as_uuid())], |row| {
            Ok((row.get::<_, Id>(0)?, row.get::<_, Id>(1)?, row.get::<_, i64>(2)?, row.get::<_, Vec<u8>>(3)?))
        })?;
        rows.collect::<Result<Vec<_>, _>>()
    };
    let rows = read().doing("reading the gaps")?.into_iter().map(|(collector, stream, seq, body)| {
        let bad = |why: String| StoreError::Corrupt(format!("gap {seq} of stream {}: {why}", stream.0));
        match Content::parse(body.into(), &Limits::default(), &|_| None).map_err(|error| bad(error.to_string()))? {
            Content::Gap(gap) => Ok(StoredGap {
                collector: CollectorId::from_uuid(collector.0),
                stream: StreamId::from_uuid(stream.0),
                seq: Seq(seq.cast_unsigned()),
                gap,
            }),
            Content::Rows(_) => Err(bad("it holds rows".to_owned())),
        }
    });
    rows.collect()
}

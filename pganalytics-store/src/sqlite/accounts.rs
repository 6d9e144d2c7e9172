//! What became of the frames of each stream.

use std::collections::BTreeMap;

use pganalytics_core::{CollectorId, Ranges, Seq, StreamId, TenantId};
use rusqlite::{Connection, params};

use super::{error::Doing, value::Id};
use crate::{error::StoreError, metric_store::Origin, stream_account::StreamAccount};

/// Notes that frames are declared lost. Kept as long as the ledger is, when the gap
/// itself is too old to be told: a few ranges a stream.
pub(super) fn note_declared(
    connection: &Connection,
    origin: &Origin,
    stream: StreamId,
    first: Seq,
    last: Seq,
) -> Result<(), StoreError> {
    let ids = (Id(origin.tenant.as_uuid()), Id(origin.collector.as_uuid()), Id(stream.as_uuid()));
    let (tenant, collector, stream) = &ids;
    let write = || {
        let near = params![
            tenant,
            collector,
            stream,
            first.0.saturating_sub(1).cast_signed(),
            last.0.saturating_add(1).cast_signed()
        ];
        let mut all: Ranges = connection
            .prepare_cached(
                "SELECT first, last FROM declared
                 WHERE tenant = ?1 AND collector = ?2 AND stream = ?3 AND last >= ?4 AND first <= ?5",
            )?
            .query_map(near, range)?
            .collect::<Result<_, _>>()?;
        connection
            .prepare_cached(
                "DELETE FROM declared
                 WHERE tenant = ?1 AND collector = ?2 AND stream = ?3 AND last >= ?4 AND first <= ?5",
            )?
            .execute(near)?;
        all.insert_range(first..=last);
        for range in all.iter() {
            connection
                .prepare_cached(
                    "INSERT INTO declared (tenant, collector, stream, first, last) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    tenant,
                    collector,
                    stream,
                    range.start().0.cast_signed(),
                    range.end().0.cast_signed()
                ])?;
        }
        Ok(())
    };
    write().doing("noting what was declared lost")
}

fn range(row: &rusqlite::Row<'_>) -> rusqlite::Result<std::ops::RangeInclusive<Seq>> {
    let (first, last): (i64, i64) = (row.get("first")?, row.get("last")?);
    Ok(Seq(first.cast_unsigned())..=Seq(last.cast_unsigned()))
}

/// The accounts of all streams, of one tenant or of all.
pub(super) fn read(connection: &Connection, tenant: Option<TenantId>) -> Result<Vec<StreamAccount>, StoreError> {
    let wanted = tenant.map(|tenant| Id(tenant.as_uuid()));
    let read = || {
        let mut accounts: BTreeMap<_, [Ranges; 2]> = BTreeMap::new();
        for (place, table) in ["ledger", "declared"].into_iter().enumerate() {
            let sql =
                format!("SELECT tenant, collector, stream, first, last FROM {table} WHERE ?1 IS NULL OR tenant = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([&wanted])?;
            while let Some(row) = rows.next()? {
                let key: (Id, Id, Id) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let sets = accounts.entry((key.0.0, key.1.0, key.2.0)).or_default();
                if let Some(set) = sets.get_mut(place) {
                    set.insert_range(range(row)?);
                }
            }
        }
        Ok(accounts)
    };
    let accounts = read().doing("reading the accounts of streams")?.into_iter();
    let account = accounts.map(|((tenant, collector, stream), [stored, declared])| {
        let (tenant, collector) = (TenantId::from_uuid(tenant), CollectorId::from_uuid(collector));
        StreamAccount::new(tenant, collector, StreamId::from_uuid(stream), stored, declared)
    });
    Ok(account.collect())
}

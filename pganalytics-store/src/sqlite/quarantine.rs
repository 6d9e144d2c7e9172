//! Chunks that can't be read: found by whoever reads them, set aside by the writer.
//!
//! Invariants: nothing is set aside that can be read, whoever says so; what is set aside is
//! a gap to all who read, with its reason, and no query or job meets it again. Its bytes are
//! kept as long as it would have been.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use pganalytics_core::{
    CollectorId, CutSource, Gap, GapReason, InstanceId, Seq, ServerId, Source, StreamId, TenantId, Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    error::Doing,
    inner::Inner,
    read::{self, Place, SchemaCache, measurement_name},
    value::Id,
};
use crate::{error::StoreError, metric_store::StoredGap, quarantine::Quarantined};

/// How `pganalytics_gaps` calls them.
const REASON: &str = "damaged_at_rest";

/// Looks at a chunk that somebody could not read, and sets it aside if nobody can. Says
/// whether it is out of the way now.
pub(super) async fn set_aside(inner: &Arc<Inner>, chunk: u64) -> Result<bool, StoreError> {
    let Ok(id) = i64::try_from(chunk) else { return Ok(false) };
    let schemas = Arc::clone(&inner.schemas);
    let Some(why) = inner.readers.run(move |connection| what_is_wrong(connection, &schemas, id)).await? else {
        return Ok(false);
    };
    let found_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let found_at = i64::try_from(found_at).unwrap_or(i64::MAX);
    tracing::error!(chunk, reason = why, "a chunk is damaged; it is set aside, and queries go on without it");
    inner.set_aside.store(true, Ordering::Release);
    inner.writer.call(1, move |connection, _| put(connection, id, &why, found_at)).await
}

/// Whether anything is set aside.
pub(super) fn any(connection: &Connection) -> Result<bool, StoreError> {
    connection
        .query_row("SELECT EXISTS (SELECT 1 FROM quarantine)", [], |row| row.get(0))
        .doing("reading what was set aside")
}

/// What is wrong with a chunk; `None` when nothing is, or there is none.
fn what_is_wrong(connection: &Connection, cache: &SchemaCache, id: i64) -> Result<Option<String>, StoreError> {
    let doing = "looking at a chunk";
    let chunk = format!("SELECT {} FROM chunks WHERE id = ?1", Place::COLUMNS);
    let mut place = connection.query_row(&chunk, [id], Place::of).optional().doing(doing)?;
    if place.is_none() {
        let head = "SELECT chunk, schema, series FROM heads WHERE chunk = ?1";
        let read =
            |row: &Row<'_>| Ok(Place { id: row.get(0)?, schema: row.get(1)?, link: None, head_of: Some(row.get(2)?) });
        place = connection.query_row(head, [id], read).optional().doing(doing)?;
    }
    let Some(place) = place else { return Ok(None) };
    let read = || {
        let frame = read::frame(connection, cache, &place)?;
        for column in 0..frame.schema().columns().len() {
            frame.column(column).map_err(|error| place.damaged(error))?;
        }
        frame.scrape_of_row().map_err(|error| place.damaged(error))?;
        frame.gone().map_err(|error| place.damaged(error))?;
        frame.links().map_err(|error| place.damaged(error)).map(|_| ())
    };
    match read() {
        Ok(()) => Ok(None),
        Err(StoreError::Damaged { why, .. }) => Ok(Some(why)),
        Err(error) => Err(error),
    }
}

fn put(connection: &Connection, id: i64, why: &str, found_at: i64) -> Result<bool, StoreError> {
    let write = || {
        let moved = connection
            .prepare_cached(
                "INSERT OR REPLACE INTO quarantine
                     (chunk, tenant, collector, measurement, server_id, instance_id, server, database,
                      t_min, t_max, row_count, stream, seq, reason, found_at, data)
                 SELECT c.id, c.tenant, s.collector, s.measurement, s.server_id, s.instance_id,
                        ifnull(n.server, ''), s.database,
                        c.t_min, c.t_max, c.row_count, c.stream, c.seq, ?2, ?3, c.data
                 FROM chunks c JOIN series s ON s.id = c.series LEFT JOIN sources n ON n.id = c.source
                 WHERE c.id = ?1",
            )?
            .execute(params![id, why, found_at])?;
        if moved == 0 {
            // A head is made of what is there.
            return connection.execute("DELETE FROM heads WHERE chunk = ?1", [id]).map(|_| ());
        }
        let series: i64 =
            connection.query_row("DELETE FROM chunks WHERE id = ?1 RETURNING series", [id], |row| row.get(0))?;
        connection
            .execute(
                "UPDATE series SET keyframe = (SELECT max(keyframe) FROM chunks WHERE series = ?1) WHERE id = ?1",
                [series],
            )
            .map(|_| ())
    };
    write().doing("setting a damaged chunk aside").map(|()| true)
}

/// What was set aside, of one tenant or of all, the last found first.
pub(super) fn read(connection: &Connection, tenant: Option<TenantId>) -> Result<Vec<Quarantined>, StoreError> {
    let doing = "reading what was set aside";
    let mut statement = connection
        .prepare_cached(
            "SELECT chunk, collector, measurement, server_id, instance_id, server, database, t_min, t_max, row_count,
                    stream, seq, reason, found_at
             FROM quarantine WHERE ?1 IS NULL OR tenant = ?1 ORDER BY found_at DESC, chunk",
        )
        .doing(doing)?;
    let mut rows = statement.query([tenant.map(|tenant| Id(tenant.as_uuid()))]).doing(doing)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        let measurement: String = row.get(2).doing(doing)?;
        all.push(quarantined(row, &measurement)?);
    }
    Ok(all)
}

fn quarantined(row: &Row<'_>, measurement: &str) -> Result<Quarantined, StoreError> {
    let measurement = measurement_name(measurement)?;
    let read = || -> rusqlite::Result<Quarantined> {
        let stream = row.get::<_, Option<Id>>(10)?.map(|stream| StreamId::from_uuid(stream.0));
        let seq = row.get::<_, Option<i64>>(11)?.map(i64::cast_unsigned);
        Ok(Quarantined {
            chunk: row.get::<_, i64>(0)?.cast_unsigned(),
            collector: CollectorId::from_uuid(row.get::<_, Id>(1)?.0),
            measurement: measurement.clone(),
            source: Source {
                server_id: ServerId::from_uuid(row.get::<_, Id>(3)?.0),
                instance_id: InstanceId::from_uuid(row.get::<_, Id>(4)?.0),
                server: row.get(5)?,
                database: row.get(6)?,
            },
            from: Timestamp::from_micros(row.get(7)?),
            to: Timestamp::from_micros(row.get(8)?),
            rows: row.get::<_, i64>(9)?.cast_unsigned(),
            frame: stream.zip(seq),
            reason: row.get(12)?,
            found_at: Timestamp::from_micros(row.get(13)?),
        })
    };
    read().doing("reading what was set aside")
}

/// What was set aside as gaps: what is carried over it is marked, as over any other.
pub(super) fn gaps(connection: &Connection, tenant: TenantId) -> Result<Vec<StoredGap>, StoreError> {
    let gap = |found: Quarantined| {
        let (stream, seq) = found.frame.unwrap_or((StreamId::from_uuid(uuid::Uuid::nil()), 0));
        StoredGap {
            collector: found.collector,
            stream,
            seq: Seq(seq),
            gap: Gap {
                first: Seq(seq),
                last: Seq(seq),
                from: found.from,
                to: found.to,
                reason: GapReason::Other(REASON.to_owned()),
                detail: format!("chunk {}: {}", found.chunk, found.reason),
                cut: vec![CutSource { source: found.source, measurements: vec![found.measurement] }],
            },
        }
    };
    Ok(read(connection, Some(tenant))?.into_iter().map(gap).collect())
}

/// Drops what is older than anything is kept.
pub(super) const DROP: &str = "DELETE FROM quarantine WHERE chunk IN
    (SELECT chunk FROM quarantine WHERE t_max < ?1 LIMIT ?2)";

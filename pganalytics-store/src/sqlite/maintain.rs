//! Compaction and retention.
//!
//! Both work in small steps. What takes long (decoding, joining, encoding)
//! happens on other threads; the writer only swaps rows, so appends go on.
//! Killed at any moment, a job leaves each run either loose or joined.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use pganalytics_core::{MeasurementName, Schema, TenantId, Timestamp, frame::Frame};
use rusqlite::{Connection, params};

use super::{
    append::{BLOCK, FRAME, NewChunk},
    error::Doing,
    gaps,
    inner::Inner,
    names::Memory,
    read::{self, Place, SchemaCache},
    streams, unnumbered,
    value::Id,
};
use crate::{
    compaction::{self, BLOCK_MICROS, Piece},
    error::StoreError,
    metric_store::JobReport,
    retention::{Retention, SCHEMA_MICROS},
};

/// Bytes and number of blocks that are swapped in one transaction.
const SWAP_BYTES: usize = 4 << 20;
const SWAP_BLOCKS: usize = 64;
/// Most chunks that are dropped in one transaction, and most of their bytes.
const DROP_CHUNKS: i64 = 256;
const DROP_BYTES: i64 = 16 << 20;
/// Pages that are given back in one transaction.
const VACUUM_PAGES: i64 = 256;
/// Free pages that stay for what comes next: 64 MiB, or a tenth of the file.
const SPARE_PAGES: i64 = 4096;

/// A run of chunks and the block that they became.
struct Swap {
    old: Vec<i64>,
    new: Frame,
    place: Run,
}

#[derive(Clone, Copy)]
struct Run {
    tenant: TenantId,
    series: i64,
    source: i64,
    schema: i64,
}

/// Joins the loose frames of finished hours.
pub(super) async fn compact(inner: &Arc<Inner>, before: Timestamp) -> Result<JobReport, StoreError> {
    let _alone = inner.jobs.lock().await;
    let end = compaction::first_open_hour(before);
    let hours = inner.readers.run(move |connection| hours_to_compact(connection, end)).await?;
    let mut report = JobReport::default();
    let mut first_error = None;
    let (mut swaps, mut bytes) = (Vec::new(), 0);
    for (series, hour) in hours {
        let runs = inner.readers.run(move |connection| runs_of(connection, series, hour)).await?;
        for (place, old) in runs {
            let reader = Arc::clone(inner);
            let (old, joined) = {
                let ids = old.iter().map(|place| place.id).collect::<Vec<_>>();
                (ids, inner.readers.run(move |connection| join(connection, &reader.schemas, &old)).await)
            };
            let new = match joined {
                Ok(new) => new,
                Err(error) => {
                    // One damaged frame must not keep all others from being joined.
                    tracing::error!(%error, series, hour, "frames could not be compacted and stay as they are");
                    first_error.get_or_insert(error);
                    continue;
                }
            };
            bytes += new.bytes().len();
            swaps.push(Swap { old, new, place });
            if bytes >= SWAP_BYTES || swaps.len() >= SWAP_BLOCKS {
                swap(inner, std::mem::take(&mut swaps), std::mem::take(&mut bytes), &mut report).await?;
            }
        }
    }
    swap(inner, swaps, bytes, &mut report).await?;
    if report.chunks_out > 0 {
        shrink(inner, SPARE_PAGES).await?;
    }
    first_error.map_or(Ok(report), Err)
}

/// The (series, hour) pairs that hold loose frames, of hours before `end`.
fn hours_to_compact(connection: &Connection, end: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    let doing = "looking for frames to compact";
    let before = end.saturating_mul(BLOCK_MICROS);
    let mut statement = connection
        .prepare_cached("SELECT series, t_min FROM chunks WHERE level = 0 AND t_min < ?1 ORDER BY series, t_min")
        .doing(doing)?;
    let rows = statement
        .query_map([before], |row| Ok((row.get(0)?, compaction::hour_of(Timestamp::from_micros(row.get(1)?)))))
        .doing(doing)?;
    let mut hours: Vec<(i64, i64)> = Vec::new();
    for row in rows {
        let hour = row.doing(doing)?;
        if hours.last() != Some(&hour) {
            hours.push(hour);
        }
    }
    Ok(hours)
}

fn runs_of(connection: &Connection, series: i64, hour: i64) -> Result<Vec<(Run, Vec<Place>)>, StoreError> {
    let doing = "reading an hour's frames";
    let start = hour.saturating_mul(BLOCK_MICROS);
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {}, tenant, source, schema, level, value_count FROM chunks
                 WHERE series = ?1 AND t_min >= ?2 AND t_min < ?3 ORDER BY t_min, t_max, id",
            Place::COLUMNS
        ))
        .doing(doing)?;
    let rows = statement
        .query_map(params![series, start, start.saturating_add(BLOCK_MICROS)], |row| {
            let (source, schema) = (row.get(6)?, row.get(7)?);
            let run = Run { tenant: TenantId::from_uuid(row.get::<_, Id>(5)?.0), series, source, schema };
            let values = u64::try_from(row.get::<_, i64>(9)?).unwrap_or_default();
            let piece = Piece { kind: (source, schema), block: row.get::<_, i64>(8)? != FRAME, values };
            Ok((Place::of(row)?, run, piece))
        })
        .doing(doing)?;
    let rows = rows.collect::<Result<Vec<_>, _>>().doing(doing)?;
    let pieces: Vec<_> = rows.iter().map(|(_, _, piece)| *piece).collect();
    let runs = compaction::plan(&pieces).into_iter().filter_map(|run| {
        let (_, place, _) = rows.get(run.start)?;
        Some((*place, run))
    });
    let runs: Vec<_> = runs.collect();
    let mut places: Vec<Option<Place>> = rows.into_iter().map(|(place, _, _)| Some(place)).collect();
    let mut take = |run| places.get_mut(run).into_iter().flatten().filter_map(Option::take).collect();
    Ok(runs.into_iter().map(|(place, run): (Run, std::ops::Range<usize>)| (place, take(run))).collect())
}

fn join(connection: &Connection, cache: &SchemaCache, places: &[Place]) -> Result<Frame, StoreError> {
    let frames = places.iter().map(|place| read::frame(connection, cache, place)).collect::<Result<Vec<_>, _>>()?;
    compaction::join(&frames).map_err(|error| StoreError::Corrupt(format!("joining {} frames: {error}", places.len())))
}

async fn swap(inner: &Inner, swaps: Vec<Swap>, bytes: usize, report: &mut JobReport) -> Result<(), StoreError> {
    if swaps.is_empty() {
        return Ok(());
    }
    let done = inner
        .writer
        .call(bytes, move |connection, memory| {
            let mut done = JobReport::default();
            for swap in &swaps {
                swap.run(connection, memory, &mut done)?;
            }
            Ok(done)
        })
        .await?;
    report.chunks_in += done.chunks_in;
    report.chunks_out += done.chunks_out;
    report.bytes_in += done.bytes_in;
    report.bytes_out += done.bytes_out;
    Ok(())
}

impl Swap {
    fn run(&self, connection: &Connection, memory: &mut Memory, done: &mut JobReport) -> Result<(), StoreError> {
        let doing = "replacing frames by their block";
        let mut statement =
            connection.prepare_cached("DELETE FROM chunks WHERE id = ?1 RETURNING byte_count").doing(doing)?;
        for id in &self.old {
            let bytes: i64 = statement.query_row([id], |row| row.get(0)).doing(doing)?;
            done.bytes_in += u64::try_from(bytes).unwrap_or_default();
            done.chunks_in += 1;
        }
        let Run { tenant, series, source, schema } = self.place;
        let id = memory.new_chunk();
        NewChunk { id, tenant, series, source, schema, level: BLOCK, frame: &self.new, link: None }
            .insert(connection)?;
        done.chunks_out += 1;
        done.bytes_out += self.new.bytes().len() as u64;
        Ok(())
    }
}

/// Drops what is too old.
pub(super) async fn retain(
    inner: &Arc<Inner>,
    now: Timestamp,
    default: Duration,
    own: Vec<(MeasurementName, Duration)>,
) -> Result<JobReport, StoreError> {
    let _alone = inner.jobs.lock().await;
    let kept = i64::try_from(default.as_micros()).unwrap_or(i64::MAX);
    let oldest = now.plus_micros(kept.saturating_neg());
    let policy = Retention::new(now, default, own);
    let reader = Arc::clone(inner);
    let (due, unused) = inner
        .readers
        .run(move |connection| {
            let due = series_due(connection, &reader.schemas, &policy)?;
            Ok((due, unused_schemas(connection, &reader.schemas, &policy)?))
        })
        .await?;
    let mut report = JobReport::default();
    for (series, cutoff) in due {
        while inner
            .writer
            .call(1, move |connection, _| drop_some(connection, series, cutoff))
            .await?
            .count_in(&mut report)
        {}
        inner.writer.call(1, move |connection, memory| tidy_series(connection, memory, series)).await?;
    }
    inner
        .writer
        .call(1, move |connection, memory| {
            memory.forget();
            gaps::drop_before(connection, oldest)?;
            streams::drop_forks_before(connection, oldest)?;
            unnumbered::forget_old(connection, now)?;
            drop_schemas(connection, &unused)?;
            tidy(connection, now)
        })
        .await?;
    shrink(inner, SPARE_PAGES).await?;
    Ok(report)
}

/// The series that hold scrapes older than their cut-off.
fn series_due(connection: &Connection, cache: &SchemaCache, policy: &Retention) -> Result<Vec<(i64, i64)>, StoreError> {
    let doing = "looking for what is too old";
    let mut statement =
        connection.prepare_cached("SELECT id, tenant, measurement, t_min FROM series ORDER BY id").doing(doing)?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, Id>(1)?, row.get::<_, String>(2)?, row.get::<_, i64>(3)?)))
        .doing(doing)?;
    let rows: Vec<(i64, Id, String, i64)> = rows.collect::<Result<_, _>>().doing(doing)?;
    let mut schemas = HashMap::new();
    let mut due = Vec::new();
    for (series, tenant, measurement, oldest) in rows {
        let of_tenant = match schemas.entry(tenant) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(read::schemas(connection, cache, TenantId::from_uuid(tenant.0))?),
        };
        let cutoff = cutoff_of(of_tenant, policy, &measurement)?;
        if let Some(cutoff) = cutoff.filter(|cutoff| oldest < cutoff.as_micros()) {
            due.push((series, cutoff.as_micros()));
        }
    }
    Ok(due)
}

/// Before which time a measurement is too old.
fn cutoff_of(
    schemas: &HashMap<String, Vec<Arc<Schema>>>,
    policy: &Retention,
    measurement: &str,
) -> Result<Option<Timestamp>, StoreError> {
    let newest = schemas.get(measurement).and_then(|all| all.last());
    Ok(policy.cutoff(&read::measurement_name(measurement)?, newest.map(AsRef::as_ref)))
}

/// The schemas that no chunk can have any more, with the time of their last use:
/// all that came with them is too old.
fn unused_schemas(
    connection: &Connection,
    cache: &SchemaCache,
    policy: &Retention,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let doing = "looking for schemas without use";
    let mut statement = connection
        .prepare_cached("SELECT id, tenant, measurement, used_at FROM schemas ORDER BY tenant, measurement, id")
        .doing(doing)?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, Id>(1)?, row.get::<_, String>(2)?, row.get::<_, i64>(3)?)))
        .doing(doing)?;
    let rows: Vec<(i64, Id, String, i64)> = rows.collect::<Result<_, _>>().doing(doing)?;
    let mut unused = Vec::new();
    let mut schemas = HashMap::new();
    for (id, tenant, measurement, used_at) in rows {
        let of_tenant = match schemas.entry(tenant) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(read::schemas(connection, cache, TenantId::from_uuid(tenant.0))?),
        };
        let cutoff = cutoff_of(of_tenant, policy, &measurement)?;
        if cutoff.is_some_and(|cutoff| used_at < cutoff.as_micros().saturating_sub(SCHEMA_MICROS)) {
            unused.push((id, used_at));
        }
    }
    Ok(unused)
}

/// Drops schemas that were not used since.
fn drop_schemas(connection: &Connection, unused: &[(i64, i64)]) -> Result<(), StoreError> {
    let write = || {
        let mut statement = connection.prepare_cached("DELETE FROM schemas WHERE id = ?1 AND used_at = ?2")?;
        for (id, used_at) in unused {
            statement.execute(params![id, used_at])?;
        }
        // A measurement of which nothing is known any more is as if it had never been.
        connection.execute(
            "DELETE FROM totals WHERE NOT EXISTS (SELECT 1 FROM schemas s
                 WHERE s.tenant = totals.tenant AND s.measurement = totals.measurement)",
            [],
        )
    };
    write().doing("dropping schemas without use").map(|_| ())
}

struct Dropped {
    chunks: u64,
    bytes: u64,
    more: bool,
}

impl Dropped {
    fn count_in(&self, report: &mut JobReport) -> bool {
        report.dropped += self.chunks;
        report.bytes_in += self.bytes;
        self.more
    }
}

fn drop_some(connection: &Connection, series: i64, cutoff: i64) -> Result<Dropped, StoreError> {
    let doing = "dropping what is too old";
    let due = {
        let mut statement = connection
            .prepare_cached(
                "SELECT id, byte_count FROM chunks WHERE series = ?1 AND t_min < ?2 AND t_max < ?2 ORDER BY t_min LIMIT ?3",
            )
            .doing(doing)?;
        let rows = statement.query_map(params![series, cutoff, DROP_CHUNKS], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect::<Result<Vec<(i64, i64)>, _>>).doing(doing)?
    };
    let mut dropped = Dropped { chunks: 0, bytes: 0, more: false };
    let mut bytes = 0;
    let mut statement = connection.prepare_cached("DELETE FROM chunks WHERE id = ?1").doing(doing)?;
    for (id, size) in &due {
        statement.execute([id]).doing(doing)?;
        bytes += size;
        dropped.chunks += 1;
        if bytes >= DROP_BYTES {
            break;
        }
    }
    dropped.bytes = u64::try_from(bytes).unwrap_or_default();
    dropped.more = due.len() as u64 > dropped.chunks || i64::try_from(due.len()) == Ok(DROP_CHUNKS);
    Ok(dropped)
}

/// Says how far back a series goes now; one without chunks goes.
fn tidy_series(connection: &Connection, memory: &mut Memory, series: i64) -> Result<(), StoreError> {
    let mut write = || {
        let oldest: Option<i64> = connection
            .prepare_cached("SELECT min(t_min) FROM chunks WHERE series = ?1")?
            .query_row([series], |row| row.get(0))?;
        match oldest {
            Some(oldest) => connection
                .prepare_cached("UPDATE series SET t_min = ?2 WHERE id = ?1")?
                .execute(params![series, oldest]),
            None => {
                memory.forget();
                connection.prepare_cached("DELETE FROM series WHERE id = ?1")?.execute([series])
            }
        }
    };
    write().doing("dropping what is too old").map(|_| ())
}

/// Drops sources that nothing speaks of any more and who owned them, and refresh
/// tokens that ended.
fn tidy(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM sources WHERE NOT EXISTS (
                 SELECT 1 FROM series s WHERE s.tenant = sources.tenant AND s.server_id = sources.server_id
                 AND s.instance_id = sources.instance_id AND s.database IS sources.database
                 AND s.t_min <= sources.last_seen)",
            [],
        )
        .and_then(|_| {
            connection.execute(
                "DELETE FROM owners WHERE NOT EXISTS (SELECT 1 FROM sources s WHERE s.tenant = owners.tenant
                     AND s.server_id = owners.server_id AND s.instance_id = owners.instance_id)",
                [],
            )
        })
        .and_then(|_| connection.execute("DELETE FROM refresh_tokens WHERE expires_at < ?1", [now.as_micros()]))
        .doing("dropping what is too old")
        .map(|_| ())
}

/// Gives free pages back to the system, but for a share that is written again
/// soon anyway.
pub(super) async fn shrink(inner: &Inner, spare: i64) -> Result<(), StoreError> {
    let step = move |connection: &Connection, _: &mut Memory| {
        let read = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0)).doing("counting pages");
        let (free, all) = (read("PRAGMA freelist_count")?, read("PRAGMA page_count")?);
        let surplus = free - if spare > 0 { spare.max(all / 10) } else { 0 };
        if surplus <= 0 {
            return Ok(false);
        }
        let pages = surplus.min(VACUUM_PAGES);
        let vacuum = || {
            let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        };
        vacuum().doing("giving free pages back")?;
        Ok(surplus > pages)
    };
    while inner.writer.call(1, step).await? {}
    Ok(())
}

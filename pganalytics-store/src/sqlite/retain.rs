//! Retention: of samples, and of all that is kept beside them.
//!
//! What is due is looked for by readers; the writer drops it a slice at a time
//! and looks again at each row that it drops, as frames came in meanwhile.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};

use pganalytics_core::{Schema, TenantId, Timestamp};
use rusqlite::{Connection, params};

use super::{
    error::Doing,
    heads,
    inner::Inner,
    names::Memory,
    quarantine,
    read::{self, SchemaCache},
    shrink::shrink,
    streams, unnumbered,
    value::Id,
    writer::Step,
};
use crate::{
    error::StoreError,
    metric_store::JobReport,
    retention::{Retention, SCHEMA_MICROS},
};

/// Most chunks that are dropped in one step, and most of their bytes.
const DROP_CHUNKS: i64 = 16;
const DROP_BYTES: i64 = 2 << 20;
/// Most small rows that are dropped in one step.
const DROP_ROWS: usize = 64;
/// What dropping a small row writes, about.
const ROW_BYTES: usize = 16 << 10;

/// What a run of retention finds to do.
struct Due {
    /// Series, and before which time.
    series: VecDeque<(i64, i64)>,
    /// Schemas without use, and when they were used last.
    schemas: VecDeque<(i64, i64)>,
    /// Before which time nothing is kept of any measurement; `None`: something
    /// is kept for ever.
    oldest: Option<Timestamp>,
}

/// Drops what is too old.
pub(super) async fn retain(inner: &Arc<Inner>, policy: Retention) -> Result<JobReport, StoreError> {
    let _alone = inner.jobs.lock().await;
    let writer = &inner.writer;
    let now = policy.now();
    let schemas = Arc::clone(&inner.schemas);
    let due = inner.readers.run(move |connection| look(connection, &schemas, &policy)).await?;
    let any = !due.series.is_empty();
    let (_, report) = writer.sliced((due.series, JobReport::default()), drop_chunks).await?;
    if any {
        let measurements = inner.readers.run(measurements).await?;
        writer.sliced(measurements, tell_range).await?;
    }
    writer.sliced(due.schemas, drop_schemas).await?;
    let sources = inner.readers.run(unused_sources).await?;
    writer.sliced(sources, drop_sources).await?;
    let owners = inner.readers.run(unused_owners).await?;
    writer.sliced(owners, drop_owners).await?;
    writer.sliced(unnumbered::oldest(now), drop_keys).await?;
    if let Some(oldest) = due.oldest {
        writer.sliced(oldest.as_micros(), drop_gaps).await?;
        writer.sliced(oldest.as_micros(), drop_forks).await?;
        writer.sliced(oldest.as_micros(), drop_quarantined).await?;
        writer.sliced(Retention::streams_before(now, oldest).as_micros(), streams::drop_silent).await?;
    }
    shrink(inner).await?;
    Ok(report)
}

fn look(connection: &Connection, cache: &SchemaCache, policy: &Retention) -> Result<Due, StoreError> {
    let doing = "looking for what is too old";
    let mut cutoffs = Cutoffs { connection, cache, policy, tenants: HashMap::new() };
    let mut due = Due { series: VecDeque::new(), schemas: VecDeque::new(), oldest: policy.default_cutoff() };
    let mut statement =
        connection.prepare_cached("SELECT id, tenant, measurement, t_min FROM series ORDER BY id").doing(doing)?;
    let mut rows = statement.query([]).doing(doing)?;
    while let Some(row) = rows.next().doing(doing)? {
        let read = || Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?));
        let (series, tenant, measurement, oldest): (i64, Id, String, i64) = read().doing(doing)?;
        let cutoff = cutoffs.of(tenant, &measurement)?;
        due.oldest = due.oldest.zip(cutoff).map(|(known, cutoff)| known.min(cutoff));
        if let Some(cutoff) = cutoff.filter(|cutoff| oldest < cutoff.as_micros()) {
            due.series.push_back((series, cutoff.as_micros()));
        }
    }
    let mut statement = connection
        .prepare_cached("SELECT id, tenant, measurement, used_at FROM schemas ORDER BY tenant, measurement, id")
        .doing(doing)?;
    let mut rows = statement.query([]).doing(doing)?;
    while let Some(row) = rows.next().doing(doing)? {
        let read = || Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?));
        let (id, tenant, measurement, used_at): (i64, Id, String, i64) = read().doing(doing)?;
        let cutoff = cutoffs.of(tenant, &measurement)?;
        // All that came with it is too old.
        if cutoff.is_some_and(|cutoff| used_at < cutoff.as_micros().saturating_sub(SCHEMA_MICROS)) {
            due.schemas.push_back((id, used_at));
        }
    }
    Ok(due)
}

/// Before which time a measurement is too old, each found out once.
struct Cutoffs<'a> {
    connection: &'a Connection,
    cache: &'a SchemaCache,
    policy: &'a Retention,
    tenants: HashMap<Id, OfTenant>,
}

struct OfTenant {
    schemas: HashMap<String, Vec<Arc<Schema>>>,
    known: HashMap<String, Option<Timestamp>>,
}

impl Cutoffs<'_> {
    fn of(&mut self, tenant: Id, measurement: &str) -> Result<Option<Timestamp>, StoreError> {
        let OfTenant { schemas, known } = match self.tenants.entry(tenant) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let schemas = read::schemas(self.connection, self.cache, TenantId::from_uuid(tenant.0))?;
                place.insert(OfTenant { schemas, known: HashMap::new() })
            }
        };
        if let Some(cutoff) = known.get(measurement) {
            return Ok(*cutoff);
        }
        let newest = schemas.get(measurement).and_then(|all| all.last());
        let cutoff = self.policy.cutoff(&read::measurement_name(measurement)?, newest.map(AsRef::as_ref));
        known.insert(measurement.to_owned(), cutoff);
        Ok(cutoff)
    }
}

/// Drops chunks of the next series that are too old; says how far back it goes
/// now. One without chunks goes.
fn drop_chunks(
    connection: &Connection,
    memory: &mut Memory,
    (due, report): &mut (VecDeque<(i64, i64)>, JobReport),
) -> Result<Step, StoreError> {
    let Some(&(series, cutoff)) = due.front() else { return Ok(Step::Done) };
    let doing = "dropping what is too old";
    let old = {
        let mut statement = connection
            .prepare_cached(
                "SELECT id, byte_count FROM chunks WHERE series = ?1 AND t_min < ?2 AND t_max < ?2 ORDER BY t_min LIMIT ?3",
            )
            .doing(doing)?;
        let rows = statement.query_map(params![series, cutoff, DROP_CHUNKS], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect::<Result<Vec<(i64, i64)>, _>>).doing(doing)?
    };
    let (mut dropped, mut bytes) = (0, 0);
    let mut statement = connection.prepare_cached("DELETE FROM chunks WHERE id = ?1").doing(doing)?;
    for (id, size) in &old {
        statement.execute([id]).doing(doing)?;
        bytes += size;
        dropped += 1;
        if bytes >= DROP_BYTES {
            break;
        }
    }
    report.dropped += dropped as u64;
    report.bytes_in += u64::try_from(bytes).unwrap_or_default();
    let all = dropped == old.len() && i64::try_from(old.len()).is_ok_and(|count| count < DROP_CHUNKS);
    if all {
        tidy_series(connection, memory, series)?;
        due.pop_front();
    }
    Ok(Step::More((dropped + 1) * ROW_BYTES))
}

fn tidy_series(connection: &Connection, memory: &mut Memory, series: i64) -> Result<(), StoreError> {
    let doing = "dropping what is too old";
    let oldest: Option<i64> = connection
        .prepare_cached("SELECT min(t_min) FROM chunks WHERE series = ?1")
        .and_then(|mut statement| statement.query_row([series], |row| row.get(0)))
        .doing(doing)?;
    match oldest {
        Some(oldest) => {
            connection
                .prepare_cached("UPDATE series SET t_min = ?2 WHERE id = ?1")
                .and_then(|mut statement| statement.execute(params![series, oldest]))
                .doing(doing)?;
            heads::drop_older(connection, series, oldest)
        }
        None => {
            heads::drop_older(connection, series, i64::MAX)?;
            memory.drop_series(connection, series)
        }
    }
}

fn measurements(connection: &Connection) -> Result<VecDeque<(Id, String)>, StoreError> {
    let read = || {
        let mut statement = connection.prepare_cached("SELECT tenant, measurement FROM totals")?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()
    };
    read().doing("looking for measurements")
}

/// Says of the next measurement from when to when there is any, where something may have gone.
fn tell_range(connection: &Connection, _: &mut Memory, due: &mut VecDeque<(Id, String)>) -> Result<Step, StoreError> {
    let Some((tenant, measurement)) = due.pop_front() else { return Ok(Step::Done) };
    let write = || {
        connection
            .prepare_cached(
                "UPDATE totals SET (t_min, t_max) =
                     (SELECT min(t_min), max(t_max) FROM series WHERE tenant = ?1 AND measurement = ?2)
                 WHERE tenant = ?1 AND measurement = ?2",
            )?
            .execute(params![tenant, measurement])
    };
    write().doing("writing the range of a measurement")?;
    Ok(Step::More(ROW_BYTES))
}

/// Drops the next schema if it was not used since, and then its measurement's
/// totals where it was the last one.
fn drop_schemas(
    connection: &Connection,
    memory: &mut Memory,
    due: &mut VecDeque<(i64, i64)>,
) -> Result<Step, StoreError> {
    let Some((id, used_at)) = due.pop_front() else { return Ok(Step::Done) };
    memory.drop_schema(connection, id, used_at)?;
    Ok(Step::More(2 * ROW_BYTES))
}

/// What tells whether nothing speaks of a source any more.
const UNUSED_SOURCE: &str = "NOT EXISTS (
    SELECT 1 FROM series s WHERE s.tenant = sources.tenant AND s.server_id = sources.server_id
    AND s.instance_id = sources.instance_id AND s.database IS sources.database AND s.t_min <= sources.last_seen)";

fn unused_sources(connection: &Connection) -> Result<VecDeque<i64>, StoreError> {
    let read = || {
        let mut statement = connection.prepare_cached(&format!("SELECT id FROM sources WHERE {UNUSED_SOURCE}"))?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()
    };
    read().doing("looking for sources without samples")
}

fn drop_sources(connection: &Connection, memory: &mut Memory, due: &mut VecDeque<i64>) -> Result<Step, StoreError> {
    let Some(id) = due.pop_front() else { return Ok(Step::Done) };
    memory.drop_source(connection, id, UNUSED_SOURCE)?;
    Ok(Step::More(2 * ROW_BYTES))
}

/// What tells whether nothing speaks of an instance any more.
const UNUSED_OWNER: &str = "NOT EXISTS (SELECT 1 FROM sources s WHERE s.tenant = owners.tenant
    AND s.server_id = owners.server_id AND s.instance_id = owners.instance_id)";

fn unused_owners(connection: &Connection) -> Result<VecDeque<[Id; 3]>, StoreError> {
    let read = || {
        let sql = format!("SELECT tenant, server_id, instance_id FROM owners WHERE {UNUSED_OWNER}");
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
        rows.collect::<Result<_, _>>()
    };
    read().doing("looking for owners without sources")
}

fn drop_owners(connection: &Connection, memory: &mut Memory, due: &mut VecDeque<[Id; 3]>) -> Result<Step, StoreError> {
    let Some(key) = due.pop_front() else { return Ok(Step::Done) };
    let sql =
        format!("DELETE FROM owners WHERE tenant = ?1 AND server_id = ?2 AND instance_id = ?3 AND {UNUSED_OWNER}");
    let dropped = connection
        .prepare_cached(&sql)
        .and_then(|mut statement| statement.execute(key))
        .doing("dropping owners without sources")?;
    if dropped > 0 {
        memory.forget_owners();
    }
    Ok(Step::More(ROW_BYTES))
}

/// Drops some rows of a table by a time in them; done when there are fewer.
fn drop_some(connection: &Connection, doing: &str, sql: &str, before: i64) -> Result<Step, StoreError> {
    let dropped = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params![before, DROP_ROWS as i64]))
        .doing(doing)?;
    Ok(if dropped < DROP_ROWS { Step::Done } else { Step::More(DROP_ROWS * ROW_BYTES / 4) })
}

fn drop_gaps(connection: &Connection, memory: &mut Memory, before: &mut i64) -> Result<Step, StoreError> {
    // What a collector has is counted anew.
    memory.forget_counts();
    let sql = "DELETE FROM gaps WHERE (tenant, collector, stream, seq) IN
                   (SELECT tenant, collector, stream, seq FROM gaps WHERE t_max < ?1 LIMIT ?2)";
    drop_some(connection, "dropping old gaps", sql, *before)
}

fn drop_forks(connection: &Connection, _: &mut Memory, before: &mut i64) -> Result<Step, StoreError> {
    let sql = "DELETE FROM forks WHERE (tenant, collector, stream) IN
                   (SELECT tenant, collector, stream FROM forks WHERE last_at < ?1 LIMIT ?2)";
    drop_some(connection, "dropping old forks", sql, *before)
}

fn drop_quarantined(connection: &Connection, _: &mut Memory, before: &mut i64) -> Result<Step, StoreError> {
    drop_some(connection, "dropping what was set aside", quarantine::DROP, *before)
}

fn drop_keys(connection: &Connection, _: &mut Memory, before: &mut i64) -> Result<Step, StoreError> {
    let sql = "DELETE FROM keyed_pushes WHERE (tenant, collector, key) IN
                   (SELECT tenant, collector, key FROM keyed_pushes WHERE received_at <= ?1 LIMIT ?2)";
    drop_some(connection, "dropping keys of pushes", sql, *before)
}

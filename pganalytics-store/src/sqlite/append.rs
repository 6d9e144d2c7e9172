//! Storing frames: the ledger and the data in one transaction.

use std::{collections::HashMap, sync::Arc};

use pganalytics_core::{
    CollectorId, InstanceId, Link, MeasurementName, Schema, ServerId, Source, StreamId, TenantId, Timestamp,
    frame::{Content, Frame, VerifiedFrame},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{error::Doing, gaps, value::Id};
use crate::{
    error::StoreError,
    ledger::{Changes, Ledger},
    metric_store::{AppendOutcome, FrameOutcome, Origin},
};

/// A frame as it came.
pub(super) const FRAME: i64 = 0;
/// A compacted block.
pub(super) const BLOCK: i64 = 1;

/// Most ledgers that are remembered; past it all are forgotten and read anew.
const MAX_LEDGERS: usize = 20_000;

type LedgerKey = (TenantId, CollectorId, StreamId);

#[derive(PartialEq, Eq, Hash)]
struct SeriesKey {
    tenant: TenantId,
    measurement: MeasurementName,
    server: ServerId,
    instance: InstanceId,
    database: Option<Arc<str>>,
    collector: CollectorId,
}

/// What the writer knows of the file without asking it.
pub(super) struct Memory {
    next_chunk: i64,
    ledgers: HashMap<LedgerKey, Ledger>,
    sources: HashMap<(TenantId, Source), i64>,
    series: HashMap<SeriesKey, i64>,
    schemas: HashMap<(TenantId, u64), (i64, Arc<Schema>)>,
}

impl Memory {
    /// What must be read before the first call. Numbers of chunks are given out
    /// once in the life of a process, so that a job can't take a new chunk for
    /// one that it has seen before.
    pub(super) fn load(connection: &Connection) -> Result<Self, StoreError> {
        let next_chunk = connection
            .query_row("SELECT ifnull(max(id), 0) + 1 FROM chunks", [], |row| row.get(0))
            .doing("reading the last chunk's number")?;
        Ok(Self {
            next_chunk,
            ledgers: HashMap::new(),
            sources: HashMap::new(),
            series: HashMap::new(),
            schemas: HashMap::new(),
        })
    }

    /// Forgets what may not be in the file any more.
    pub(super) fn forget(&mut self) {
        self.ledgers.clear();
        self.sources.clear();
        self.series.clear();
        self.schemas.clear();
    }

    /// A number that no chunk has had.
    pub(super) fn new_chunk(&mut self) -> i64 {
        let id = self.next_chunk;
        self.next_chunk += 1;
        id
    }
}

/// Bytes of frames.
pub(super) fn size_of(frames: &[VerifiedFrame]) -> usize {
    frames.iter().map(|frame| frame.frame().map_or(0, |frame| frame.bytes().len()) + 256).sum()
}

/// Stores frames of one stream.
pub(super) fn append(
    connection: &Connection,
    memory: &mut Memory,
    origin: &Origin,
    stream: StreamId,
    frames: &[VerifiedFrame],
) -> Result<AppendOutcome, StoreError> {
    let mut outcome = AppendOutcome::default();
    let mut tally = Tally::default();
    let key = (origin.tenant, origin.collector, stream);
    let mut ledger = take_ledger(connection, memory, &key)?;
    let mut changes = Changes::default();
    for verified in frames {
        let seq = verified.seq();
        let what = match crate::ledger::refusal(seq) {
            Some(refused) => refused,
            None if !ledger.insert_noting(seq, &mut changes) => FrameOutcome::Duplicate,
            None => {
                match verified.content() {
                    Content::Rows(frame) => {
                        let link = Link { stream, seq, base: verified.position().base };
                        store(connection, memory, &mut tally, origin, frame, link)?;
                    }
                    Content::Gap(gap) => gaps::put(connection, origin, stream, seq, gap)?,
                }
                FrameOutcome::Accepted
            }
        };
        outcome.frames.push((seq, what));
    }
    put_ledger(connection, &key, &changes)?;
    tally.put(connection, origin)?;
    memory.ledgers.insert(key, ledger);
    Ok(outcome)
}

fn take_ledger(connection: &Connection, memory: &mut Memory, key: &LedgerKey) -> Result<Ledger, StoreError> {
    if memory.ledgers.len() > MAX_LEDGERS {
        memory.ledgers.clear();
    }
    if let Some(known) = memory.ledgers.remove(key) {
        return Ok(known);
    }
    let (tenant, collector, stream) = key;
    let read = || {
        let mut statement = connection
            .prepare_cached("SELECT first, last FROM ledger WHERE tenant = ?1 AND collector = ?2 AND stream = ?3")?;
        let keys = params![Id(tenant.as_uuid()), Id(collector.as_uuid()), Id(stream.as_uuid())];
        let ranges = statement.query_map(keys, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        ranges.collect::<Result<Vec<_>, _>>()
    };
    let ranges = read().doing("reading the ledger")?;
    Ok(Ledger::from_ranges(ranges.into_iter().map(|(first, last)| (first.cast_unsigned(), last.cast_unsigned()))))
}

fn put_ledger(connection: &Connection, key: &LedgerKey, changes: &Changes) -> Result<(), StoreError> {
    let (tenant, collector, stream) = key;
    let write = || {
        for (first, last) in &changes.ranges {
            let first = first.cast_signed();
            let (tenant, collector, stream) = (Id(tenant.as_uuid()), Id(collector.as_uuid()), Id(stream.as_uuid()));
            match last {
                Some(last) => connection
                    .prepare_cached(
                        "INSERT INTO ledger (tenant, collector, stream, first, last) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT DO UPDATE SET last = excluded.last",
                    )?
                    .execute(params![tenant, collector, stream, first, last.cast_signed()])?,
                None => connection
                    .prepare_cached(
                        "DELETE FROM ledger WHERE tenant = ?1 AND collector = ?2 AND stream = ?3 AND first = ?4",
                    )?
                    .execute(params![tenant, collector, stream, first])?,
            };
        }
        Ok(())
    };
    write().doing("writing the ledger")
}

fn store(
    connection: &Connection,
    memory: &mut Memory,
    tally: &mut Tally,
    origin: &Origin,
    frame: &Frame,
    link: Link,
) -> Result<(), StoreError> {
    let (from, to) = frame.time_range();
    let source = source_of(connection, memory, origin, frame.source(), (from, to))?;
    let schema = schema_of(connection, memory, origin.tenant, frame.schema())?;
    let series = series_of(connection, memory, origin, frame, (from, to))?;
    tally.add(source, series, frame);
    let id = memory.new_chunk();
    let (tenant, link) = (origin.tenant, Some(link));
    let chunk = NewChunk { id, tenant, series, source, schema, level: FRAME, frame, link };
    chunk.insert(connection)
}

/// A row of `chunks`.
pub(super) struct NewChunk<'a> {
    pub(super) id: i64,
    pub(super) tenant: TenantId,
    pub(super) series: i64,
    pub(super) source: i64,
    pub(super) schema: i64,
    pub(super) level: i64,
    pub(super) frame: &'a Frame,
    /// Where a frame stands in its stream; blocks know it themselves.
    pub(super) link: Option<Link>,
}

impl NewChunk<'_> {
    pub(super) fn insert(&self, connection: &Connection) -> Result<(), StoreError> {
        let (from, to) = self.frame.time_range();
        // The schema is in a table of its own.
        let data: &[u8] = self.frame.without_schema();
        let write = || {
            connection
                .prepare_cached(
                    "INSERT INTO chunks (id, tenant, series, source, schema, level, t_min, t_max,
                                         row_count, value_count, byte_count, keyframe, stream, seq, base, data)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                )?
                .execute(params![
                    self.id,
                    Id(self.tenant.as_uuid()),
                    self.series,
                    self.source,
                    self.schema,
                    self.level,
                    from.as_micros(),
                    to.as_micros(),
                    count(self.frame.rows() as u64),
                    count(self.frame.value_count()),
                    count(data.len() as u64),
                    self.frame.last_keyframe().map(Timestamp::as_micros),
                    self.link.map(|link| Id(link.stream.as_uuid())),
                    self.link.map(|link| link.seq.0.cast_signed()),
                    self.link.and_then(|link| link.base).map(|base| base.0.cast_signed()),
                    data,
                ])
        };
        write().doing("writing a frame").map(|_| ())
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

type Times = (Timestamp, Timestamp);

fn source_of(
    connection: &Connection,
    memory: &mut Memory,
    origin: &Origin,
    source: &Source,
    (from, to): Times,
) -> Result<i64, StoreError> {
    let key = (origin.tenant, source.clone());
    if let Some(&id) = memory.sources.get(&key) {
        return Ok(id);
    }
    let put = || {
        connection
            .prepare_cached(
                "INSERT INTO sources (tenant, server_id, instance_id, server, database, collector, first_seen, last_seen)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT DO UPDATE SET collector = excluded.collector
                 RETURNING id",
            )?
            .query_row(
                params![
                    Id(origin.tenant.as_uuid()),
                    Id(source.server_id.as_uuid()),
                    Id(source.instance_id.as_uuid()),
                    source.server,
                    source.database,
                    Id(origin.collector.as_uuid()),
                    from.as_micros(),
                    to.as_micros(),
                ],
                |row| row.get(0),
            )
    };
    let id = put().doing("writing a source")?;
    memory.sources.insert(key, id);
    Ok(id)
}

fn series_of(
    connection: &Connection,
    memory: &mut Memory,
    origin: &Origin,
    frame: &Frame,
    (from, to): Times,
) -> Result<i64, StoreError> {
    let source = frame.source();
    let key = SeriesKey {
        tenant: origin.tenant,
        measurement: frame.schema().measurement().clone(),
        server: source.server_id,
        instance: source.instance_id,
        database: source.database.clone(),
        collector: origin.collector,
    };
    if let Some(&id) = memory.series.get(&key) {
        return Ok(id);
    }
    let put = || {
        connection
            .prepare_cached(
                "INSERT INTO series (tenant, measurement, server_id, instance_id, database, collector, t_min, t_max)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT DO UPDATE SET t_min = min(t_min, excluded.t_min)
                 RETURNING id",
            )?
            .query_row(
                params![
                    Id(key.tenant.as_uuid()),
                    key.measurement.as_str(),
                    Id(key.server.as_uuid()),
                    Id(key.instance.as_uuid()),
                    key.database,
                    Id(key.collector.as_uuid()),
                    from.as_micros(),
                    to.as_micros(),
                ],
                |row| row.get(0),
            )
    };
    let id = put().doing("writing a series")?;
    memory.series.insert(key, id);
    Ok(id)
}

fn schema_of(
    connection: &Connection,
    memory: &mut Memory,
    tenant: TenantId,
    schema: &Arc<Schema>,
) -> Result<i64, StoreError> {
    let fingerprint = schema.fingerprint();
    match memory.schemas.get(&(tenant, fingerprint)) {
        Some((id, known)) if known == schema => return Ok(*id),
        Some(_) => return Err(StoreError::Corrupt(format!("two schemas have the fingerprint {fingerprint:016x}"))),
        None => {}
    }
    let measurement = schema.measurement().as_str();
    let find = || {
        connection
            .prepare_cached("SELECT id FROM schemas WHERE tenant = ?1 AND measurement = ?2 AND fingerprint = ?3")?
            .query_row(params![Id(tenant.as_uuid()), measurement, fingerprint.cast_signed()], |row| row.get(0))
            .optional()
    };
    let id = if let Some(id) = find().doing("reading a schema")? {
        id
    } else {
        let body =
            serde_json::to_string(schema.as_ref()).map_err(|error| StoreError::backend("writing a schema", error))?;
        connection
            .execute(
                "INSERT INTO schemas (tenant, measurement, fingerprint, body) VALUES (?1, ?2, ?3, ?4)",
                params![Id(tenant.as_uuid()), measurement, fingerprint.cast_signed(), body],
            )
            .doing("writing a schema")?;
        connection.last_insert_rowid()
    };
    memory.schemas.insert((tenant, fingerprint), (id, Arc::clone(schema)));
    Ok(id)
}

/// What an append adds to the summaries, written once at its end.
#[derive(Default)]
struct Tally {
    sources: HashMap<i64, Times>,
    series: HashMap<i64, Times>,
    totals: HashMap<MeasurementName, (u64, u64, u64)>,
}

impl Tally {
    fn add(&mut self, source: i64, series: i64, frame: &Frame) {
        let (from, to) = frame.time_range();
        for (map, id) in [(&mut self.sources, source), (&mut self.series, series)] {
            let times = map.entry(id).or_insert((from, to));
            *times = (times.0.min(from), times.1.max(to));
        }
        let (scrapes, rows, values) = self.totals.entry(frame.schema().measurement().clone()).or_default();
        *scrapes += frame.scrapes().len() as u64;
        *rows += frame.rows() as u64;
        *values += frame.value_count();
    }

    fn put(self, connection: &Connection, origin: &Origin) -> Result<(), StoreError> {
        let write = || {
            for (id, (from, to)) in &self.sources {
                connection
                    .prepare_cached(
                        "UPDATE sources SET collector = ?2, first_seen = min(first_seen, ?3),
                                            last_seen = max(last_seen, ?4) WHERE id = ?1",
                    )?
                    .execute(params![id, Id(origin.collector.as_uuid()), from.as_micros(), to.as_micros()])?;
            }
            for (id, (from, to)) in &self.series {
                connection
                    .prepare_cached("UPDATE series SET t_min = min(t_min, ?2), t_max = max(t_max, ?3) WHERE id = ?1")?
                    .execute(params![id, from.as_micros(), to.as_micros()])?;
            }
            for (measurement, (scrapes, rows, values)) in &self.totals {
                connection
                    .prepare_cached(
                        "INSERT INTO totals (tenant, measurement, scrape_count, row_count, value_count)
                         VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT DO UPDATE SET scrape_count = scrape_count + excluded.scrape_count,
                             row_count = row_count + excluded.row_count,
                             value_count = value_count + excluded.value_count",
                    )?
                    .execute(params![
                        Id(origin.tenant.as_uuid()),
                        measurement.as_str(),
                        count(*scrapes),
                        count(*rows),
                        count(*values)
                    ])?;
            }
            Ok(())
        };
        write().doing("writing the summaries")
    }
}

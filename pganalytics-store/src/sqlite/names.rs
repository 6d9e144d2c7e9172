//! The names that frames bring: sources, series, schemas, who owns them, and
//! how many a collector has.
//!
//! The tables are the truth; [`Memory`] is what the writer knows of them without
//! asking. Nothing is written before it is sure that the frame may have all
//! that it needs.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use pganalytics_core::{
    CollectorId, InstanceId, MeasurementName, Schema, ServerId, Source, StreamId, TenantId, Timestamp, frame::Frame,
};
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::{error::Doing, read, streams::KnownStream, value::Id};
use crate::{
    error::StoreError,
    metric_store::{FrameOutcome, Origin},
    quota::{Held, Owner, Quotas},
};

/// Most ledgers that are remembered; past it all are forgotten and read anew.
const MAX_LEDGERS: usize = 20_000;
/// The same for names of each kind.
const MAX_NAMES: usize = 200_000;
/// How late the file may say that an owner was heard, in microseconds.
const HEARD_LATE: i64 = 15_000_000;
/// How late it may say that a schema was used.
const USED_LATE: i64 = 3600 * 1_000_000;

pub(super) type LedgerKey = (TenantId, CollectorId, StreamId);

#[derive(PartialEq, Eq, Hash)]
struct SeriesKey {
    tenant: TenantId,
    measurement: MeasurementName,
    server: ServerId,
    instance: InstanceId,
    database: Option<Arc<str>>,
    collector: CollectorId,
}

struct KnownSchema {
    id: i64,
    schema: Arc<Schema>,
    used_at: Timestamp,
}

/// What the writer knows of the file without asking it.
pub(super) struct Memory {
    next_chunk: i64,
    /// Pushes with a key so far.
    keys: u64,
    ledgers: HashMap<LedgerKey, KnownStream>,
    sources: HashMap<(TenantId, Source), i64>,
    series: HashMap<SeriesKey, i64>,
    schemas: HashMap<(TenantId, u64), KnownSchema>,
    owners: HashMap<(TenantId, ServerId, InstanceId), Owner>,
    held: HashMap<(TenantId, CollectorId), Held>,
}

/// Numbers of what a frame names.
pub(super) struct Names {
    pub(super) source: i64,
    pub(super) series: i64,
    pub(super) schema: i64,
}

fn remember<K: Hash + Eq, V>(names: &mut HashMap<K, V>, key: K, value: V) {
    if names.len() >= MAX_NAMES {
        names.clear();
    }
    names.insert(key, value);
}

impl Memory {
    /// What must be read before the first call. Numbers of chunks are given out
    /// once in the life of a process, so that a job can't take a new chunk for
    /// one that it has seen before.
    pub(super) fn load(connection: &Connection) -> Result<Self, StoreError> {
        let next_chunk = connection
            .query_row(
                "SELECT 1 + max((SELECT ifnull(max(id), 0) FROM chunks), (SELECT ifnull(max(chunk), 0) FROM heads),
                                (SELECT ifnull(max(chunk), 0) FROM quarantine))",
                [],
                |row| row.get(0),
            )
            .doing("reading the last chunk's number")?;
        Ok(Self {
            next_chunk,
            keys: 0,
            ledgers: HashMap::new(),
            sources: HashMap::new(),
            series: HashMap::new(),
            schemas: HashMap::new(),
            owners: HashMap::new(),
            held: HashMap::new(),
        })
    }

    /// Forgets what may not be in the file any more.
    pub(super) fn forget(&mut self) {
        self.ledgers.clear();
        self.sources.clear();
        self.series.clear();
        self.schemas.clear();
        self.owners.clear();
        self.held.clear();
    }

    /// A number that no chunk has had.
    pub(super) fn new_chunk(&mut self) -> i64 {
        let id = self.next_chunk;
        self.next_chunk += 1;
        id
    }

    /// Counts a push with a key; says how many there were.
    pub(super) fn count_key(&mut self) -> u64 {
        self.keys += 1;
        self.keys
    }

    pub(super) fn take_ledger(&mut self, key: &LedgerKey) -> Option<KnownStream> {
        self.ledgers.remove(key)
    }

    pub(super) fn put_ledger(&mut self, key: LedgerKey, ledger: KnownStream) {
        if self.ledgers.len() >= MAX_LEDGERS {
            self.ledgers.clear();
        }
        self.ledgers.insert(key, ledger);
    }

    /// Counts `more` for the collector, or says why it may not have it.
    pub(super) fn take(
        &mut self,
        connection: &Connection,
        origin: &Origin,
        more: &Held,
    ) -> Result<Option<FrameOutcome>, StoreError> {
        if *more == Held::default() {
            return Ok(None);
        }
        if self.held.len() >= MAX_LEDGERS {
            self.held.clear();
        }
        let held = match self.held.entry((origin.tenant, origin.collector)) {
            Entry::Occupied(known) => known.into_mut(),
            // Nobody asks for the count of who may have everything.
            Entry::Vacant(_) if (Quotas { owns_for: None, ..origin.quotas }) == Quotas::NONE => return Ok(None),
            Entry::Vacant(place) => place.insert(count(connection, origin)?),
        };
        let refused = held.refusal(more, &origin.quotas);
        if refused.is_none() {
            held.add(more);
        }
        Ok(refused)
    }

    /// Holes of the collector's streams that are filled now.
    pub(super) fn joined(&mut self, origin: &Origin, holes: u64) {
        if let Some(held) = self.held.get_mut(&(origin.tenant, origin.collector)) {
            held.streams = held.streams.saturating_sub(holes);
        }
    }

    /// The numbers of what a frame names; new names get theirs. `more` is what
    /// the frame adds besides.
    pub(super) fn name(
        &mut self,
        connection: &Connection,
        origin: &Origin,
        frame: &Frame,
        more: Held,
    ) -> Result<Result<Names, FrameOutcome>, StoreError> {
        let place = (origin.tenant, frame.source().server_id, frame.source().instance_id);
        let owner = match origin.quotas.owns_for {
            Some(_) => self.owner(connection, place)?,
            None => None,
        };
        if let Some(owner) = owner.filter(|owner| !owner.lets(origin.collector, &origin.quotas, origin.received_at)) {
            return Ok(Err(owner.refusal(frame.source())));
        }
        let source = self.find_source(connection, origin.tenant, frame.source())?;
        let used_at = origin.received_at.max(frame.time_range().1);
        let schema = self.find_schema(connection, origin.tenant, frame.schema(), used_at)?;
        let key = SeriesKey {
            tenant: origin.tenant,
            measurement: frame.schema().measurement().clone(),
            server: place.1,
            instance: place.2,
            database: frame.source().database.clone(),
            collector: origin.collector,
        };
        let series = self.find_series(connection, &key)?;
        let more = Held {
            sources: u64::from(source.is_none()),
            schemas: u64::from(schema.is_none()),
            series: u64::from(series.is_none()),
            measurements: u64::from(series.is_none() && !measures(connection, origin, &key.measurement)?),
            ..more
        };
        if let Some(refused) = self.take(connection, origin, &more)? {
            return Ok(Err(refused));
        }
        let times = frame.time_range();
        let source = match source {
            Some(id) => id,
            None => self.add_source(connection, origin, frame.source(), times)?,
        };
        let schema = match schema {
            Some(id) => id,
            None => self.add_schema(connection, origin, frame.schema(), used_at)?,
        };
        let series = match series {
            Some(id) => id,
            None => add_series(connection, &key, times)?,
        };
        if !self.series.contains_key(&key) {
            remember(&mut self.series, key, series);
        }
        if origin.quotas.owns_for.is_some() {
            self.own(connection, origin, place, owner)?;
        }
        Ok(Ok(Names { source, series, schema }))
    }

    fn owner(
        &mut self,
        connection: &Connection,
        place: (TenantId, ServerId, InstanceId),
    ) -> Result<Option<Owner>, StoreError> {
        if let Some(known) = self.owners.get(&place) {
            return Ok(Some(*known));
        }
        let (tenant, server, instance) = place;
        let owner = connection
            .prepare_cached(
                "SELECT collector, heard_at FROM owners WHERE tenant = ?1 AND server_id = ?2 AND instance_id = ?3",
            )
            .and_then(|mut statement| {
                let keys = params![Id(tenant.as_uuid()), Id(server.as_uuid()), Id(instance.as_uuid())];
                let owner = statement.query_row(keys, |row| {
                    Ok(Owner {
                        collector: CollectorId::from_uuid(row.get::<_, Id>(0)?.0),
                        heard_at: Timestamp::from_micros(row.get(1)?),
                    })
                });
                owner.optional()
            })
            .doing("reading an owner")?;
        if let Some(owner) = owner {
            remember(&mut self.owners, place, owner);
        }
        Ok(owner)
    }

    /// Notes that the collector speaks of an instance.
    fn own(
        &mut self,
        connection: &Connection,
        origin: &Origin,
        place: (TenantId, ServerId, InstanceId),
        before: Option<Owner>,
    ) -> Result<(), StoreError> {
        let now = Owner { collector: origin.collector, heard_at: origin.received_at };
        let late = |known: Owner| now.heard_at.micros_since(known.heard_at) >= HEARD_LATE;
        if before.is_some_and(|known| known.collector == now.collector && !late(known)) {
            return Ok(());
        }
        if let Some(before) = before.filter(|known| known.collector != now.collector) {
            tracing::info!(
                server = %place.1, instance = %place.2, from = %before.collector, to = %now.collector,
                "a collector was silent about an instance, another one has it now"
            );
        }
        let (tenant, server, instance) = place;
        connection
            .prepare_cached(
                "INSERT INTO owners (tenant, server_id, instance_id, collector, heard_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET collector = excluded.collector, heard_at = excluded.heard_at",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    Id(tenant.as_uuid()),
                    Id(server.as_uuid()),
                    Id(instance.as_uuid()),
                    Id(now.collector.as_uuid()),
                    now.heard_at.as_micros(),
                ])
            })
            .doing("writing an owner")?;
        remember(&mut self.owners, place, now);
        Ok(())
    }

    /// Owners were changed.
    pub(super) fn forget_owners(&mut self) {
        self.owners.clear();
    }

    /// What collectors have was dropped; it is counted when it is asked for.
    pub(super) fn forget_counts(&mut self) {
        self.held.clear();
    }

    /// A stream is dropped.
    pub(super) fn forget_stream(&mut self, [tenant, collector, stream]: [Id; 3]) {
        let (tenant, collector) = (TenantId::from_uuid(tenant.0), CollectorId::from_uuid(collector.0));
        self.ledgers.remove(&(tenant, collector, StreamId::from_uuid(stream.0)));
        self.held.remove(&(tenant, collector));
    }

    /// Drops a series.
    pub(super) fn drop_series(&mut self, connection: &Connection, id: i64) -> Result<(), StoreError> {
        let key = connection
            .prepare_cached(
                "DELETE FROM series WHERE id = ?1
                 RETURNING tenant, measurement, server_id, instance_id, database, collector",
            )
            .and_then(|mut statement| {
                statement.query_row([id], |row| {
                    let ids = [row.get::<_, Id>(0)?, row.get(2)?, row.get(3)?, row.get(5)?].map(|id: Id| id.0);
                    Ok((ids, row.get::<_, String>(1)?, row.get::<_, Option<String>>(4)?))
                })
            })
            .doing("dropping what is too old")?;
        let ([tenant, server, instance, collector], measurement, database) = key;
        let key = SeriesKey {
            tenant: TenantId::from_uuid(tenant),
            measurement: read::measurement_name(&measurement)?,
            server: ServerId::from_uuid(server),
            instance: InstanceId::from_uuid(instance),
            database: database.map(Into::into),
            collector: CollectorId::from_uuid(collector),
        };
        self.held.remove(&(key.tenant, key.collector));
        self.series.remove(&key);
        Ok(())
    }

    /// Drops a source if it is still as `unused` says.
    pub(super) fn drop_source(&mut self, connection: &Connection, id: i64, unused: &str) -> Result<(), StoreError> {
        let dropped = connection
            .prepare_cached(&format!("DELETE FROM sources WHERE id = ?1 AND {unused} RETURNING tenant, collector"))
            .and_then(|mut statement| {
                statement.query_row([id], |row| Ok([row.get::<_, Id>(0)?, row.get(1)?])).optional()
            })
            .doing("dropping what is too old")?;
        if let Some([tenant, collector]) = dropped {
            // Seldom: they are found again by their names.
            self.sources.clear();
            self.held.remove(&(TenantId::from_uuid(tenant.0), CollectorId::from_uuid(collector.0)));
        }
        Ok(())
    }

    /// Drops a schema if it was not used since, and the totals of its measurement
    /// if it was the last one: of that nothing is known any more, as if it had
    /// never been.
    pub(super) fn drop_schema(&mut self, connection: &Connection, id: i64, used_at: i64) -> Result<(), StoreError> {
        let mut write = || {
            let dropped = connection
                .prepare_cached(
                    "DELETE FROM schemas WHERE id = ?1 AND used_at = ?2
                     RETURNING tenant, measurement, fingerprint, collector",
                )?
                .query_row([id, used_at], |row| {
                    Ok((row.get::<_, Id>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?, row.get::<_, Id>(3)?))
                })
                .optional()?;
            let Some((tenant, measurement, fingerprint, collector)) = dropped else { return Ok(()) };
            let owner = TenantId::from_uuid(tenant.0);
            self.schemas.remove(&(owner, fingerprint.cast_unsigned()));
            self.held.remove(&(owner, CollectorId::from_uuid(collector.0)));
            connection
                .prepare_cached(
                    "DELETE FROM totals WHERE tenant = ?1 AND measurement = ?2 AND NOT EXISTS (
                         SELECT 1 FROM schemas s WHERE s.tenant = ?1 AND s.measurement = ?2)",
                )?
                .execute(params![tenant, measurement])
                .map(|_| ())
        };
        write().doing("dropping schemas without use")
    }

    fn find_source(
        &mut self,
        connection: &Connection,
        tenant: TenantId,
        source: &Source,
    ) -> Result<Option<i64>, StoreError> {
        let key = (tenant, source.clone());
        if let Some(&id) = self.sources.get(&key) {
            return Ok(Some(id));
        }
        let id = find(
            connection,
            "SELECT id FROM sources WHERE tenant = ?1 AND server_id = ?2 AND instance_id = ?3 AND server = ?4
             AND ifnull('/' || database, '') = ifnull('/' || ?5, '')",
            params![
                Id(tenant.as_uuid()),
                Id(source.server_id.as_uuid()),
                Id(source.instance_id.as_uuid()),
                source.server,
                source.database,
            ],
        )?;
        if let Some(id) = id {
            remember(&mut self.sources, key, id);
        }
        Ok(id)
    }

    fn add_source(
        &mut self,
        connection: &Connection,
        origin: &Origin,
        source: &Source,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<i64, StoreError> {
        let id = insert(
            connection,
            "INSERT INTO sources (tenant, server_id, instance_id, server, database, collector, first_seen, last_seen)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
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
        )?;
        remember(&mut self.sources, (origin.tenant, source.clone()), id);
        Ok(id)
    }

    fn find_series(&self, connection: &Connection, key: &SeriesKey) -> Result<Option<i64>, StoreError> {
        if let Some(&id) = self.series.get(key) {
            return Ok(Some(id));
        }
        find(
            connection,
            "SELECT id FROM series WHERE tenant = ?1 AND measurement = ?2 AND server_id = ?3 AND instance_id = ?4
             AND ifnull('/' || database, '') = ifnull('/' || ?5, '') AND collector = ?6",
            params![
                Id(key.tenant.as_uuid()),
                key.measurement.as_str(),
                Id(key.server.as_uuid()),
                Id(key.instance.as_uuid()),
                key.database,
                Id(key.collector.as_uuid()),
            ],
        )
    }

    fn find_schema(
        &mut self,
        connection: &Connection,
        tenant: TenantId,
        schema: &Arc<Schema>,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let fingerprint = schema.fingerprint();
        if !self.schemas.contains_key(&(tenant, fingerprint)) {
            let known = connection
                .prepare_cached(
                    "SELECT id, used_at FROM schemas WHERE tenant = ?1 AND measurement = ?2 AND fingerprint = ?3",
                )
                .and_then(|mut statement| {
                    let keys = params![Id(tenant.as_uuid()), schema.measurement().as_str(), fingerprint.cast_signed()];
                    statement.query_row(keys, |row| Ok((row.get(0)?, row.get(1)?))).optional()
                })
                .doing("reading a schema")?;
            let Some((id, used_at)) = known else { return Ok(None) };
            let known = KnownSchema { id, schema: Arc::clone(schema), used_at: Timestamp::from_micros(used_at) };
            remember(&mut self.schemas, (tenant, fingerprint), known);
        }
        let Some(known) = self.schemas.get_mut(&(tenant, fingerprint)) else { return Ok(None) };
        if known.schema != *schema {
            return Err(StoreError::Corrupt(format!("two schemas have the fingerprint {fingerprint:016x}")));
        }
        if now.micros_since(known.used_at) >= USED_LATE {
            connection
                .prepare_cached("UPDATE schemas SET used_at = ?2 WHERE id = ?1")
                .and_then(|mut statement| statement.execute(params![known.id, now.as_micros()]))
                .doing("writing a schema")?;
            known.used_at = now;
        }
        Ok(Some(known.id))
    }

    fn add_schema(
        &mut self,
        connection: &Connection,
        origin: &Origin,
        schema: &Arc<Schema>,
        used_at: Timestamp,
    ) -> Result<i64, StoreError> {
        let body =
            serde_json::to_string(schema.as_ref()).map_err(|error| StoreError::backend("writing a schema", error))?;
        let id = insert(
            connection,
            "INSERT INTO schemas (tenant, measurement, fingerprint, body, collector, used_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                Id(origin.tenant.as_uuid()),
                schema.measurement().as_str(),
                schema.fingerprint().cast_signed(),
                body,
                Id(origin.collector.as_uuid()),
                used_at.as_micros(),
            ],
        )?;
        let known = KnownSchema { id, schema: Arc::clone(schema), used_at };
        remember(&mut self.schemas, (origin.tenant, schema.fingerprint()), known);
        Ok(id)
    }
}

fn add_series(connection: &Connection, key: &SeriesKey, (from, to): (Timestamp, Timestamp)) -> Result<i64, StoreError> {
    insert(
        connection,
        "INSERT INTO series (tenant, measurement, server_id, instance_id, database, collector, t_min, t_max, interval)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)",
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
    )
}

fn find(connection: &Connection, sql: &str, keys: impl Params) -> Result<Option<i64>, StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(keys, |row| row.get(0)).optional())
        .doing("looking for a name")
}

fn insert(connection: &Connection, sql: &str, values: impl Params) -> Result<i64, StoreError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.insert(values)).doing("writing a name")
}

/// Whether the collector has series of a measurement.
fn measures(connection: &Connection, origin: &Origin, measurement: &MeasurementName) -> Result<bool, StoreError> {
    connection
        .prepare_cached("SELECT 1 FROM series WHERE tenant = ?1 AND collector = ?2 AND measurement = ?3 LIMIT 1")
        .and_then(|mut statement| {
            let keys = params![Id(origin.tenant.as_uuid()), Id(origin.collector.as_uuid()), measurement.as_str()];
            statement.exists(keys)
        })
        .doing("looking for a measurement")
}

/// What the collector has.
fn count(connection: &Connection, origin: &Origin) -> Result<Held, StoreError> {
    let one = |sql: &str| -> rusqlite::Result<u64> {
        let keys = params![Id(origin.tenant.as_uuid()), Id(origin.collector.as_uuid())];
        let count: i64 = connection.prepare_cached(sql)?.query_row(keys, |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    };
    let all = || {
        Ok(Held {
            sources: one("SELECT count(*) FROM sources WHERE tenant = ?1 AND collector = ?2")?,
            series: one("SELECT count(*) FROM series WHERE tenant = ?1 AND collector = ?2")?,
            measurements: one("SELECT count(DISTINCT measurement) FROM series WHERE tenant = ?1 AND collector = ?2")?,
            schemas: one("SELECT count(*) FROM schemas WHERE tenant = ?1 AND collector = ?2")?,
            gaps: one("SELECT count(*) FROM gaps WHERE tenant = ?1 AND collector = ?2")?,
            streams: one("SELECT count(*) FROM ledger WHERE tenant = ?1 AND collector = ?2")?,
        })
    };
    all().doing("counting what a collector has")
}

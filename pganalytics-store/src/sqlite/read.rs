//! What queries and inventories read.

use std::{
    collections::{HashMap, VecDeque},
    io::Read as _,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use pganalytics_core::{
    CollectorId, InstanceId, Link, MeasurementName, Schema, Seq, ServerId, Source, StreamId, TenantId, Timestamp,
    frame::{Frame, FrameError},
};
use rusqlite::{Connection, MAIN_DB, Row};

use super::{
    error::{Doing, meaning},
    find::{self, Wanted},
    parts,
    pool::{Reader, blocking},
    reader::SqliteReader,
    value::Id,
};
use crate::{
    chunk::{Chunk, ChunkSelect, Pick, StoredMeasurement},
    compaction::at_rest,
    error::StoreError,
    metric_store::SeenSource,
    stored_schema,
};

/// Bytes of chunks that are read at a time; a consumer that lingers holds no
/// more than this.
const READ_BYTES: usize = 2 << 20;

/// Chunks that are read at a time, so that work on the first begins while others are read.
const READ_CHUNKS: usize = 8;

/// Most schemas that are remembered; past it all are forgotten and read anew.
const MOST_SCHEMAS: usize = 20_000;

/// Schemas that were read before, by their number, with their fingerprints.
pub(super) type SchemaCache = Mutex<HashMap<i64, (u64, Arc<Schema>)>>;

/// A schema by its number.
pub(super) fn schema(connection: &Connection, cache: &SchemaCache, id: i64) -> Result<(u64, Arc<Schema>), StoreError> {
    if let Some(known) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
        return Ok(known.clone());
    }
    let body: String = connection
        .query_row("SELECT body FROM schemas WHERE id = ?1", [id], |row| row.get(0))
        .doing("reading a schema")?;
    let schema = stored_schema::from_json(&body).map_err(|why| StoreError::Corrupt(format!("schema {id}: {why}")))?;
    let known = (schema.fingerprint(), Arc::new(schema));
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= MOST_SCHEMAS {
        cache.clear();
    }
    cache.insert(id, known.clone());
    Ok(known)
}

/// A measurement's name from the file.
pub(super) fn measurement_name(text: &str) -> Result<MeasurementName, StoreError> {
    MeasurementName::new(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// All schemas of a tenant by measurement, oldest first.
pub(super) fn schemas(
    connection: &Connection,
    cache: &SchemaCache,
    tenant: TenantId,
) -> Result<HashMap<String, Vec<Arc<Schema>>>, StoreError> {
    let doing = "reading the schemas";
    let rows = {
        let mut statement = connection
            .prepare_cached("SELECT id, measurement FROM schemas WHERE tenant = ?1 ORDER BY id")
            .doing(doing)?;
        let rows = statement
            .query_map([Id(tenant.as_uuid())], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
            .doing(doing)?;
        rows.collect::<Result<Vec<_>, _>>().doing(doing)?
    };
    let mut by_measurement: HashMap<String, Vec<Arc<Schema>>> = HashMap::new();
    for (id, measurement) in rows {
        by_measurement.entry(measurement).or_default().push(schema(connection, cache, id)?.1);
    }
    Ok(by_measurement)
}

/// The measurements of a tenant, by name.
pub(super) fn stored(
    connection: &Connection,
    cache: &SchemaCache,
    tenant: TenantId,
) -> Result<Vec<StoredMeasurement>, StoreError> {
    let doing = "reading the measurements";
    let schemas = schemas(connection, cache, tenant)?;
    let mut statement = connection
        .prepare_cached(
            "SELECT measurement, scrape_count, row_count, value_count, t_min, t_max
             FROM totals WHERE tenant = ?1 ORDER BY measurement",
        )
        .doing(doing)?;
    let mut rows = statement.query([Id(tenant.as_uuid())]).doing(doing)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().doing(doing)? {
        let name: String = row.get(0).doing(doing)?;
        let number = |at| row.get::<_, i64>(at).map(|number| u64::try_from(number).unwrap_or_default()).doing(doing);
        let time = |at| row.get::<_, Option<i64>>(at).map(|time| time.map(Timestamp::from_micros)).doing(doing);
        let Some(schema) = schemas.get(&name).and_then(|all| stored_schema::merged(all)) else {
            return Err(StoreError::Corrupt(format!("measurement {name} has no schema")));
        };
        let (scrapes, rows, values) = (number(1)?, number(2)?, number(3)?);
        all.push(StoredMeasurement { schema, values, rows, scrapes, range: time(4)?.zip(time(5)?) });
    }
    Ok(all)
}

/// The sources of a tenant.
pub(super) fn sources(connection: &Connection, tenant: TenantId) -> Result<Vec<SeenSource>, StoreError> {
    let read = || {
        let mut statement = connection.prepare_cached(
            "SELECT server_id, instance_id, server, database, collector, first_seen, last_seen
             FROM sources WHERE tenant = ?1 ORDER BY server, server_id, instance_id, database",
        )?;
        let rows = statement.query_map([Id(tenant.as_uuid())], |row| {
            Ok(SeenSource {
                source: Source {
                    server_id: ServerId::from_uuid(row.get::<_, Id>(0)?.0),
                    instance_id: InstanceId::from_uuid(row.get::<_, Id>(1)?.0),
                    server: row.get(2)?,
                    database: row.get(3)?,
                },
                collector: CollectorId::from_uuid(row.get::<_, Id>(4)?.0),
                first_seen: Timestamp::from_micros(row.get(5)?),
                last_seen: Timestamp::from_micros(row.get(6)?),
            })
        })?;
        rows.collect::<Result<Vec<_>, _>>()
    };
    read().doing("reading the sources")
}

/// Chunks in the promised order, read as they are asked for.
pub(super) fn chunks(
    store: SqliteReader,
    select: ChunkSelect,
    wanted: Wanted,
    pick: Option<Arc<dyn Pick>>,
) -> BoxStream<'static, Result<Chunk, StoreError>> {
    let state = State::Unasked(store, select, wanted, pick);
    stream::unfold(state, |state| async move {
        match state {
            State::Ended => None,
            state => match blocking(move || state.read()).await {
                Ok((chunks, next)) => Some((chunks, next)),
                Err(error) => Some((vec![Err(error)], State::Ended)),
            },
        }
    })
    .flat_map(stream::iter)
    .boxed()
}

enum State {
    /// Nothing is held for a stream that nobody reads yet.
    Unasked(SqliteReader, ChunkSelect, Wanted, Option<Arc<dyn Pick>>),
    /// One snapshot from the first chunk to the last.
    Reading(SqliteReader, Arc<Mutex<Reader>>, Option<Arc<dyn Pick>>, VecDeque<(CollectorId, Place)>),
    Ended,
}

/// Where a chunk is, and what is not in it.
pub(super) struct Place {
    pub(super) id: i64,
    pub(super) schema: i64,
    pub(super) link: Option<Link>,
    /// Of the head of a series that series; its number is one of no chunk.
    pub(super) head_of: Option<i64>,
}

impl Place {
    /// What [`Place::of`] reads.
    pub(super) const COLUMNS: &str = "id, schema, stream, seq, base";

    /// What it means that its bytes make no sense.
    pub(super) fn damaged(&self, error: FrameError) -> StoreError {
        match error {
            FrameError::Unavailable(why) => StoreError::Unavailable(why),
            error => StoreError::Damaged { chunk: self.id.cast_unsigned(), why: error.to_string() },
        }
    }

    /// From a row that begins with these columns.
    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let seq = |at| row.get::<_, Option<i64>>(at).map(|seq| seq.map(|seq| Seq(seq.cast_unsigned())));
        let base = seq(4)?;
        let stream = row.get::<_, Option<Id>>(2)?.map(|stream| StreamId::from_uuid(stream.0));
        let link = stream.zip(seq(3)?).map(|(stream, seq)| Link { stream, seq, base });
        Ok(Self { id: row.get(0)?, schema: row.get(1)?, link, head_of: None })
    }
}

type Read = (Vec<Result<Chunk, StoreError>>, State);

impl State {
    fn read(self) -> Result<Read, StoreError> {
        let (store, reader, pick, mut places) = match self {
            Self::Unasked(store, select, wanted, pick) => {
                let reader = store.readers.snapshot()?;
                let places = find::chunks(&reader, &select, wanted)?;
                (store, Arc::new(Mutex::new(reader)), pick, places)
            }
            Self::Reading(store, reader, pick, places) => (store, reader, pick, places),
            Self::Ended => return Ok((Vec::new(), Self::Ended)),
        };
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        while bytes < READ_BYTES && chunks.len() < READ_CHUNKS {
            let Some((collector, place)) = places.pop_front() else { return Ok((chunks, Self::Ended)) };
            let (frame, read) = match &pick {
                Some(pick) if place.head_of.is_none() => parts::frame(&reader, &store.schemas, &place, &**pick)?,
                _ => {
                    let frame = frame(&parts::lock(&reader), &store.schemas, &place)?;
                    let len = frame.bytes().len();
                    (frame, len)
                }
            };
            bytes += read;
            chunks.push(Ok(Chunk { collector, id: u64::try_from(place.id).ok(), frame }));
        }
        Ok((chunks, Self::Reading(store, reader, pick, places)))
    }
}

/// One chunk's frame.
pub(super) fn frame(connection: &Connection, cache: &SchemaCache, place: &Place) -> Result<Frame, StoreError> {
    let doing = "reading a frame";
    let id = place.id;
    let (fingerprint, schema) = schema(connection, cache, place.schema)?;
    // Straight into its place: a query may read hundreds of megabytes.
    let (table, row) = place.head_of.map_or(("chunks", id), |series| ("heads", series));
    let mut blob = connection.blob_open(MAIN_DB, table, "data", row, true).doing(doing)?;
    let mut data = vec![0; blob.len()];
    blob.read_exact(&mut data).map_err(|error| unreadable(doing, error))?;
    let known = |asked| (asked == fingerprint).then(|| Arc::clone(&schema));
    let all = 0..data.len();
    let frame = Frame::parse_with(data.into(), &at_rest(), &known).map_err(|error| place.damaged(error))?;
    // Found here it is known which chunk it is.
    frame.head().check(&[all], frame.rest()).map_err(|error| place.damaged(error))?;
    Ok(match place.link {
        Some(link) => frame.with_link(link),
        None => frame,
    })
}

/// What it means that a blob can't be read.
pub(super) fn unreadable(doing: &str, error: std::io::Error) -> StoreError {
    match error.downcast::<rusqlite::Error>() {
        Ok(error) => meaning(doing, error),
        Err(error) => StoreError::backend(doing, error),
    }
}

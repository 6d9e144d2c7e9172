//! The header: who, when, what shape, and where each column stands.
//!
//! ```text
//! schema     measurement, family, presence, row stamp, columns (a byte of kind,
//!            type and whether it is derived; name; unit)
//! source     server id, instance id, server, database
//! scrapes    count, then each as its difference from the one before
//! rows       count
//! directory  for each column its length, and the bytes of text in it;
//!            then other sections: number, length
//! ```
//! Later minor versions may append to it; readers skip what they do not know.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    FrameError, Limits,
    text::put_text,
    wire::{Reader, put_signed, put_varint},
};
use crate::{
    batch::{Scrape, ScrapeKind},
    epoch::{CounterFamily, Epoch},
    id::{InstanceId, MeasurementName, ServerId},
    schema::{Column, ColumnKind, ColumnType, MAX_COLUMNS, Presence, Schema},
    source::Source,
    time::Timestamp,
};

/// Where a column stands, from the end of the header on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) text_bytes: usize,
}

/// What a header says.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) schema: Arc<Schema>,
    pub(super) source: Source,
    pub(super) scrapes: Vec<Scrape>,
    pub(super) rows: usize,
    pub(super) columns: Vec<Place>,
    /// Other sections by their number.
    pub(super) sections: Vec<(u64, Place)>,
}

const FAMILIES: [CounterFamily; 6] = [
    CounterFamily::None,
    CounterFamily::Cumulative,
    CounterFamily::Shared,
    CounterFamily::Statements,
    CounterFamily::Host,
    CounterFamily::Process,
];
const PRESENCES: [Presence; 2] = [Presence::State, Presence::Append];
const KINDS: [ColumnKind; 4] = [ColumnKind::Key, ColumnKind::Counter, ColumnKind::Gauge, ColumnKind::Info];
const TYPES: [ColumnType; 5] =
    [ColumnType::Text, ColumnType::Int, ColumnType::Float, ColumnType::Bool, ColumnType::Timestamp];

/// Bit of a column's byte; kind and type have the others.
const DERIVED: u8 = 0x80;

/// The number of a value in its table; the tables are the format.
fn number_of<T: PartialEq>(table: &[T], value: &T) -> u8 {
    table.iter().position(|entry| entry == value).and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
}

fn entry<T: Copy>(what: &'static str, table: &[T], number: u8) -> Result<T, FrameError> {
    let found = table.get(usize::from(number)).copied();
    found.ok_or_else(|| FrameError::malformed("header", format!("unknown {what} {number}")))
}

pub(super) fn put_schema(out: &mut Vec<u8>, schema: &Schema) {
    put_text(out, schema.measurement().as_str());
    out.push(number_of(&FAMILIES, &schema.family()));
    out.push(number_of(&PRESENCES, &schema.presence()));
    put_varint(out, schema.row_stamp().map_or(0, |at| at as u64 + 1));
    put_varint(out, schema.columns().len() as u64);
    // Like beside like: the names compress better without the rest between.
    for (at, column) in schema.columns().iter().enumerate() {
        let derived = if schema.derived().binary_search(&at).is_ok() { DERIVED } else { 0 };
        out.push(derived | number_of(&KINDS, &column.kind) << 4 | number_of(&TYPES, &column.ty));
    }
    schema.columns().iter().for_each(|column| put_text(out, &column.name));
    schema.columns().iter().for_each(|column| put_text(out, &column.unit));
}

fn read_schema(reader: &mut Reader<'_>) -> Result<Schema, FrameError> {
    let measurement = MeasurementName::new(reader.text()?)?;
    let family = entry("counter family", &FAMILIES, reader.byte()?)?;
    let presence = entry("presence", &PRESENCES, reader.byte()?)?;
    let row_stamp = reader.count("position of the row stamp", MAX_COLUMNS)?;
    let count = reader.count("columns", MAX_COLUMNS)?;
    let shapes = reader.take(count)?;
    let mut columns = Vec::with_capacity(count);
    let mut derived = Vec::new();
    for &shape in shapes {
        let name = reader.text()?;
        if shape & DERIVED != 0 {
            derived.push(name);
        }
        let kind = entry("column kind", &KINDS, (shape & !DERIVED) >> 4)?;
        columns.push(Column::new(name, kind, entry("type", &TYPES, shape & 15)?));
    }
    for column in &mut columns {
        reader.text()?.clone_into(&mut column.unit);
    }
    let stamp = row_stamp.checked_sub(1).map(|at| columns.get(at).map(|column| column.name.clone()));
    let schema = Schema::new(measurement, family, columns)?.with_derived(derived)?.with_presence(presence);
    match stamp {
        None => Ok(schema),
        Some(Some(name)) => Ok(schema.with_row_stamp(&name)?),
        Some(None) => Err(FrameError::malformed("header", "the row stamp is no column")),
    }
}

pub(super) fn put_source(out: &mut Vec<u8>, source: &Source) {
    out.extend_from_slice(source.server_id.as_uuid().as_bytes());
    out.extend_from_slice(source.instance_id.as_uuid().as_bytes());
    put_text(out, &source.server);
    out.push(u8::from(source.database.is_some()));
    if let Some(database) = &source.database {
        put_text(out, database);
    }
}

fn read_source(reader: &mut Reader<'_>) -> Result<Source, FrameError> {
    Ok(Source {
        server_id: ServerId::from_uuid(Uuid::from_bytes(reader.array()?)),
        instance_id: InstanceId::from_uuid(Uuid::from_bytes(reader.array()?)),
        server: reader.text()?.into(),
        database: if reader.byte()? == 0 { None } else { Some(reader.text()?.into()) },
    })
}

const DELTA: u8 = 1;
const SAME_INTERVAL: u8 = 2;
const SAME_EPOCH: u8 = 4;
const HAS_STAMP: u8 = 8;
const HAS_STARTED: u8 = 16;
const HAS_EVICTIONS: u8 = 32;

pub(super) fn put_scrapes(out: &mut Vec<u8>, scrapes: &[Scrape]) {
    put_varint(out, scrapes.len() as u64);
    let mut before = Scrape {
        collected_at: Timestamp::default(),
        interval_micros: 0,
        kind: ScrapeKind::Keyframe,
        epoch: Epoch::default(),
    };
    for scrape in scrapes {
        let same_interval = scrape.interval_micros == before.interval_micros;
        let same_epoch = scrape.epoch == before.epoch;
        let mut flags = 0;
        let mut flag = |bit, on: bool| flags |= if on { bit } else { 0 };
        flag(DELTA, scrape.kind == ScrapeKind::Delta);
        flag(SAME_INTERVAL, same_interval);
        flag(SAME_EPOCH, same_epoch);
        flag(HAS_STAMP, scrape.epoch.stamp.is_some() && !same_epoch);
        flag(HAS_STARTED, scrape.epoch.started.is_some() && !same_epoch);
        flag(HAS_EVICTIONS, scrape.epoch.evictions.is_some() && !same_epoch);
        out.push(flags);
        put_signed(out, scrape.collected_at.as_micros().wrapping_sub(before.collected_at.as_micros()));
        if !same_interval {
            put_varint(out, scrape.interval_micros);
        }
        if !same_epoch {
            let stamps = [scrape.epoch.stamp, scrape.epoch.started].into_iter().flatten().map(Timestamp::as_micros);
            stamps.chain(scrape.epoch.evictions).for_each(|number| put_signed(out, number));
        }
        before = *scrape;
    }
}

fn read_scrapes(reader: &mut Reader<'_>, limits: &Limits) -> Result<Vec<Scrape>, FrameError> {
    let count = reader.count("scrapes", limits.max_scrapes)?;
    if count == 0 {
        return Err(FrameError::malformed("header", "no scrapes"));
    }
    let mut scrapes = Vec::with_capacity(count.min(reader.rest().len() / 2));
    let mut before = (0_i64, 0_u64, Epoch::default());
    for _ in 0..count {
        let flags = reader.byte()?;
        let has = |bit| flags & bit != 0;
        before.0 = before.0.wrapping_add(reader.signed()?);
        if !has(SAME_INTERVAL) {
            before.1 = reader.varint()?;
        }
        if !has(SAME_EPOCH) {
            let mut number = |bit| if has(bit) { reader.signed().map(Some) } else { Ok(None) };
            before.2 = Epoch {
                stamp: number(HAS_STAMP)?.map(Timestamp::from_micros),
                started: number(HAS_STARTED)?.map(Timestamp::from_micros),
                evictions: number(HAS_EVICTIONS)?,
            };
        }
        scrapes.push(Scrape {
            collected_at: Timestamp::from_micros(before.0),
            interval_micros: before.1,
            kind: if has(DELTA) { ScrapeKind::Delta } else { ScrapeKind::Keyframe },
            epoch: before.2,
        });
    }
    if !scrapes.is_sorted_by_key(|scrape| scrape.collected_at) {
        return Err(FrameError::malformed("header", "scrapes are not in order of time"));
    }
    Ok(scrapes)
}

/// Appends the directory: places of columns, then of other sections.
pub(super) fn put_directory(out: &mut Vec<u8>, schema: &Schema, columns: &[Place], sections: &[(u64, Place)]) {
    for (place, column) in columns.iter().zip(schema.columns()) {
        put_varint(out, place.len as u64);
        if column.ty == ColumnType::Text {
            put_varint(out, place.text_bytes as u64);
        }
    }
    put_varint(out, sections.len() as u64);
    for (number, place) in sections {
        put_varint(out, *number);
        put_varint(out, place.len as u64);
    }
}

/// Most other sections that a frame may have.
const MAX_SECTIONS: usize = 64;

impl Header {
    /// Reads a header; `body` is the length of what follows it.
    pub(super) fn read(bytes: &[u8], body: usize, limits: &Limits) -> Result<Self, FrameError> {
        let mut reader = Reader::new("header", bytes);
        let schema = read_schema(&mut reader)?;
        let source = read_source(&mut reader)?;
        let scrapes = read_scrapes(&mut reader, limits)?;
        let rows = reader.count("rows", limits.max_rows)?;
        let mut start = 0;
        let mut place = |reader: &mut Reader<'_>| {
            let len = reader.count("length of a section", body - start)?;
            start += len;
            Ok::<_, FrameError>(Place { start: start - len, len, text_bytes: 0 })
        };
        let mut columns = Vec::with_capacity(schema.columns().len());
        let mut decoded = 0_u64;
        for column in schema.columns() {
            let mut place = place(&mut reader)?;
            let width: u64 = match column.ty {
                // While it is read, a row has its end, its length, its entry.
                ColumnType::Text => 12,
                ColumnType::Bool => 1,
                ColumnType::Int | ColumnType::Float | ColumnType::Timestamp => 8,
            };
            decoded = decoded.saturating_add(width.saturating_mul(rows as u64));
            if column.ty == ColumnType::Text {
                place.text_bytes = reader.count("bytes of text", limits.max_decoded_bytes)?;
                decoded = decoded.saturating_add(place.text_bytes as u64);
            }
            columns.push(place);
        }
        let limit = limits.max_decoded_bytes as u64;
        if decoded > limit {
            return Err(FrameError::TooLarge { what: "decoded bytes of the columns", given: decoded, limit });
        }
        let count = reader.count("sections", MAX_SECTIONS)?;
        let mut sections = Vec::with_capacity(count);
        for _ in 0..count {
            let number = reader.varint()?;
            sections.push((number, place(&mut reader)?));
        }
        Ok(Self { schema: Arc::new(schema), source, scrapes, rows, columns, sections })
    }
}

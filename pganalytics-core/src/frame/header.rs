//! The header: who, when, what shape, and where each column stands.
//!
//! ```text
//! schema     its fingerprint (8 bytes)
//! decoded    bytes that all of it takes once decoded
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
    batch::{Scrape, ScrapeClock, ScrapeKind},
    epoch::Epoch,
    id::{InstanceId, ServerId},
    schema::{ColumnType, Schema},
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
    pub(super) decoded: u64,
    pub(super) source: Source,
    pub(super) scrapes: Vec<Scrape>,
    pub(super) rows: usize,
    pub(super) columns: Vec<Place>,
    /// Other sections by their number.
    pub(super) sections: Vec<(u64, Place)>,
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

pub(super) fn read_source(reader: &mut Reader<'_>) -> Result<Source, FrameError> {
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
const STEPPED: u8 = 64;
const HAS_OFFSET: u8 = 128;

pub(super) fn put_scrapes(out: &mut Vec<u8>, scrapes: &[Scrape]) {
    put_varint(out, scrapes.len() as u64);
    let mut before = Scrape {
        collected_at: Timestamp::default(),
        interval_micros: 0,
        kind: ScrapeKind::Keyframe,
        epoch: Epoch::default(),
        clock: ScrapeClock::default(),
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
        flag(STEPPED, scrape.clock.stepped);
        flag(HAS_OFFSET, scrape.clock.offset_micros.is_some());
        out.push(flags);
        put_signed(out, scrape.collected_at.as_micros().wrapping_sub(before.collected_at.as_micros()));
        if !same_interval {
            put_varint(out, scrape.interval_micros);
        }
        if !same_epoch {
            let stamps = [scrape.epoch.stamp, scrape.epoch.started].into_iter().flatten().map(Timestamp::as_micros);
            stamps.chain(scrape.epoch.evictions).for_each(|number| put_signed(out, number));
        }
        if let Some(offset) = scrape.clock.offset_micros {
            put_signed(out, offset);
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
            clock: ScrapeClock {
                stepped: has(STEPPED),
                offset_micros: if has(HAS_OFFSET) { Some(reader.signed()?) } else { None },
            },
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

/// Bytes that a value takes while it is decoded, those of a text not counted.
fn width_of(ty: ColumnType) -> u64 {
    match ty {
        // While it is read, a row has its end, its length, its entry.
        ColumnType::Text => 12,
        ColumnType::Bool => 1,
        ColumnType::Int | ColumnType::Float | ColumnType::Timestamp => 8,
    }
}

/// Bytes that columns take once they are decoded.
pub(super) fn decoded_bytes(schema: &Schema, rows: usize, columns: &[Place]) -> u64 {
    let each = schema.columns().iter().zip(columns);
    each.map(|(column, place)| width_of(column.ty) * rows as u64 + place.text_bytes as u64).sum()
}

/// Most other sections that a frame may have.
const MAX_SECTIONS: usize = 64;

impl Header {
    /// Reads a header behind its fingerprint, and leaves the reader where the
    /// columns begin.
    pub(super) fn read(reader: &mut Reader<'_>, schema: Arc<Schema>, limits: &Limits) -> Result<Self, FrameError> {
        let announced = reader.varint()?;
        let source = read_source(reader)?;
        let scrapes = read_scrapes(reader, limits)?;
        let rows = reader.count("rows", limits.max_rows)?;
        let mut start = 0;
        let mut place = |reader: &mut Reader<'_>| {
            let len = reader.count("length of a section", limits.max_frame_bytes - start)?;
            start += len;
            Ok::<_, FrameError>(Place { start: start - len, len, text_bytes: 0 })
        };
        let mut columns = Vec::with_capacity(schema.columns().len());
        let mut decoded = 0_u64;
        for column in schema.columns() {
            let mut place = place(reader)?;
            let width = width_of(column.ty);
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
            sections.push((number, place(reader)?));
        }
        if announced != decoded {
            let why = format!("{decoded} bytes once decoded, {announced} are announced");
            return Err(FrameError::malformed("header", why));
        }
        Ok(Self { schema, decoded, source, scrapes, rows, columns, sections })
    }
}

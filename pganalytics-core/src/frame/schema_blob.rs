//! A schema by itself: what a frame carries behind its end, what a push brings
//! for the frames that only name their schema.
//!
//! ```text
//! length, then packed (see `blob`):
//! measurement, family, presence, retention, row stamp, columns (a byte of kind,
//! type and whether it is derived; a byte of how it aggregates; name; unit)
//! ```
//! It has no checksum: its fingerprint, by which frames name it, is one.
//! Later minor versions may append to it; readers skip what they do not know.

use std::{sync::Arc, time::Duration};

use super::{
    FrameError, Limits,
    blob::{put_blob, read_blob},
    number::Effort,
    text::put_text,
    wire::{Reader, put_varint},
};
use crate::{
    epoch::CounterFamily,
    id::MeasurementName,
    schema::{Aggregate, Column, ColumnKind, ColumnType, MAX_COLUMNS, Presence, Schema},
};

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
const AGGREGATES: [Aggregate; 4] = [Aggregate::Sum, Aggregate::Avg, Aggregate::Max, Aggregate::Last];

/// Bit of a column's byte; kind and type have the others.
const DERIVED: u8 = 0x80;

/// The number of a value in its table; the tables are the format.
fn number_of<T: PartialEq>(table: &[T], value: &T) -> u8 {
    table.iter().position(|entry| entry == value).and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
}

fn entry<T: Copy>(what: &'static str, table: &[T], number: u8) -> Result<T, FrameError> {
    let found = table.get(usize::from(number)).copied();
    found.ok_or_else(|| FrameError::malformed("schema", format!("unknown {what} {number}")))
}

/// A schema by itself, see [`decode_schema`].
#[must_use]
pub fn encode_schema(schema: &Schema) -> Vec<u8> {
    let mut plain = Vec::new();
    put_text(&mut plain, schema.measurement().as_str());
    plain.push(number_of(&FAMILIES, &schema.family()));
    plain.push(number_of(&PRESENCES, &schema.presence()));
    // Seconds and one more; 0 says none.
    put_varint(&mut plain, schema.retention().map_or(0, |retention| retention.as_secs().saturating_add(1)));
    put_varint(&mut plain, schema.row_stamp().map_or(0, |at| at as u64 + 1));
    put_varint(&mut plain, schema.columns().len() as u64);
    // Like beside like: the names compress better without the rest between.
    for (at, column) in schema.columns().iter().enumerate() {
        let derived = if schema.derived().binary_search(&at).is_ok() { DERIVED } else { 0 };
        plain.push(derived | number_of(&KINDS, &column.kind) << 4 | number_of(&TYPES, &column.ty));
    }
    plain.extend(schema.columns().iter().map(|column| number_of(&AGGREGATES, &column.aggregate)));
    schema.columns().iter().for_each(|column| put_text(&mut plain, &column.name));
    schema.columns().iter().for_each(|column| put_text(&mut plain, &column.unit));
    let mut out = Vec::new();
    put_varint(&mut out, plain.len() as u64);
    put_blob(&plain, Effort::Wire, &mut out);
    out
}

/// Reads what [`encode_schema`] wrote.
///
/// ```
/// use pganalytics_core::{Column, ColumnKind, ColumnType, CounterFamily, MeasurementName, Schema, frame};
/// let columns = vec![Column::new("queue", ColumnKind::Key, ColumnType::Text)];
/// let schema = Schema::new(MeasurementName::new("app_queue")?, CounterFamily::None, columns)?;
/// let bytes = frame::encode_schema(&schema);
/// assert_eq!(*frame::decode_schema(&bytes, &frame::Limits::default())?, schema);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the bytes make no sense or exceed [`Limits::max_header_bytes`].
pub fn decode_schema(bytes: &[u8], limits: &Limits) -> Result<Arc<Schema>, FrameError> {
    let mut reader = Reader::new("schema", bytes);
    let len = reader.count("schema", limits.max_header_bytes)?;
    let plain = read_blob("schema", reader.rest(), len)?;
    read(&mut Reader::new("schema", &plain)).map(Arc::new)
}

/// Bytes that [`decode_schema`] expands a schema to, as it announces them; it
/// refuses one that announces too little. Looks at the first bytes only.
///
/// # Errors
/// When the bytes do not begin as a schema does.
pub fn schema_len(bytes: &[u8]) -> Result<u64, FrameError> {
    Reader::new("schema", bytes).varint()
}

fn read(reader: &mut Reader<'_>) -> Result<Schema, FrameError> {
    let measurement = MeasurementName::new(reader.text()?)?;
    let family = entry("counter family", &FAMILIES, reader.byte()?)?;
    let presence = entry("presence", &PRESENCES, reader.byte()?)?;
    let retention = reader.varint()?.checked_sub(1).map(Duration::from_secs);
    let row_stamp = reader.count("position of the row stamp", MAX_COLUMNS)?;
    let count = reader.count("columns", MAX_COLUMNS)?;
    let shapes = reader.take(count)?;
    let aggregates = reader.take(count)?;
    let mut columns = Vec::with_capacity(count);
    let mut derived = Vec::new();
    for (&shape, &aggregate) in shapes.iter().zip(aggregates) {
        let name = reader.text()?;
        if shape & DERIVED != 0 {
            derived.push(name);
        }
        let kind = entry("column kind", &KINDS, (shape & !DERIVED) >> 4)?;
        let mut column = Column::new(name, kind, entry("type", &TYPES, shape & 15)?);
        column.aggregate = entry("aggregate", &AGGREGATES, aggregate)?;
        columns.push(column);
    }
    for column in &mut columns {
        reader.text()?.clone_into(&mut column.unit);
    }
    let stamp = row_stamp.checked_sub(1).map(|at| columns.get(at).map(|column| column.name.clone()));
    let schema = Schema::new(measurement, family, columns)?.with_derived(derived)?;
    let schema = schema.with_presence(presence).with_retention(retention);
    match stamp {
        None => Ok(schema),
        Some(Some(name)) => Ok(schema.with_row_stamp(&name)?),
        Some(None) => Err(FrameError::malformed("schema", "the row stamp is no column")),
    }
}

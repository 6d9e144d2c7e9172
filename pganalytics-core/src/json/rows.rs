//! The rows of a metric: read one by one, straight into columns.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    NAN_PREFIX,
    error::Failure,
    metric::{Context, Name},
    read::JsonLimits,
};
use crate::{
    id::MeasurementName,
    rows::{Rows, RowsBuilder},
    schema::{Column, ColumnKind, ColumnType, MAX_COLUMNS, Schema},
    time::Timestamp,
    value::Value,
};

/// Where rows come from.
pub(super) enum RowSource<'a> {
    /// An array of rows.
    Many(&'a str),
    /// The fields of one row.
    One(&'a [(Cow<'a, str>, &'a RawValue)]),
}

impl RowSource<'_> {
    /// Gives each row to `take`, as fields by name or by position.
    fn each(&self, mut take: impl FnMut(Row<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        match self {
            Self::One(fields) => {
                let mut row = Vec::with_capacity(fields.len());
                for (name, raw) in *fields {
                    let cell = serde_json::from_str(raw.get())
                        .map_err(|error| Failure::new("bad_value", format!("field {name:?}: {error}")))?;
                    row.push((Name(Cow::Borrowed(name.as_ref())), cell));
                }
                take(Row::Named(row))
            }
            Self::Many(text) => {
                let mut failure = None;
                let mut reader = serde_json::Deserializer::from_str(text);
                let result = EachRow { take: &mut take, failure: &mut failure }.deserialize(&mut reader);
                match (failure, result) {
                    (Some(failure), _) => Err(failure),
                    (None, Err(error)) => Err(Failure::new("bad_rows", format!("rows: {error}"))),
                    (None, Ok(())) => Ok(()),
                }
            }
        }
    }
}

/// One row, its values not checked yet.
enum Row<'a> {
    Named(Vec<(Name<'a>, Cell<'a>)>),
    Listed(Vec<Cell<'a>>),
}

/// One value, as JSON has it.
#[derive(Clone)]
enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
}

impl Cell<'_> {
    /// A number becomes the text that is read as the same number.
    fn number_to_text(&mut self) {
        match self {
            Self::Int(value) => *self = Self::Text(Cow::Owned(value.to_string())),
            Self::Float(value) => *self = Self::Text(Cow::Owned(value.to_string())),
            Self::Null | Self::Bool(_) | Self::Text(_) => {}
        }
    }
}

impl<'de> Deserialize<'de> for Cell<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;

        impl<'de> Visitor<'de> for One {
            type Value = Cell<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true, false or null")
            }
            fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
                Ok(Cell::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Cell<'de>, E> {
                Ok(Cell::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Cell<'de>, E> {
                Ok(Cell::Int(value))
            }
            #[expect(clippy::cast_precision_loss, reason = "too large for an integer column, which will say so")]
            fn visit_u64<E>(self, value: u64) -> Result<Cell<'de>, E> {
                Ok(i64::try_from(value).map_or(Cell::Float(value as f64), Cell::Int))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Cell<'de>, E> {
                Ok(Cell::Float(value))
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Cell<'de>, E> {
                Ok(Cell::Text(Cow::Borrowed(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Cell<'de>, E> {
                Ok(Cell::Text(Cow::Owned(value.to_owned())))
            }
        }

        deserializer.deserialize_any(One)
    }
}

impl<'de> Deserialize<'de> for Row<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;

        impl<'de> Visitor<'de> for One {
            type Value = Row<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row: an object or an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Row<'de>, A::Error> {
                let mut cells = Vec::new();
                while let Some(cell) = seq.next_element()? {
                    if cells.len() >= MAX_COLUMNS {
                        return Err(A::Error::custom(format!("more than {MAX_COLUMNS} values in a row")));
                    }
                    cells.push(cell);
                }
                Ok(Row::Listed(cells))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
                let mut cells = Vec::new();
                while let Some(cell) = map.next_entry()? {
                    if cells.len() >= MAX_COLUMNS {
                        return Err(A::Error::custom(format!("more than {MAX_COLUMNS} values in a row")));
                    }
                    cells.push(cell);
                }
                Ok(Row::Named(cells))
            }
        }

        deserializer.deserialize_any(One)
    }
}

/// Reads an array of rows and gives each to a function.
struct EachRow<'f, F> {
    take: &'f mut F,
    failure: &'f mut Option<Failure>,
}

impl<'de, F: FnMut(Row<'_>) -> Result<(), Failure>> DeserializeSeed<'de> for EachRow<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Row<'_>) -> Result<(), Failure>> Visitor<'de> for EachRow<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(row) = seq.next_element()? {
            if let Err(failure) = (self.take)(row) {
                *self.failure = Some(failure);
                return Err(A::Error::custom("a bad row"));
            }
        }
        Ok(())
    }
}

/// Builds the rows of a metric. In a column whose type was inferred a text stands beside
/// numbers. `gone` are positions, in order.
pub(super) fn build(
    source: &RowSource<'_>,
    schema: &Schema,
    inferred: bool,
    gone: &[u32],
    context: &mut Context<'_>,
) -> Result<Rows, Failure> {
    let columns = schema.columns();
    let positions: HashMap<&str, usize> =
        columns.iter().enumerate().map(|(at, column)| (column.name.as_str(), at)).collect();
    let mut builder = RowsBuilder::new(schema);
    let mut gone = gone.iter().peekable();
    let limits = context.limits;
    source.each(|row| {
        let number = builder.len();
        context.values_left = context.values_left.checked_sub(columns.len()).ok_or_else(|| {
            Failure::new("too_large", format!("row {number}: the document has more than {} values", limits.max_values))
        })?;
        let mut cells = match row {
            Row::Listed(cells) if cells.len() == columns.len() => cells,
            Row::Listed(cells) => {
                let message = format!("row {number}: {} values, {} columns", cells.len(), columns.len());
                return Err(Failure::new("bad_rows", message));
            }
            Row::Named(named) => {
                let mut cells = vec![Cell::Null; columns.len()];
                for (Name(name), cell) in named {
                    let slot = positions.get(name.as_ref()).and_then(|&at| cells.get_mut(at));
                    let slot = slot.ok_or_else(|| unknown_column(number, &name, schema))?;
                    *slot = cell;
                }
                cells
            }
        };
        if inferred {
            let texts = cells.iter_mut().zip(columns).filter(|(_, column)| column.ty == ColumnType::Text);
            texts.for_each(|(cell, _)| cell.number_to_text());
        }
        let values = cells.iter().zip(columns).map(|(cell, column)| value(cell, column, number, limits));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let is_gone = gone.next_if(|&&at| at as usize == number).is_some();
        let pushed = if is_gone { builder.push_gone(&values) } else { builder.push(&values) };
        pushed.map_err(|error| Failure::new("bad_value", format!("row {number}: {error}")))
    })?;
    if let Some(at) = gone.next() {
        return Err(Failure::new("bad_gone", format!("gone: there is no row {at}")));
    }
    Ok(builder.finish())
}

fn unknown_column(row: usize, name: &str, schema: &Schema) -> Failure {
    let name: String = name.chars().take(80).collect();
    let message = format!("row {row}: {} has no column {name:?}", schema.measurement());
    Failure::new("unknown_column", message)
}

/// A JSON value as the value of a column.
fn value<'a>(cell: &'a Cell<'_>, column: &Column, row: usize, limits: &JsonLimits) -> Result<Value<'a>, Failure> {
    let bad = |what: &str| {
        let message = format!("row {row}, column {}: {what} does not fit type {}", column.name, column.ty);
        Failure::new("bad_value", message)
    };
    Ok(match (column.ty, cell) {
        (_, Cell::Null) => Value::Null,
        (ColumnType::Int, Cell::Int(value)) => Value::Int(*value),
        #[expect(clippy::cast_possible_truncation, reason = "whole and small enough to be exact")]
        (ColumnType::Int, Cell::Float(value)) if value.fract() == 0.0 && value.abs() < 9e15 => {
            Value::Int(*value as i64)
        }
        #[expect(clippy::cast_precision_loss, reason = "an integer in a float column is a rounded float")]
        (ColumnType::Float, Cell::Int(value)) => Value::Float(*value as f64),
        (ColumnType::Float, Cell::Float(value)) => Value::Float(*value),
        (ColumnType::Float, Cell::Text(text)) => Value::Float(special_float(text).ok_or_else(|| bad("a text"))?),
        (ColumnType::Bool, Cell::Bool(value)) => Value::Bool(*value),
        (ColumnType::Timestamp, Cell::Text(text)) => {
            let time: Timestamp = text.parse().map_err(|_| bad("a text that is no RFC 3339 time"))?;
            Value::Timestamp(time.as_micros())
        }
        (ColumnType::Text, Cell::Text(text)) if text.len() > limits.max_text_bytes => {
            let message = format!("row {row}, column {}: a text of {} bytes", column.name, text.len());
            return Err(Failure::new("too_large", message));
        }
        (ColumnType::Text, Cell::Text(text)) => Value::Text(text),
        (_, Cell::Bool(_)) => return Err(bad("a bool")),
        (_, Cell::Int(_) | Cell::Float(_)) => return Err(bad("the number")),
        (_, Cell::Text(_)) => return Err(bad("a text")),
    })
}

fn special_float(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        other => {
            let bits = other.strip_prefix(NAN_PREFIX).and_then(|bits| u64::from_str_radix(bits, 16).ok())?;
            Some(f64::from_bits(bits)).filter(|value| value.is_nan())
        }
    }
}

/// What was seen of a column whose type is to be inferred.
#[derive(Default)]
pub(super) struct Infer {
    bool: bool,
    int: bool,
    float: bool,
    time: bool,
    text: bool,
}

impl Infer {
    /// Columns for rows of a measurement that nobody knows.
    pub(super) fn columns(
        source: &RowSource<'_>,
        name: &MeasurementName,
        context: &Context<'_>,
    ) -> Result<Vec<Column>, Failure> {
        let mut seen: BTreeMap<String, Self> = BTreeMap::new();
        let mut rows = 0;
        source.each(|row| {
            rows += 1;
            if rows > context.values_left {
                return Err(Failure::new("too_large", "the document has too many values"));
            }
            let Row::Named(cells) = row else {
                let message = format!("{name} is not known here: rows as arrays need \"columns\"");
                return Err(Failure::new("bad_columns", message));
            };
            for (Name(name), cell) in cells {
                if !seen.contains_key(name.as_ref()) {
                    if seen.len() >= MAX_COLUMNS {
                        return Err(Failure::new("bad_columns", format!("more than {MAX_COLUMNS} columns")));
                    }
                    seen.insert(name.clone().into_owned(), Self::default());
                }
                if let Some(column) = seen.get_mut(name.as_ref()) {
                    column.see(&cell);
                }
            }
            Ok(())
        })?;
        if seen.is_empty() {
            let message =
                format!("{name} is not known here, and without rows nothing can be inferred; give \"columns\"");
            return Err(Failure::new("bad_columns", message));
        }
        seen.into_iter().map(|(column, seen)| seen.column(&column, || (context.was_number)(name, &column))).collect()
    }

    fn see(&mut self, cell: &Cell<'_>) {
        match cell {
            Cell::Null => {}
            Cell::Bool(_) => self.bool = true,
            Cell::Int(_) => self.int = true,
            Cell::Float(_) => self.float = true,
            Cell::Text(text) if text.parse::<Timestamp>().is_ok() => self.time = true,
            Cell::Text(_) => self.text = true,
        }
    }

    /// `was_number`: before this metric.
    fn column(&self, name: &str, was_number: impl FnOnce() -> bool) -> Result<Column, Failure> {
        let numbers = self.int || self.float;
        let texts = self.time || self.text;
        let (kind, ty) = match (self.bool, numbers, texts) {
            (true, false, false) => (ColumnKind::Gauge, ColumnType::Bool),
            (false, true, false) if self.float => (ColumnKind::Gauge, ColumnType::Float),
            (false, true, false) => (ColumnKind::Gauge, ColumnType::Int),
            // A text that stands for a number is no key: each would be a series of its own.
            (false, true, true) => (ColumnKind::Info, ColumnType::Text),
            (false, false, true) if self.text && was_number() => (ColumnKind::Info, ColumnType::Text),
            (false, false, true) if self.text => (ColumnKind::Key, ColumnType::Text),
            (false, false, true) => (ColumnKind::Info, ColumnType::Timestamp),
            (false, false, false) => {
                let message = format!("field {name:?} is always null; give \"columns\"");
                return Err(Failure::new("bad_columns", message));
            }
            _ => {
                let message = format!("field {name:?} has values of different types; give \"columns\"");
                return Err(Failure::new("bad_columns", message));
            }
        };
        Ok(Column::new(name, kind, ty))
    }
}

//! Answers as JSON and CSV.

use std::fmt::Write as _;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray as _, DurationMicrosecondArray, RecordBatch},
        datatypes::{
            DataType, Date32Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
            DurationSecondType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
            IntervalMonthDayNanoType, IntervalUnit, Schema, TimeUnit, TimestampMicrosecondType,
            TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
            UInt64Type,
        },
        util::display::{ArrayFormatter, FormatOptions},
    },
    common::cast::as_list_array,
};
use serde_json::Value;

use super::functions::times::{elapsed_text, interval_text};

/// The rows of a batch, each as its values in the order of the columns.
///
/// Integers are numbers, times RFC 3339 texts in UTC, NULL and floats that are
/// not finite are `null`, intervals are written as PostgreSQL writes them; what JSON has no word for is its text.
#[must_use]
pub fn to_json_rows(batch: &RecordBatch) -> Vec<Vec<Value>> {
    let mut rows: Vec<Vec<Value>> =
        std::iter::repeat_with(|| Vec::with_capacity(batch.num_columns())).take(batch.num_rows()).collect();
    for column in batch.columns() {
        for (row, value) in rows.iter_mut().zip(json_values(column)) {
            row.push(value);
        }
    }
    rows
}

/// Names and PostgreSQL types of an answer's columns.
#[must_use]
pub fn column_types(schema: &Schema) -> Vec<(String, &'static str)> {
    schema.fields().iter().map(|field| (field.name().clone(), postgres_type(field.data_type()))).collect()
}

fn postgres_type(ty: &DataType) -> &'static str {
    match ty {
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 => "bigint",
        DataType::UInt64 | DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => "numeric",
        DataType::Decimal256(..) => "numeric",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytea",
        DataType::Struct(_) | DataType::Map(..) => "json",
        DataType::Dictionary(_, values) => postgres_type(values),
        _ => "text",
    }
}

macro_rules! integers {
    ($array:expr, $ty:ty) => {
        $array.as_primitive::<$ty>().iter().map(|value| value.map_or(Value::Null, Value::from)).collect()
    };
}

macro_rules! times {
    ($array:expr, $ty:ty, $make:expr, $zone:expr) => {
        $array.as_primitive::<$ty>().iter().map(|value| time(value.and_then($make), $zone)).collect()
    };
}

fn json_values(array: &ArrayRef) -> Vec<Value> {
    let zone = matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
    match array.data_type() {
        DataType::Int8 => integers!(array, Int8Type),
        DataType::Int16 => integers!(array, Int16Type),
        DataType::Int32 => integers!(array, Int32Type),
        DataType::Int64 => integers!(array, Int64Type),
        DataType::UInt8 => integers!(array, UInt8Type),
        DataType::UInt16 => integers!(array, UInt16Type),
        DataType::UInt32 => integers!(array, UInt32Type),
        DataType::UInt64 => integers!(array, UInt64Type),
        DataType::Float64 => {
            array.as_primitive::<Float64Type>().iter().map(|value| value.map_or(Value::Null, Value::from)).collect()
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().iter();
            values.map(|value| value.map_or(Value::Null, |value| Value::from(f64::from(value)))).collect()
        }
        DataType::Boolean => array.as_boolean().iter().map(|value| value.map_or(Value::Null, Value::from)).collect(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            times!(array, TimestampNanosecondType, |t| jiff::Timestamp::from_nanosecond(t.into()).ok(), zone)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            times!(array, TimestampMicrosecondType, |t| jiff::Timestamp::from_microsecond(t).ok(), zone)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            times!(array, TimestampMillisecondType, |t| jiff::Timestamp::from_millisecond(t).ok(), zone)
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            times!(array, TimestampSecondType, |t| jiff::Timestamp::from_second(t).ok(), zone)
        }
        DataType::Date32 => {
            let midnight = |days: i32| jiff::Timestamp::from_second(i64::from(days) * 86_400).ok();
            let date = |at: jiff::Timestamp| Value::from(at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string());
            let values = array.as_primitive::<Date32Type>().iter();
            values.map(|days| days.and_then(midnight).map_or(Value::Null, date)).collect()
        }
        DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Decimal64(..) | DataType::Decimal32(..) => {
            texts(array, |text| text.parse::<serde_json::Number>().map_or_else(|_| Value::from(text), Value::Number))
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let values = array.as_primitive::<IntervalMonthDayNanoType>().iter();
            values.map(|value| value.map_or(Value::Null, |value| Value::from(interval_text(value)))).collect()
        }
        DataType::Duration(unit) => {
            let whole: DurationMicrosecondArray = match unit {
                TimeUnit::Second => array.as_primitive::<DurationSecondType>().unary(|n| n.saturating_mul(1_000_000)),
                TimeUnit::Millisecond => {
                    array.as_primitive::<DurationMillisecondType>().unary(|n| n.saturating_mul(1_000))
                }
                TimeUnit::Microsecond => array.as_primitive::<DurationMicrosecondType>().clone(),
                TimeUnit::Nanosecond => array.as_primitive::<DurationNanosecondType>().unary(|n| n / 1_000),
            };
            whole.iter().map(|value| value.map_or(Value::Null, |value| Value::from(elapsed_text(value)))).collect()
        }
        DataType::Utf8 => array.as_string::<i32>().iter().map(text).collect(),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().map(text).collect(),
        DataType::Utf8View => array.as_string_view().iter().map(text).collect(),
        DataType::Null => vec![Value::Null; array.len()],
        DataType::List(_) => match as_list_array(array) {
            Ok(lists) => {
                lists.iter().map(|list| list.map_or(Value::Null, |list| Value::Array(json_values(&list)))).collect()
            }
            Err(_) => vec![Value::Null; array.len()],
        },
        _ => texts(array, Value::from),
    }
}

fn text(value: Option<&str>) -> Value {
    value.map_or(Value::Null, Value::from)
}

/// `timestamptz` ends in `Z`; `timestamp` has no zone.
fn time(at: Option<jiff::Timestamp>, zone: bool) -> Value {
    at.map_or(Value::Null, |at| {
        let mut text = at.to_string();
        if !zone && text.ends_with('Z') {
            text.pop();
        }
        Value::from(text)
    })
}

/// The values as Arrow writes them.
fn texts(array: &ArrayRef, make: impl Fn(String) -> Value) -> Vec<Value> {
    let options = FormatOptions::default();
    let Ok(formatter) = ArrayFormatter::try_new(array, &options) else {
        return vec![Value::Null; array.len()];
    };
    let one = |row| {
        if array.is_null(row) { Value::Null } else { make(formatter.value(row).to_string()) }
    };
    (0..array.len()).map(one).collect()
}

/// The first line of a CSV answer.
#[must_use]
pub fn csv_header(schema: &Schema) -> String {
    let mut line = String::new();
    for (at, field) in schema.fields().iter().enumerate() {
        if at > 0 {
            line.push(',');
        }
        put_csv(&mut line, field.name());
    }
    line.push('\n');
    line
}

/// The rows of a batch as CSV (RFC 4180): NULL is empty, the empty text `""`.
#[must_use]
pub fn to_csv(batch: &RecordBatch) -> String {
    let mut out = String::new();
    for row in to_json_rows(batch) {
        for (at, value) in row.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            match value {
                Value::Null => {}
                Value::String(text) => put_csv(&mut out, text),
                // Writing to a string can't fail.
                Value::Number(number) => drop(write!(out, "{number}")),
                other => put_csv(&mut out, &other.to_string()),
            }
        }
        out.push('\n');
    }
    out
}

fn put_csv(out: &mut String, text: &str) {
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

#[cfg(test)]
mod unit {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::sync::Arc;

    use datafusion::arrow::{
        array::{Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray},
        datatypes::Field,
    };
    use serde_json::json;

    use super::*;

    fn batch() -> RecordBatch {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("x", DataType::Float64, true),
            Field::new("t", DataType::Utf8View, true),
            Field::new("at", time, true),
        ]);
        RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(Int64Array::from(vec![Some(i64::MAX), None])),
                Arc::new(Float64Array::from(vec![f64::NAN, 0.5])),
                Arc::new(StringViewArray::from(vec![Some("say \"hi\", all"), Some("")])),
                Arc::new(TimestampMicrosecondArray::from(vec![0, 1_500_000]).with_timezone("UTC")),
            ],
        )
        .unwrap()
    }

    #[test]
    fn values_become_json() {
        let rows = to_json_rows(&batch());
        assert_eq!(json!(rows[0]), json!([i64::MAX, null, "say \"hi\", all", "1970-01-01T00:00:00Z"]));
        assert_eq!(json!(rows[1]), json!([null, 0.5, "", "1970-01-01T00:00:01.5Z"]));
    }

    #[test]
    fn values_become_csv() {
        assert_eq!(csv_header(&batch().schema()), "n,x,t,at\n");
        assert_eq!(
            to_csv(&batch()),
            "9223372036854775807,,\"say \"\"hi\"\", all\",1970-01-01T00:00:00Z\n,0.5,\"\",1970-01-01T00:00:01.5Z\n"
        );
    }

    #[test]
    fn types_have_their_postgres_names() {
        let types: Vec<&str> = column_types(&batch().schema()).into_iter().map(|(_, ty)| ty).collect();
        assert_eq!(types, ["bigint", "double precision", "text", "timestamptz"]);
    }
}

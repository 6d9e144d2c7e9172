//! From PostgreSQL's binary values to the catalog's five types.
//!
//! The catalog's own SQL casts everything; users' SQL often does not, so
//! whatever has one clear meaning is taken: all integers, `oid`, `xid`,
//! `pg_lsn` and whole `numeric` as int, any number and `interval` (seconds) as
//! float, any scalar as text.

use std::{borrow::Cow, fmt::Write as _};

use pganalytics_core::{ColumnType, Timestamp, Value};
use tokio_postgres::types::{FromSql, Kind, Type};

use super::{numeric, text::ServerEncoding};

/// How values of one column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Int2,
    Int4,
    Int8,
    /// `oid`, `xid`, `cid`.
    Unsigned4,
    /// `pg_lsn`, `xid8`.
    Unsigned8,
    Float4,
    Float8,
    Numeric,
    Bool,
    Text,
    /// `jsonb`: text behind a version byte.
    Jsonb,
    Uuid,
    Timestamp,
    Date,
    Interval,
    Lsn,
}

/// Microseconds from 1970 to 2000, PostgreSQL's own beginning.
const EPOCH: i64 = 946_684_800_000_000;

impl Codec {
    /// How to read a PostgreSQL type into a catalog type; `None` when that has
    /// no clear meaning.
    pub(crate) fn of(from: &Type, to: ColumnType) -> Option<Self> {
        let codec = match *from {
            Type::INT2 => Self::Int2,
            Type::INT4 => Self::Int4,
            Type::INT8 => Self::Int8,
            Type::OID | Type::XID | Type::CID => Self::Unsigned4,
            Type::XID8 => Self::Unsigned8,
            Type::PG_LSN if to == ColumnType::Text => Self::Lsn,
            Type::PG_LSN => Self::Unsigned8,
            Type::FLOAT4 => Self::Float4,
            Type::FLOAT8 => Self::Float8,
            Type::NUMERIC => Self::Numeric,
            Type::BOOL => Self::Bool,
            Type::TEXT
            | Type::VARCHAR
            | Type::BPCHAR
            | Type::NAME
            | Type::CHAR
            | Type::UNKNOWN
            | Type::JSON
            | Type::XML => Self::Text,
            Type::JSONB => Self::Jsonb,
            Type::UUID => Self::Uuid,
            Type::TIMESTAMPTZ | Type::TIMESTAMP => Self::Timestamp,
            Type::DATE => Self::Date,
            Type::INTERVAL => Self::Interval,
            _ if matches!(from.kind(), Kind::Enum(_)) || from.name() == "citext" => Self::Text,
            _ => return None,
        };
        let fits = match to {
            ColumnType::Int => codec.is_integer() || codec == Self::Numeric,
            ColumnType::Float => {
                codec.is_integer() || matches!(codec, Self::Float4 | Self::Float8 | Self::Numeric | Self::Interval)
            }
            ColumnType::Bool => codec == Self::Bool,
            ColumnType::Timestamp => matches!(codec, Self::Timestamp | Self::Date),
            ColumnType::Text => codec != Self::Interval,
        };
        fits.then_some(codec)
    }

    fn is_integer(self) -> bool {
        matches!(self, Self::Int2 | Self::Int4 | Self::Int8 | Self::Unsigned4 | Self::Unsigned8)
    }

    /// Reads a value. `scratch` holds text that has to be made. `None` when the
    /// bytes are not of this type or the number does not fit.
    pub(crate) fn read<'a>(
        self,
        raw: &'a [u8],
        to: ColumnType,
        encoding: ServerEncoding,
        scratch: &'a mut String,
    ) -> Option<Value<'a>> {
        scratch.clear();
        let text = match self {
            Self::Text => Some(raw),
            Self::Jsonb => Some(raw.get(1..)?),
            _ => None,
        };
        if let Some(raw) = text {
            return Some(Value::Text(match encoding.decode(raw) {
                Cow::Borrowed(text) => text,
                Cow::Owned(text) => {
                    *scratch = text;
                    scratch
                }
            }));
        }
        let value = match self {
            Self::Int2 => Value::Int(i16::from_be_bytes(raw.try_into().ok()?).into()),
            Self::Int4 => Value::Int(i32::from_be_bytes(raw.try_into().ok()?).into()),
            Self::Int8 => Value::Int(i64::from_be_bytes(raw.try_into().ok()?)),
            Self::Unsigned4 => Value::Int(u32::from_be_bytes(raw.try_into().ok()?).into()),
            Self::Unsigned8 => Value::Int(i64::try_from(u64::from_be_bytes(raw.try_into().ok()?)).ok()?),
            Self::Float4 => Value::Float(f32::from_be_bytes(raw.try_into().ok()?).into()),
            Self::Float8 => Value::Float(f64::from_be_bytes(raw.try_into().ok()?)),
            Self::Bool => match raw {
                [byte] => Value::Bool(*byte != 0),
                _ => return None,
            },
            Self::Text | Self::Jsonb => return None,
            Self::Numeric => {
                *scratch = numeric::text_of(raw)?;
                return match to {
                    ColumnType::Int => match scratch.split_once('.') {
                        Some((whole, rest)) if rest.bytes().all(|b| b == b'0') => whole.parse().ok().map(Value::Int),
                        Some(_) => None,
                        None => scratch.parse().ok().map(Value::Int),
                    },
                    ColumnType::Float => scratch.parse().ok().map(Value::Float),
                    _ => Some(Value::Text(scratch)),
                };
            }
            Self::Uuid => {
                write!(scratch, "{}", uuid::Uuid::from_slice(raw).ok()?).ok()?;
                return Some(Value::Text(scratch));
            }
            Self::Lsn => {
                let lsn = u64::from_be_bytes(raw.try_into().ok()?);
                write!(scratch, "{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF).ok()?;
                return Some(Value::Text(scratch));
            }
            Self::Timestamp => match i64::from_be_bytes(raw.try_into().ok()?) {
                // infinity: no moment.
                i64::MAX | i64::MIN => Value::Null,
                micros => Value::Timestamp(micros.saturating_add(EPOCH)),
            },
            Self::Date => match i32::from_be_bytes(raw.try_into().ok()?) {
                i32::MAX | i32::MIN => Value::Null,
                days => Value::Timestamp(i64::from(days).saturating_mul(86_400_000_000).saturating_add(EPOCH)),
            },
            Self::Interval => {
                let (micros, rest) = raw.split_first_chunk::<8>()?;
                let (days, months) = rest.split_first_chunk::<4>()?;
                let months = i32::from_be_bytes(months.try_into().ok()?);
                let days = f64::from(i32::from_be_bytes(*days)) + 30.0 * f64::from(months);
                #[expect(clippy::cast_precision_loss, reason = "285 years of microseconds are exact")]
                let seconds = i64::from_be_bytes(*micros) as f64 / 1e6;
                Value::Float(days * 86_400.0 + seconds)
            }
        };
        if to != ColumnType::Text {
            return Some(value);
        }
        match value {
            Value::Int(number) => write!(scratch, "{number}").ok()?,
            Value::Float(number) => write!(scratch, "{number}").ok()?,
            Value::Bool(yes) => scratch.push_str(if yes { "true" } else { "false" }),
            Value::Timestamp(micros) => write!(scratch, "{}", Timestamp::from_micros(micros)).ok()?,
            Value::Null | Value::Text(_) => return Some(value),
        }
        Some(Value::Text(scratch))
    }
}

/// The bytes of a value, whatever its type.
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: &Type, to: ColumnType, raw: &[u8]) -> Option<String> {
        let mut scratch = String::new();
        Codec::of(from, to)?
            .read(raw, to, ServerEncoding::named("UTF8"), &mut scratch)
            .map(|value| format!("{value:?}"))
    }

    #[test]
    fn what_has_a_clear_meaning_is_taken() {
        let is =
            |from: &Type, to, raw: &[u8], text: &str| assert_eq!(read(from, to, raw).as_deref(), Some(text), "{from}");
        is(&Type::INT2, ColumnType::Int, &[0xFF, 0xFE], "Int(-2)");
        is(&Type::OID, ColumnType::Int, &[0xFF, 0xFF, 0xFF, 0xFF], "Int(4294967295)");
        is(&Type::INT4, ColumnType::Float, &[0, 0, 0, 7], "Int(7)");
        is(&Type::INT8, ColumnType::Text, &7_i64.to_be_bytes(), "Text(\"7\")");
        is(&Type::PG_LSN, ColumnType::Text, &0x1_2345_6789_u64.to_be_bytes(), "Text(\"1/23456789\")");
        is(&Type::PG_LSN, ColumnType::Int, &9_u64.to_be_bytes(), "Int(9)");
        is(&Type::NUMERIC, ColumnType::Int, &[0, 1, 0, 0, 0, 0, 0, 2, 0, 5], "Int(5)");
        is(&Type::NUMERIC, ColumnType::Float, &[0, 2, 0, 0, 0, 0, 0, 2, 0, 5, 0x13, 0x88], "Float(5.5)");
        is(&Type::TIMESTAMPTZ, ColumnType::Timestamp, &0_i64.to_be_bytes(), "Timestamp(946684800000000)");
        is(&Type::TIMESTAMPTZ, ColumnType::Timestamp, &i64::MAX.to_be_bytes(), "Null");
        is(&Type::TIMESTAMPTZ, ColumnType::Text, &0_i64.to_be_bytes(), "Text(\"2000-01-01T00:00:00Z\")");
        is(&Type::JSONB, ColumnType::Text, b"\x01{}", "Text(\"{}\")");
        is(&Type::BOOL, ColumnType::Bool, &[1], "Bool(true)");
        let day = [&1_500_000_i64.to_be_bytes()[..], &1_i32.to_be_bytes(), &0_i32.to_be_bytes()].concat();
        is(&Type::INTERVAL, ColumnType::Float, &day, "Float(86401.5)");
    }

    #[test]
    fn what_has_none_is_refused() {
        assert_eq!(Codec::of(&Type::TEXT, ColumnType::Int), None);
        assert_eq!(Codec::of(&Type::FLOAT8, ColumnType::Int), None);
        assert_eq!(Codec::of(&Type::INT4_ARRAY, ColumnType::Text), None);
        assert_eq!(Codec::of(&Type::INTERVAL, ColumnType::Text), None);
        assert_eq!(Codec::of(&Type::INT4, ColumnType::Bool), None);
        // The bytes of another type, or a number that does not fit.
        assert_eq!(read(&Type::INT4, ColumnType::Int, &[1, 2]), None);
        assert_eq!(read(&Type::XID8, ColumnType::Int, &u64::MAX.to_be_bytes()), None);
        assert_eq!(read(&Type::NUMERIC, ColumnType::Int, &[0, 2, 0, 0, 0, 0, 0, 2, 0, 5, 0x13, 0x88]), None);
    }
}

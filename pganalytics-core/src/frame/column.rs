//! One column: a byte of flags, the mask of NULLs if there are any, then the
//! values of the rows that are not NULL.

use super::{
    FrameError, mask,
    number::{Effort, decode_floats, decode_ints, encode_floats, encode_ints},
    text::{self, Expected},
    wire::{Reader, put_slice},
};
use crate::{
    mask::Mask,
    schema::ColumnType,
    value::{ColumnData, TextValues, Values},
};

const HAS_NULLS: u8 = 1;

/// Appends a column and returns how many bytes of text it holds.
pub(super) fn encode(data: &ColumnData, effort: Effort, out: &mut Vec<u8>) -> Result<usize, FrameError> {
    let nulls = data.nulls();
    out.push(if nulls.is_some() { HAS_NULLS } else { 0 });
    if let Some(nulls) = nulls {
        let mut section = Vec::new();
        mask::encode(nulls, &mut section);
        put_slice(out, &section);
    }
    let keep = |row: usize| nulls.is_none_or(|nulls| !nulls.get(row));
    match data.values() {
        Values::Int(values) | Values::Timestamp(values) => match nulls {
            None => encode_ints(values, effort, out)?,
            Some(_) => encode_ints(&dense(values, keep), effort, out)?,
        },
        Values::Float(values) => match nulls {
            None => encode_floats(values, effort, out)?,
            Some(_) => encode_floats(&dense(values, keep), effort, out)?,
        },
        Values::Bool(values) => mask::encode(&dense(values, keep).into_iter().collect(), out),
        Values::Text(values) => {
            let texts: Vec<&str> =
                values.iter().enumerate().filter(|&(row, _)| keep(row)).map(|(_, text)| text).collect();
            text::encode(&texts, effort, out)?;
            return Ok(texts.iter().map(|text| text.len()).sum());
        }
    }
    Ok(0)
}

fn dense<T: Copy>(values: &[T], keep: impl Fn(usize) -> bool) -> Vec<T> {
    values.iter().enumerate().filter(|&(row, _)| keep(row)).map(|(_, &value)| value).collect()
}

/// Reads a column of `expected.rows` rows.
pub(super) fn decode(bytes: &[u8], ty: ColumnType, expected: Expected) -> Result<ColumnData, FrameError> {
    let mut reader = Reader::new("column", bytes);
    let nulls = match reader.byte()? {
        0 => None,
        HAS_NULLS => Some(mask::decode(reader.slice()?, expected.rows)?),
        other => return Err(FrameError::malformed("column", format!("unknown flags {other:#04x}"))),
    };
    let there = expected.rows - nulls.as_ref().map_or(0, Mask::count);
    let bytes = reader.rest();
    let spread = Spread { nulls: nulls.as_ref(), rows: expected.rows };
    let values = match ty {
        ColumnType::Int => Values::Int(spread.values(decode_ints(bytes, there)?)),
        ColumnType::Timestamp => Values::Timestamp(spread.values(decode_ints(bytes, there)?)),
        ColumnType::Float => Values::Float(spread.values(decode_floats(bytes, there)?)),
        ColumnType::Bool => {
            let set = mask::decode(bytes, there)?;
            Values::Bool(spread.values((0..there).map(|row| set.get(row)).collect()))
        }
        ColumnType::Text => Values::Text(spread.texts(text::decode(bytes, Expected { rows: there, ..expected })?)?),
    };
    Ok(match nulls {
        Some(nulls) => ColumnData::with_nulls(values, nulls),
        None => ColumnData::new(values),
    })
}

/// Puts values back to the rows that are not NULL.
struct Spread<'a> {
    nulls: Option<&'a Mask>,
    rows: usize,
}

impl Spread<'_> {
    fn values<T: Copy + Default>(&self, values: Vec<T>) -> Vec<T> {
        let Some(nulls) = self.nulls else { return values };
        let mut there = values.into_iter();
        let value = |row| if nulls.get(row) { T::default() } else { there.next().unwrap_or_default() };
        (0..self.rows).map(value).collect()
    }

    fn texts(&self, texts: TextValues) -> Result<TextValues, FrameError> {
        let Some(nulls) = self.nulls else { return Ok(texts) };
        let mut end = 0;
        let mut there = texts.ends().iter().copied();
        let ends = (0..self.rows).map(|row| {
            if !nulls.get(row) {
                end = there.next().unwrap_or(end);
            }
            end
        });
        let ends = ends.collect();
        TextValues::from_parts(ends, texts.bytes().to_owned())
            .ok_or_else(|| FrameError::malformed("texts", "they do not fit the rows"))
    }
}

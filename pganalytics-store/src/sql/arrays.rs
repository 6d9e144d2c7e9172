//! Columns of a chunk as Arrow arrays of the stored schema's types.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{
            ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray, make_view,
            new_null_array,
        },
        buffer::{BooleanBuffer, Buffer, NullBuffer},
        datatypes::DataType,
    },
    common::DataFusionError,
};
use pganalytics_core::{
    ColumnData, Mask, Schema, Values,
    frame::{Frame, FrameError},
};

use super::{
    convert::convert,
    shape::{Shape, arrow_type},
    table::ZONE,
};
use crate::error::StoreError;

/// Reads a column of a frame as the stored schema has it.
pub(super) fn read_column(frame: &Frame, shape: &Shape, column: usize) -> Result<ArrayRef, DataFusionError> {
    let read = |position| frame.column(position).map(Some).map_err(corrupt);
    let array = read_as(frame.schema(), shape, column, frame.rows(), read)?;
    Ok(array.unwrap_or_else(|| new_null_array(&DataType::Null, frame.rows())))
}

/// Reads a column of a chunk as the stored schema has it; `read` reads it by its
/// position in the chunk's own schema. `None` when `read` gives none.
pub(super) fn read_as(
    given: &Schema,
    shape: &Shape,
    column: usize,
    rows: usize,
    read: impl FnOnce(usize) -> Result<Option<ColumnData>, DataFusionError>,
) -> Result<Option<ArrayRef>, DataFusionError> {
    let Some(wanted) = shape.schema.columns().get(column) else {
        return Err(DataFusionError::Internal(format!("no column {column}")));
    };
    let null = || Ok(Some(new_null_array(&arrow_type(wanted.ty), rows)));
    let Some(position) = shape.place_in(given, column) else { return null() };
    let Some(given) = given.columns().get(position) else { return null() };
    Ok(read(position)?.map(|data| convert(&to_arrow(data), given.ty, wanted.ty)))
}

/// The error of a chunk that can't be read.
pub(super) fn corrupt(error: FrameError) -> DataFusionError {
    let error = match error {
        FrameError::Unavailable(why) => StoreError::Unavailable(why),
        error => StoreError::Corrupt(error.to_string()),
    };
    DataFusionError::External(Box::new(error))
}

/// A column of a frame as an array.
pub(super) fn to_arrow(data: ColumnData) -> ArrayRef {
    let rows = data.len();
    let (values, nulls) = data.into_parts();
    let nulls = nulls.map(|nulls| to_nulls(nulls, rows));
    match values {
        Values::Int(values) => Arc::new(Int64Array::new(values.into(), nulls)),
        Values::Float(values) => Arc::new(Float64Array::new(values.into(), nulls)),
        Values::Bool(values) => Arc::new(BooleanArray::new(values.into(), nulls)),
        Values::Timestamp(values) => {
            let array = TimestampMicrosecondArray::new(values.into(), nulls);
            Arc::new(array.with_timezone(ZONE))
        }
        Values::Text(texts) => {
            let (bytes, ends) = texts.into_parts();
            let bytes = Buffer::from_vec(bytes.into_bytes());
            let mut start = 0_u32;
            let views: Vec<u128> = ends
                .into_iter()
                .map(|end| {
                    let text = bytes.get(start as usize..end as usize).unwrap_or_default();
                    let view = make_view(text, 0, start);
                    start = end;
                    view
                })
                .collect();
            match StringViewArray::try_new(views.into(), vec![bytes], nulls) {
                Ok(array) => Arc::new(array),
                // The texts were valid; only a column of more than 2 GiB fails.
                Err(_) => new_null_array(&DataType::Utf8View, rows),
            }
        }
    }
}

fn to_nulls(nulls: Mask, rows: usize) -> NullBuffer {
    let words: Vec<u64> = nulls.into_words().into_iter().map(|word| !word).collect();
    NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(words), 0, rows))
}

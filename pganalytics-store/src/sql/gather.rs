//! Collects rows from several chunks into record batches.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, StringViewArray, TimestampMicrosecondArray, UInt32Array, new_null_array},
        compute::{interleave, take},
        datatypes::DataType,
    },
    common::DataFusionError,
};

use super::{decoded::Decoded, history::Group, table::ZONE};

/// Chunks that rows are taken from, each named by a small number.
#[derive(Default)]
pub(super) struct Sources {
    chunks: Vec<Arc<Decoded>>,
}

impl Sources {
    /// The number of a chunk.
    pub(super) fn number(&mut self, chunk: &Arc<Decoded>) -> u32 {
        // Chunks of late come in last; there are few.
        let found = self.chunks.iter().rposition(|known| Arc::ptr_eq(known, chunk));
        let number = found.unwrap_or_else(|| {
            self.chunks.push(Arc::clone(chunk));
            self.chunks.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// A chunk by its number.
    pub(super) fn get(&self, number: u32) -> Result<&Arc<Decoded>, DataFusionError> {
        let chunk = self.chunks.get(number as usize);
        chunk.ok_or_else(|| DataFusionError::Internal("a chunk that was not noted".to_owned()))
    }

    /// The values of a column at these places (chunk, row).
    pub(super) fn column(&self, column: usize, places: &[(u32, u32)]) -> Result<ArrayRef, DataFusionError> {
        let Some(&(first, _)) = places.first() else {
            return match self.chunks.first() {
                Some(chunk) => Ok(new_null_array(chunk.column(column)?.data_type(), 0)),
                None => Ok(new_null_array(&DataType::Null, 0)),
            };
        };
        if places.iter().all(|(chunk, _)| *chunk == first) {
            let rows: UInt32Array = places.iter().map(|(_, row)| *row).collect::<Vec<u32>>().into();
            return Ok(take(self.get(first)?.column(column)?, &rows, None)?);
        }
        // Decode only what is asked for here.
        let mut used: Vec<u32> = places.iter().map(|(chunk, _)| *chunk).collect();
        used.sort_unstable();
        used.dedup();
        let arrays: Vec<&ArrayRef> =
            used.iter().map(|&chunk| self.get(chunk)?.column(column)).collect::<Result<_, _>>()?;
        let arrays: Vec<&dyn Array> = arrays.into_iter().map(AsRef::as_ref).collect();
        let places: Vec<(usize, usize)> =
            places.iter().map(|(chunk, row)| (used.binary_search(chunk).unwrap_or_default(), *row as usize)).collect();
        Ok(interleave(&arrays, &places)?)
    }
}

/// A column of the source that all rows share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    Collector,
    ServerId,
    InstanceId,
    Server,
    Database,
}

impl Shared {
    pub(super) const ALL: [Self; 5] = [Self::Collector, Self::ServerId, Self::InstanceId, Self::Server, Self::Database];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Collector => "collector_id",
            Self::ServerId => "server_id",
            Self::InstanceId => "instance_id",
            Self::Server => "server",
            Self::Database => "database_name",
        }
    }

    /// The column, `rows` times.
    pub(super) fn array(self, group: &Group, rows: usize) -> ArrayRef {
        let text = match self {
            Self::Collector => Some(group.collector.to_string()),
            Self::ServerId => Some(group.source.server_id.to_string()),
            Self::InstanceId => Some(group.source.instance_id.to_string()),
            Self::Server => Some(group.source.server.to_string()),
            Self::Database => group.source.database.as_ref().map(ToString::to_string),
        };
        let Some(text) = text else { return new_null_array(&DataType::Utf8View, rows) };
        let one = StringViewArray::from(vec![text]);
        let Some(&view) = one.views().first() else { return new_null_array(&DataType::Utf8View, rows) };
        match StringViewArray::try_new(vec![view; rows].into(), one.data_buffers().to_vec(), None) {
            Ok(array) => Arc::new(array),
            Err(_) => new_null_array(&DataType::Utf8View, rows),
        }
    }
}

/// Times as `timestamptz`.
pub(super) fn times(micros: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone(ZONE))
}

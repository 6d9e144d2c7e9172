//! The first and last values of each key in a chunk: what the chunks beside it are compared
//! with, without keeping their columns.

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray as _, UInt32Array},
        compute::take,
        datatypes::{DataType, Float64Type, Int64Type},
    },
    common::DataFusionError,
};

use super::{decoded::Decoded, facts::Run};

/// The first and the last row of each run, of the counters that are the measurement's own.
#[derive(Debug, Default)]
pub(super) struct Ends {
    columns: Vec<[ArrayRef; 2]>,
}

impl From<Vec<[ArrayRef; 2]>> for Ends {
    fn from(columns: Vec<[ArrayRef; 2]>) -> Self {
        Self { columns }
    }
}

impl Ends {
    /// Reads all of them.
    pub(super) fn of(chunk: &Decoded) -> Result<Self, DataFusionError> {
        let mut ends = Self::default();
        for &column in &chunk.shape.own_counters {
            chunk.look_at(column, |array| ends.add(&chunk.keys.runs, array))??;
        }
        Ok(ends)
    }

    /// Takes them from the next counter's column.
    pub(super) fn add(&mut self, runs: &[Run], array: &ArrayRef) -> Result<(), DataFusionError> {
        let first: UInt32Array = runs.iter().map(|run| run.start).collect::<Vec<_>>().into();
        let last: UInt32Array = runs.iter().map(|run| run.end.saturating_sub(1)).collect::<Vec<_>>().into();
        self.columns.push([take(array, &first, None)?, take(array, &last, None)?]);
        Ok(())
    }

    /// Whether any counter's first value of a run is lower than the last one of an earlier
    /// chunk's run.
    pub(super) fn fell_since(&self, run: u32, earlier: &Self, earlier_run: u32) -> bool {
        let mut pairs = earlier.columns.iter().zip(&self.columns);
        pairs.any(|([_, last], [first, _])| is_lower(first, run as usize, last, earlier_run as usize))
    }

    pub(super) fn bytes(&self) -> usize {
        self.columns.iter().flatten().map(Array::get_array_memory_size).sum()
    }
}

/// Whether a counter's value is lower than another one; NULL is neither.
pub(super) fn is_lower(now: &ArrayRef, row: usize, before: &ArrayRef, row_before: usize) -> bool {
    if now.is_null(row) || before.is_null(row_before) {
        return false;
    }
    match now.data_type() {
        DataType::Int64 => {
            now.as_primitive::<Int64Type>().value(row) < before.as_primitive::<Int64Type>().value(row_before)
        }
        DataType::Float64 => {
            now.as_primitive::<Float64Type>().value(row) < before.as_primitive::<Float64Type>().value(row_before)
        }
        _ => false,
    }
}

//! Since when rows have counted: the stamp of each, in measurements that have them.

use datafusion::{
    arrow::{
        array::{Array as _, ArrayRef, AsArray as _},
        datatypes::TimestampMicrosecondType,
    },
    common::DataFusionError,
};
use pganalytics_core::Timestamp;

use super::decoded::Decoded;

/// The stamps of a chunk's rows. The column is not read for keys of which the block has noted
/// that their stamp was the same in all rows, nor for the first and last row of the others.
pub(super) struct Stamps<'a> {
    chunk: &'a Decoded,
    column: Option<usize>,
    /// Those of the first and the last rows of runs, where the block has noted them.
    ends: Option<[ArrayRef; 2]>,
}

impl<'a> Stamps<'a> {
    pub(super) fn of(chunk: &'a Decoded) -> Result<Self, DataFusionError> {
        let column = chunk.shape.schema.row_stamp();
        let ends = match column {
            Some(column) => chunk.end_values(column)?,
            None => None,
        };
        Ok(Self { chunk, column, ends })
    }

    /// The stamp of a row of a run.
    pub(super) fn of_row(&self, number: u32, row: u32) -> Result<Option<Timestamp>, DataFusionError> {
        let Some(column) = self.column else { return Ok(None) };
        if let (Some([first, last]), Some(run)) = (&self.ends, self.chunk.keys.runs.get(number as usize)) {
            if row == run.start || self.chunk.is_regular(number) {
                return Ok(stamp_in(first, number));
            }
            if row + 1 == run.end {
                return Ok(stamp_in(last, number));
            }
        }
        Ok(stamp_in(self.chunk.column(column)?, row))
    }
}

fn stamp_in(stamps: &ArrayRef, row: u32) -> Option<Timestamp> {
    let (stamps, row) = (stamps.as_primitive::<TimestampMicrosecondType>(), row as usize);
    (row < stamps.len() && stamps.is_valid(row)).then(|| Timestamp::from_micros(stamps.value(row)))
}

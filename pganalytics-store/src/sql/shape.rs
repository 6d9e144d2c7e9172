//! The schema that a measurement is stored with, as queries look at it.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use pganalytics_core::{ColumnKind, ColumnType, Schema};

use super::table::ZONE;
use crate::stored_schema;

/// The stored schema of a measurement, looked at once.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) schema: Arc<Schema>,
    /// Positions of key columns, in the order of their names.
    pub(super) keys: Vec<usize>,
    pub(super) counters: Vec<usize>,
    /// Those of them that no other object keeps.
    pub(super) own_counters: Vec<usize>,
    /// Counters and gauges: what makes a row a changed one.
    pub(super) measured: Vec<usize>,
    pub(super) fingerprint: u64,
    /// For each column the one whose values of another type it has.
    beside: Vec<Option<usize>>,
}

impl Shape {
    pub(super) fn new(schema: Arc<Schema>) -> Self {
        let columns = schema.columns();
        let name = |at: &usize| columns.get(*at).map(|column| column.name.as_str());
        let mut keys: Vec<usize> = schema.positions_of(ColumnKind::Key).collect();
        keys.sort_by(|a, b| name(a).cmp(&name(b)));
        let counters: Vec<usize> = schema.positions_of(ColumnKind::Counter).collect();
        let own_counters = schema.own_counters().collect();
        let measured = counters.iter().copied().chain(schema.positions_of(ColumnKind::Gauge)).collect();
        let fingerprint = schema.fingerprint();
        let beside = stored_schema::beside(&schema);
        Self { schema, keys, counters, own_counters, measured, fingerprint, beside }
    }

    /// Where a schema of this measurement has what a column shows.
    pub(super) fn place_in(&self, given: &Schema, column: usize) -> Option<usize> {
        stored_schema::place_in(given, &self.schema, column, self.beside.get(column).copied().flatten())
    }

    /// Whether what rows of a chunk of this schema say of each other is what they say of each
    /// other as rows of the stored one. Columns that only one of the two has are of no matter
    /// as long as they measure nothing there, or are not there here.
    pub(super) fn measures_as(&self, given: &Schema) -> bool {
        if std::ptr::eq(given, &*self.schema) || given.fingerprint() == self.fingerprint {
            return true;
        }
        // What a column measures, if it does: kind, type, whether others keep it, or the stamp.
        fn what(schema: &Schema, at: usize) -> Option<(ColumnKind, ColumnType, bool, bool)> {
            let (column, stamp) = (schema.columns().get(at)?, schema.row_stamp() == Some(at));
            let measures = matches!(column.kind, ColumnKind::Counter | ColumnKind::Gauge) || stamp;
            measures.then(|| (column.kind, column.ty, schema.derived().contains(&at), stamp))
        }
        given.columns().iter().enumerate().all(|(at, column)| {
            let here = self.schema.position(&column.name).and_then(|at| what(&self.schema, at));
            here == what(given, at)
        }) && given.row_stamp().is_some() == self.schema.row_stamp().is_some()
            && given.family() == self.schema.family()
    }
}

/// The Arrow type of a column.
pub(super) fn arrow_type(ty: ColumnType) -> DataType {
    match ty {
        ColumnType::Text => DataType::Utf8View,
        ColumnType::Int => DataType::Int64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into())),
    }
}

//! Makes Arrow tables of our own data: what the store knows of agents and their streams.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray},
        datatypes::{Field, Schema},
    },
    catalog::TableProvider,
    common::DataFusionError,
    datasource::MemTable,
};
use pganalytics_core::Timestamp;

use super::table::ZONE;

/// A table of these columns: the name of each, whether it has NULLs, its values.
pub(super) fn table_of<const COLUMNS: usize>(
    columns: [(&str, bool, ArrayRef); COLUMNS],
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, null, array)| Field::new(*name, array.data_type().clone(), *null)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.into_iter().map(|(.., array)| array).collect())?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}

/// A column of texts.
pub(super) fn texts<Row>(rows: &[Row], of: impl Fn(&Row) -> Option<String>) -> ArrayRef {
    Arc::new(rows.iter().map(of).collect::<StringViewArray>())
}

/// A column of counts.
pub(super) fn numbers<Row>(rows: &[Row], of: impl Fn(&Row) -> Option<u64>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| of(row).map(u64::cast_signed)).collect::<Int64Array>())
}

/// A column of times.
pub(super) fn times<Row>(rows: &[Row], of: impl Fn(&Row) -> Option<Timestamp>) -> ArrayRef {
    let times = rows.iter().map(|row| of(row).map(Timestamp::as_micros));
    Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone(ZONE))
}

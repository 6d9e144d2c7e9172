//! The one schema that a measurement shows when its frames came with several.

use std::sync::Arc;

use pganalytics_core::{Column, CounterFamily, MeasurementName, ModelError, Presence, Schema, schema::MAX_COLUMNS};
use serde::Deserialize;

/// The newest schema with the columns of all earlier ones behind its own, as
/// [`StoredMeasurement::schema`](crate::StoredMeasurement::schema) promises.
/// Schemas are given oldest first; `None` when there is none.
///
/// Past [`MAX_COLUMNS`] the oldest columns are left out.
#[must_use]
pub fn merged(oldest_first: &[Arc<Schema>]) -> Option<Arc<Schema>> {
    let (newest, earlier) = oldest_first.split_last()?;
    let mut columns = newest.columns().to_vec();
    for column in earlier.iter().rev().flat_map(|schema| schema.columns()) {
        if columns.len() < MAX_COLUMNS && !columns.iter().any(|known| known.name == column.name) {
            columns.push(column.clone());
        }
    }
    if columns.len() == newest.columns().len() {
        return Some(Arc::clone(newest));
    }
    let stamp = newest.row_stamp().and_then(|at| newest.columns().get(at)).map(|column| column.name.clone());
    let merged = build(newest.measurement().clone(), newest.family(), columns, stamp.as_deref(), newest.presence());
    // The parts come from schemas that are valid, so this can't fail.
    Some(merged.map_or_else(|_| Arc::clone(newest), Arc::new))
}

fn build(
    measurement: MeasurementName,
    family: CounterFamily,
    columns: Vec<Column>,
    stamp: Option<&str>,
    presence: Presence,
) -> Result<Schema, ModelError> {
    let schema = Schema::new(measurement, family, columns)?.with_presence(presence);
    match stamp {
        Some(column) => schema.with_row_stamp(column),
        None => Ok(schema),
    }
}

/// A schema's parts, as [`Schema`] is serialized.
#[derive(Deserialize)]
struct Parts {
    measurement: MeasurementName,
    columns: Vec<Column>,
    family: CounterFamily,
    #[serde(default)]
    row_stamp: Option<usize>,
    presence: Presence,
}

/// Reads a schema from the JSON that it is serialized to.
///
/// # Errors
/// Says what is wrong with the text.
pub fn from_json(text: &str) -> Result<Schema, String> {
    let parts: Parts = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let stamp = match parts.row_stamp {
        Some(at) => Some(parts.columns.get(at).ok_or("its row stamp is not one of its columns")?.name.clone()),
        None => None,
    };
    build(parts.measurement, parts.family, parts.columns, stamp.as_deref(), parts.presence)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use pganalytics_core::{ColumnKind, ColumnType};

    use super::*;

    fn schema(columns: &[(&str, ColumnType)]) -> Arc<Schema> {
        let columns = columns.iter().map(|(name, ty)| Column::new(name, ColumnKind::Gauge, *ty)).collect();
        Arc::new(Schema::new(MeasurementName::new("m").unwrap(), CounterFamily::Cumulative, columns).unwrap())
    }

    #[test]
    fn the_newest_comes_first_and_wins() {
        use ColumnType::{Float, Int, Text, Timestamp};
        let oldest = schema(&[("a", Text), ("b", Int), ("at", Timestamp)]);
        let older = schema(&[("c", Int), ("b", Float)]);
        let newest = Arc::new(Schema::clone(&schema(&[("d", Int), ("at", Timestamp)])).with_row_stamp("at").unwrap());
        let merged = merged(&[oldest, older, Arc::clone(&newest)]).unwrap();
        let columns: Vec<_> = merged.columns().iter().map(|column| (column.name.as_str(), column.ty)).collect();
        assert_eq!(columns, [("d", Int), ("at", Timestamp), ("c", Int), ("b", Float), ("a", Text)]);
        assert_eq!(merged.row_stamp(), Some(1));
        assert_eq!(super::merged(&[Arc::clone(&newest)]), Some(newest));
        assert_eq!(super::merged(&[]), None);
    }

    #[test]
    fn a_schema_comes_back_from_json() {
        let schema = Schema::clone(&schema(&[("a", ColumnType::Int), ("at", ColumnType::Timestamp)]))
            .with_presence(Presence::Append)
            .with_row_stamp("at")
            .unwrap();
        assert_eq!(from_json(&serde_json::to_string(&schema).unwrap()).unwrap(), schema);
        assert!(from_json("{}").is_err());
    }
}

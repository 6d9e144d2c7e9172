//! The one schema that a measurement shows when its frames came with several.

use std::{sync::Arc, time::Duration};

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
    let mut derived: Vec<&str> = derived_of(newest).collect();
    for schema in earlier.iter().rev() {
        let known = columns.len();
        for column in schema.columns() {
            if columns.len() < MAX_COLUMNS && !columns.iter().any(|known| known.name == column.name) {
                columns.push(column.clone());
            }
        }
        let added = columns.get(known..).unwrap_or_default();
        derived.extend(derived_of(schema).filter(|name| added.iter().any(|column| column.name == **name)));
    }
    if columns.len() == newest.columns().len() {
        return Some(Arc::clone(newest));
    }
    let stamp = newest.row_stamp().and_then(|at| newest.columns().get(at)).map(|column| column.name.clone());
    let schema = Schema::new(newest.measurement().clone(), newest.family(), columns);
    let merged = schema.and_then(|schema| complete(schema, stamp.as_deref(), derived, newest.presence()));
    let merged = merged.map(|merged| merged.with_retention(newest.retention()));
    // The parts come from schemas that are valid, so this can't fail.
    Some(merged.map_or_else(|_| Arc::clone(newest), Arc::new))
}

fn derived_of(schema: &Schema) -> impl Iterator<Item = &str> {
    schema.derived().iter().filter_map(|&at| schema.columns().get(at)).map(|column| column.name.as_str())
}

fn complete<'a>(
    schema: Schema,
    stamp: Option<&str>,
    derived: impl IntoIterator<Item = &'a str>,
    presence: Presence,
) -> Result<Schema, ModelError> {
    let schema = schema.with_presence(presence).with_derived(derived)?;
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
    #[serde(default)]
    derived: Vec<usize>,
    presence: Presence,
    #[serde(default)]
    retention_secs: Option<u64>,
}

/// Reads a schema from the JSON that it is serialized to.
///
/// # Errors
/// Says what is wrong with the text.
pub fn from_json(text: &str) -> Result<Schema, String> {
    let parts: Parts = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let name = |at: usize, what: &str| match parts.columns.get(at) {
        Some(column) => Ok(column.name.clone()),
        None => Err(format!("its {what} is not one of its columns")),
    };
    let stamp = parts.row_stamp.map(|at| name(at, "row stamp")).transpose()?;
    let derived: Vec<String> = parts.derived.iter().map(|&at| name(at, "derived counter")).collect::<Result<_, _>>()?;
    Schema::new(parts.measurement, parts.family, parts.columns)
        .and_then(|schema| complete(schema, stamp.as_deref(), derived.iter().map(String::as_str), parts.presence))
        .map(|schema| schema.with_retention(parts.retention_secs.map(Duration::from_secs)))
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
    fn derived_counters_stay_so() {
        let of = |names: &[&str], derived: &[&str]| {
            let columns = names.iter().map(|name| Column::new(name, ColumnKind::Counter, ColumnType::Int)).collect();
            let schema = Schema::new(MeasurementName::new("m").unwrap(), CounterFamily::Cumulative, columns).unwrap();
            Arc::new(schema.with_derived(derived.iter().copied()).unwrap())
        };
        // `b` was derived once; what the newest schema says of it counts.
        let merged = merged(&[of(&["a", "b", "c"], &["b", "c"]), of(&["b", "d"], &["d"])]).unwrap();
        assert_eq!(derived_of(&merged).collect::<Vec<_>>(), ["d", "c"]);
    }

    #[test]
    fn a_schema_comes_back_from_json() {
        let columns = vec![
            Column::new("a", ColumnKind::Counter, ColumnType::Int),
            Column::new("at", ColumnKind::Info, ColumnType::Timestamp),
        ];
        let schema = Schema::new(MeasurementName::new("m").unwrap(), CounterFamily::Statements, columns).unwrap();
        let schema = schema.with_presence(Presence::Append).with_row_stamp("at").unwrap().with_derived(["a"]).unwrap();
        let schema = schema.with_retention(Some(Duration::from_secs(3600)));
        assert_eq!(from_json(&serde_json::to_string(&schema).unwrap()).unwrap(), schema);
        assert!(from_json("{}").is_err());
        let text = serde_json::to_string(&schema).unwrap().replace("\"derived\":[0]", "\"derived\":[7]");
        assert!(from_json(&text).unwrap_err().contains("derived counter"), "{text}");
    }
}

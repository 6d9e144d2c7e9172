//! The one schema that a measurement shows when its frames came with several.
//!
//! A column may have been of several types. Numbers are one type here, and a column of
//! them is a float once one of its schemas said so. What the column is:
//! * what the newest schema says, where it makes it a key: it is part of the rows' identity;
//! * numbers, if it ever was numbers, where the newest schema makes it a text: one `"n/a"`
//!   among numbers hides none of them;
//! * what the newest schema says, else.
//!
//! Texts hold whatever a column held before. Where it is no text, what it held of other types is
//! in columns beside it, of the names `v_text`, `v_number`, `v_bool` and `v_timestamp` for a
//! column `v`; with underscores behind them where there is such a column already.

use std::{collections::HashMap, sync::Arc, time::Duration};

use pganalytics_core::{
    Column, ColumnKind, ColumnType, CounterFamily, MeasurementName, ModelError, Presence, Schema, schema::MAX_COLUMNS,
};
use serde::Deserialize;

/// The newest schema with the columns of all earlier ones behind its own, then what
/// columns held of other types, as
/// [`StoredMeasurement::schema`](crate::StoredMeasurement::schema) promises.
/// Schemas are given oldest first; `None` when there is none.
///
/// Past [`MAX_COLUMNS`] the oldest columns are left out.
#[must_use]
pub fn merged(oldest_first: &[Arc<Schema>]) -> Option<Arc<Schema>> {
    let newest = oldest_first.last()?;
    if oldest_first.len() == 1 {
        return Some(Arc::clone(newest));
    }
    let stamp = newest.row_stamp().and_then(|at| newest.columns().get(at)).map(|column| column.name.as_str());
    let mut names: Vec<&str> = Vec::new();
    let mut versions: HashMap<&str, Vec<Version<'_>>> = HashMap::new();
    for schema in oldest_first.iter().rev() {
        for (at, column) in schema.columns().iter().enumerate() {
            let of_name = versions.entry(&column.name).or_default();
            if of_name.is_empty() {
                names.push(&column.name);
            }
            of_name.push(Version { column, derived: schema.derived().contains(&at) });
        }
    }
    let (mut columns, mut derived, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for name in names.iter().take(MAX_COLUMNS) {
        let versions = versions.get(name).map_or(&[][..], Vec::as_slice);
        let Some(shown) = shown(versions, stamp == Some(name)) else { continue };
        if shown.derived {
            derived.push(shown.column.name.as_str());
        }
        let column = Column { ty: widest(versions, Class::of(shown.column.ty)), ..shown.column.clone() };
        beside.extend(others(versions, &column, &names));
        columns.push(column);
    }
    beside.truncate(MAX_COLUMNS.saturating_sub(columns.len()));
    columns.extend(beside);
    if columns == newest.columns() {
        return Some(Arc::clone(newest));
    }
    let schema = Schema::new(newest.measurement().clone(), newest.family(), columns);
    let merged = schema.and_then(|schema| complete(schema, stamp, derived, newest.presence()));
    let merged = merged.map(|merged| merged.with_retention(newest.retention()));
    // The parts come from schemas that are valid, so this can't fail.
    Some(merged.map_or_else(|_| Arc::clone(newest), Arc::new))
}

/// Longest name of a column. There is none for values of other types where it would be longer.
const MAX_NAME: usize = 63;

/// A column as one schema had it.
#[derive(Clone, Copy)]
struct Version<'a> {
    column: &'a Column,
    derived: bool,
}

/// Types whose values are one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Text,
    Number,
    Bool,
    Timestamp,
}

impl Class {
    const ALL: [Self; 4] = [Self::Number, Self::Text, Self::Bool, Self::Timestamp];

    fn of(ty: ColumnType) -> Self {
        match ty {
            ColumnType::Text => Self::Text,
            ColumnType::Int | ColumnType::Float => Self::Number,
            ColumnType::Bool => Self::Bool,
            ColumnType::Timestamp => Self::Timestamp,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Text => "_text",
            Self::Number => "_number",
            Self::Bool => "_bool",
            Self::Timestamp => "_timestamp",
        }
    }
}

/// Of a column's versions, newest first, the one that has its name.
fn shown<'a>(versions: &[Version<'a>], is_stamp: bool) -> Option<Version<'a>> {
    let newest = *versions.first()?;
    let is_number = |version: &&Version<'_>| {
        version.column.kind != ColumnKind::Key && Class::of(version.column.ty) == Class::Number
    };
    if is_stamp || newest.column.kind == ColumnKind::Key || newest.column.ty != ColumnType::Text {
        return Some(newest);
    }
    Some(versions.iter().find(is_number).copied().unwrap_or(newest))
}

/// The type that holds the values of all versions of a class.
fn widest(versions: &[Version<'_>], class: Class) -> ColumnType {
    let mut types = versions.iter().map(|version| version.column.ty).filter(|ty| Class::of(*ty) == class);
    let first = types.next().unwrap_or(ColumnType::Text);
    if types.any(|ty| ty == ColumnType::Float) { ColumnType::Float } else { first }
}

/// What a column held of other types than its own.
fn others(versions: &[Version<'_>], column: &Column, taken: &[&str]) -> Vec<Column> {
    if versions.len() < 2 || column.ty == ColumnType::Text {
        return Vec::new();
    }
    let held = |class: &Class| {
        *class != Class::of(column.ty) && versions.iter().any(|version| Class::of(version.column.ty) == *class)
    };
    let one = |class: Class| {
        let mut name = format!("{}{}", column.name, class.suffix());
        // The longest of such names, so that it is told from those that were there.
        while taken.iter().any(|taken| is_lengthened(taken, &name)) {
            name.push('_');
        }
        let other = Column::new(&name, ColumnKind::Info, widest(versions, class));
        (name.len() <= MAX_NAME).then(|| Column { unit: column.unit.clone(), ..other })
    };
    Class::ALL.into_iter().filter(held).filter_map(one).collect()
}

/// Whether a name is another one with underscores behind it, or none.
fn is_lengthened(name: &str, other: &str) -> bool {
    name.strip_prefix(other).is_some_and(|rest| rest.bytes().all(|byte| byte == b'_'))
}

/// For each column of a merged schema the one whose values of another type it has, if it
/// may be such a column: frames that have a column of its own name have it there.
#[must_use]
pub(crate) fn beside(merged: &Schema) -> Vec<Option<usize>> {
    let columns = merged.columns();
    let of = |column: &Column| {
        let suffix = Class::of(column.ty).suffix();
        let stem =
            column.name.trim_end_matches('_').strip_suffix(suffix).filter(|_| column.kind == ColumnKind::Info)?;
        let at = merged.position(stem)?;
        let base = columns.get(at)?;
        let longer = |other: &Column| other.name != column.name && is_lengthened(&other.name, &column.name);
        let is_one = base.ty != ColumnType::Text && Class::of(base.ty) != Class::of(column.ty);
        (is_one && !columns.iter().any(longer)).then_some(at)
    };
    columns.iter().map(of).collect()
}

/// Where a schema has what the column at `wanted` of a merged one shows; `base` as
/// [`beside`] says.
pub(crate) fn place_in(given: &Schema, merged: &Schema, wanted: usize, base: Option<usize>) -> Option<usize> {
    let column = merged.columns().get(wanted)?;
    if given.columns().get(wanted).is_some_and(|given| given.name == column.name) {
        return Some(wanted);
    }
    if let Some(own) = given.position(&column.name) {
        return Some(own);
    }
    let at = given.position(&merged.columns().get(base?)?.name)?;
    let held = given.columns().get(at)?;
    (Class::of(held.ty) == Class::of(column.ty)).then_some(at)
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
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

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

    fn shape(schemas: &[Arc<Schema>]) -> Vec<(String, ColumnType)> {
        merged(schemas).unwrap().columns().iter().map(|column| (column.name.clone(), column.ty)).collect()
    }

    fn shapes(columns: &[(&str, ColumnType)]) -> Vec<(String, ColumnType)> {
        columns.iter().map(|(name, ty)| ((*name).to_owned(), *ty)).collect()
    }

    #[test]
    fn a_text_hides_no_numbers() {
        use ColumnType::{Bool, Float, Int, Text, Timestamp};
        let [int, float, text] = [Int, Float, Text].map(|ty| schema(&[("v", ty)]));
        let both = shapes(&[("v", Int), ("v_text", Text)]);
        assert_eq!(shape(&[int.clone(), text.clone()]), both);
        assert_eq!(shape(&[text.clone(), int.clone()]), both);
        assert_eq!(shape(&[int.clone(), text.clone(), int.clone()]), both);
        assert_eq!(shape(&[float.clone(), text.clone(), int.clone()]), shapes(&[("v", Float), ("v_text", Text)]));
        assert_eq!(shape(&[int.clone(), float, int.clone()]), shapes(&[("v", Float)]));
        assert_eq!(shape(&[int.clone(), schema(&[("v", Bool)])]), shapes(&[("v", Bool), ("v_number", Int)]));
        // A text holds a time, too.
        assert_eq!(shape(&[schema(&[("v", Timestamp)]), text.clone()]), shapes(&[("v", Text)]));
        // A name that is taken is left to its column.
        let taken = schema(&[("v", Int), ("v_text", Float)]);
        assert_eq!(shape(&[taken, text]), shapes(&[("v", Int), ("v_text", Float), ("v_text_", Text)]));
        // A key is part of what a row is.
        let key = Column::new("v", ColumnKind::Key, Text);
        let key = Schema::new(MeasurementName::new("m").unwrap(), CounterFamily::Cumulative, vec![key]).unwrap();
        assert_eq!(shape(&[int.clone(), Arc::new(key.clone())]), shapes(&[("v", Text)]));
        assert_eq!(shape(&[Arc::new(key), int]), both);
    }

    fn random_schema() -> impl Strategy<Value = Arc<Schema>> {
        use ColumnType::{Bool, Float, Int, Text, Timestamp};
        let ty = || prop::sample::select(vec![Int, Float, Text, Bool, Timestamp]);
        let names = ["v", "v_text", "v_text_", "v_number", "w", "w_bool"];
        let kind = || prop::sample::select(vec![ColumnKind::Gauge, ColumnKind::Info, ColumnKind::Key]);
        let column = (prop::sample::select(names.to_vec()), kind(), ty());
        prop::collection::btree_map(column.clone().prop_map(|column| column.0), (kind(), ty()), 1..5).prop_map(
            |columns| {
                let columns = columns.into_iter().map(|(name, (kind, ty))| Column::new(name, kind, ty)).collect();
                Arc::new(Schema::new(MeasurementName::new("m").unwrap(), CounterFamily::Cumulative, columns).unwrap())
            },
        )
    }

    proptest! {
        /// Whatever a column was, each of its values is in a column that can say it.
        #[test]
        fn what_was_stored_is_readable(schemas in prop::collection::vec(random_schema(), 1..6)) {
            let merged = merged(&schemas).unwrap();
            let beside = beside(&merged);
            for given in &schemas {
                for (at, column) in given.columns().iter().enumerate() {
                    let readable = (0..merged.columns().len()).any(|wanted| {
                        let shown = merged.columns()[wanted].ty;
                        let says_it = Class::of(shown) == Class::of(column.ty) && (shown, column.ty) != (ColumnType::Int, ColumnType::Float);
                        place_in(given, &merged, wanted, beside[wanted]) == Some(at)
                            && (shown == ColumnType::Text || says_it)
                    });
                    prop_assert!(readable, "{column:?} of {given:?} in {merged:?}");
                }
            }
        }
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
        let name = |at: &usize| merged.columns()[*at].name.as_str();
        assert_eq!(merged.derived().iter().map(name).collect::<Vec<_>>(), ["d", "c"]);
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

//! Rows of a list as metrics of ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Map, Number, Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    split::Rows,
    table::{self, How, List, STATEMENTS, Target},
};
use crate::{
    privacy::{redact_sql, redact_strings},
    schema::{ColumnKind, Presence, Schema},
};

type Row = Map<String, Value>;
type Lookup<'a> = dyn Fn(&str) -> Option<Arc<Schema>> + 'a;

/// The key of rows that have no other.
const POSITION: &str = "position";
/// Longest name of a measurement or column.
const LONGEST_NAME: usize = 63;

/// The metrics that rows become: those of ours first, then what is left.
pub(super) fn metrics(of: &str, rows: &Rows, lookup: &Lookup<'_>) -> Vec<Row> {
    let list = table::list(of, &rows.at);
    let mut used: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); rows.rows.len()];
    let mut metrics = Vec::new();
    for target in list.map_or(&[][..], |list| list.to) {
        // A catalog may be without it; then it is kept apart.
        if let Some(schema) = lookup(target.measurement) {
            metrics.extend(list.and_then(|list| ours(list, target, &schema, rows, &mut used)));
        }
    }
    metrics.extend(left(of, list, rows, &used));
    metrics
}

fn ours<'r>(
    list: &List,
    target: &'static Target,
    schema: &Schema,
    rows: &'r Rows,
    used: &mut [BTreeSet<&'r str>],
) -> Option<Row> {
    let appends = schema.presence() == Presence::Append;
    let kind_of = |name: &str| schema.columns().iter().find(|column| column.name == name).map(|column| column.kind);
    let mut made: Vec<Row> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (row, used) in rows.rows.iter().zip(used) {
        let mut out = Row::new();
        let mut key = String::new();
        let mut has_figures = false;
        for (field, column, how) in target.columns {
            let Some(kind) = kind_of(column) else { continue };
            let given = row.get_key_value(*field);
            let value = match (how, given) {
                (How::Hash | How::Is(_), _) => convert(&Value::Null, *how, row),
                (_, Some((name, value))) => {
                    let value = convert(value, *how, row);
                    if value.is_some() {
                        used.insert(name);
                    }
                    value
                }
                (_, None) => None,
            };
            let Some(value) = value else { continue };
            if kind == ColumnKind::Key {
                key += &format!("{value} ");
            } else {
                has_figures = true;
            }
            out.insert((*column).to_owned(), value);
        }
        // That it is there is something to tell only where what is not there is gone.
        if list.is_cut && !has_figures {
            continue;
        }
        match known.get(&key).and_then(|&at| made.get_mut(at)) {
            // The same statement of another user: counted together.
            Some(first) => add(first, &out, &kind_of),
            None => {
                known.insert(key, made.len());
                made.push(out);
            }
        }
    }
    // Of the document itself there may be nothing for us.
    if made.iter().all(Row::is_empty) && (!made.is_empty() || list.is_cut) {
        return None;
    }
    let whole = !list.is_cut && !appends;
    Some(metric(target.measurement, whole, rows.database.as_deref().filter(|_| target.of_database), made))
}

/// Adds the counters of a row to those of another.
fn add(first: &mut Row, more: &Row, kind_of: &dyn Fn(&str) -> Option<ColumnKind>) {
    for (column, value) in more {
        if kind_of(column) != Some(ColumnKind::Counter) {
            continue;
        }
        let sum = match (first.get(column), value) {
            (Some(Value::Number(one)), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
                (Some(one), Some(other)) => Value::from(one.saturating_add(other)),
                _ => Value::from(one.as_f64().unwrap_or_default() + other.as_f64().unwrap_or_default()),
            },
            _ => value.clone(),
        };
        first.insert(column.clone(), sum);
    }
}

/// What no measurement of ours has a column for.
fn left(of: &str, list: Option<&List>, rows: &Rows, used: &[BTreeSet<&str>]) -> Option<Row> {
    let keys = list.map_or(&[][..], |list| list.keys);
    let is_list = !matches!(rows.at.as_str(), "" | "databases");
    let rest = |(row, used): (&'_ Row, &BTreeSet<&str>)| {
        let is_left = |(name, value): &(&String, &Value)| {
            !used.contains(name.as_str()) && !keys.contains(&name.as_str()) && !value.is_null()
        };
        row.iter().filter(is_left).map(|(name, value)| (name.clone(), shown(name, value))).collect::<Row>()
    };
    let rests: Vec<Row> = rows.rows.iter().zip(used).map(rest).collect();
    let has_key = |row: &Row| keys.iter().all(|key| row.contains_key(*key));
    let by_position = is_list && (keys.is_empty() || !rows.rows.iter().all(has_key));
    // Rows of which only the key is known say that something is there, unless another measurement does.
    let told = list.is_some_and(|list| !list.to.is_empty());
    if rests.iter().all(Row::is_empty) && (told || rows.rows.is_empty() || !is_list) {
        return None;
    }
    let mut columns = Columns::default();
    if by_position {
        columns.add(POSITION, "key", "int");
    }
    for key in keys {
        columns.add(key, "key", "text");
    }
    let names: BTreeSet<&String> = rests.iter().flat_map(Row::keys).collect();
    for name in names {
        let values = rests.iter().filter_map(|row| row.get(name));
        match type_of(values) {
            "text" => columns.add(name, "info", "text"),
            other => columns.add(name, "gauge", other),
        }
    }
    let mut out = Vec::with_capacity(rests.len());
    for (position, (rest, row)) in rests.iter().zip(&rows.rows).enumerate() {
        let value = |column: &OwnColumn| {
            if column.field == POSITION && column.kind == "key" && by_position {
                return json!(position);
            }
            let given = if column.kind == "key" { row.get(&column.field) } else { rest.get(&column.field) };
            match given {
                None | Some(Value::Null) => Value::Null,
                Some(value) if column.ty == "text" => Value::from(text(value)),
                Some(value) => value.clone(),
            }
        };
        out.push(Value::Array(columns.0.iter().map(value).collect()));
    }
    let name = identifier(&["v3", of, rows.at.trim_start_matches("databases").trim_start_matches('.')]);
    let mut metric = metric(&name, !list.is_some_and(|list| list.is_cut), rows.database.as_deref(), Vec::new());
    metric.insert("columns".to_owned(), columns.to_json());
    metric.insert("rows".to_owned(), Value::Array(out));
    Some(metric)
}

fn metric(name: &str, whole: bool, database: Option<&str>, rows: Vec<Row>) -> Row {
    let kind = if whole { "keyframe" } else { "delta" };
    let rows: Vec<Value> = rows.into_iter().map(Value::Object).collect();
    let metric = json!({"type": name, "kind": kind, "database": database, "rows": rows});
    if let Value::Object(metric) = metric { metric } else { Row::new() }
}

struct OwnColumn {
    field: String,
    name: String,
    kind: &'static str,
    ty: &'static str,
}

/// Columns of a measurement that is not ours.
#[derive(Default)]
struct Columns(Vec<OwnColumn>);

impl Columns {
    fn add(&mut self, field: &str, kind: &'static str, ty: &'static str) {
        let mut name = identifier(&[field]);
        // Two names may look the same without what may not be in a name.
        let base: String = name.chars().take(LONGEST_NAME - 4).collect();
        let mut number = 2;
        while self.0.iter().any(|column| column.name == name) {
            name = format!("{base}_{number}");
            number += 1;
        }
        self.0.push(OwnColumn { field: field.to_owned(), name, kind, ty });
    }

    fn to_json(&self) -> Value {
        self.0.iter().map(|column| json!({"name": column.name, "kind": column.kind, "type": column.ty})).collect()
    }
}

/// Words as one name of a measurement or column.
fn identifier(words: &[&str]) -> String {
    let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let mut name: String = words.join("_").chars().map(fits).take(LONGEST_NAME).collect();
    if !name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') {
        name.insert(0, '_');
        name.truncate(LONGEST_NAME);
    }
    name
}

/// The type of a column that has all these values.
fn type_of<'v>(values: impl Iterator<Item = &'v Value>) -> &'static str {
    let ty = |value: &Value| match value {
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int",
        Value::Number(_) => "float",
        _ => "text",
    };
    values
        .map(ty)
        .reduce(|one, other| match (one, other) {
            (one, other) if one == other => one,
            ("int", "float") | ("float", "int") => "float",
            _ => "text",
        })
        .unwrap_or("text")
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value that is kept apart; a statement without its literals.
fn shown(field: &str, value: &Value) -> Value {
    let name = field.rsplit('.').next().unwrap_or_default();
    match value {
        Value::String(text) if STATEMENTS.contains(&name) => Value::from(redact_sql(text)),
        other => other.clone(),
    }
}

/// A field as a column; `None` when it is nothing of the kind.
fn convert(value: &Value, how: How, row: &Row) -> Option<Value> {
    let times = |factor: i64| match value {
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.checked_mul(factor).map(Value::from),
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "a size, within the range that is checked"
            )]
            None => number
                .as_f64()
                .map(|number| number * factor as f64)
                .filter(|bytes| bytes.abs() < 9e18)
                .map(|bytes| Value::from(bytes as i64)),
        },
        _ => None,
    };
    match how {
        How::Hash => {
            let bytes = Value::Object(row.clone()).to_string();
            Some(Value::from(xxh3_64(bytes.as_bytes()) >> 1))
        }
        How::Is(text) => Some(Value::from(text)),
        _ if value.is_null() => Some(Value::Null),
        How::Same => (!value.is_array() && !value.is_object()).then(|| value.clone()),
        How::Time => time(value.as_str()?),
        How::Mib => times(1 << 20),
        How::Gib => times(1 << 30),
        How::Sectors => times(512),
        How::Millis => Number::from_f64(value.as_f64()? / 1e3).map(Value::Number),
        How::Lsn => lsn(value.as_str()?),
        How::Statement => value.as_str().map(|text| Value::from(redact_sql(text))),
        How::Message => value.as_str().map(|text| Value::from(redact_strings(text))),
    }
}

/// PostgreSQL's `2026-11-21 03:23:10.15047+00` as RFC 3339.
fn time(text: &str) -> Option<Value> {
    if text.is_empty() {
        return Some(Value::Null);
    }
    let mut text = text.replacen(' ', "T", 1);
    let zone = text.rfind(['+', '-']).filter(|&at| at > "2026-11-21".len());
    match zone {
        Some(at) if text.len() - at == "+00".len() => text.push_str(":00"),
        Some(_) => {}
        None if text.ends_with('Z') => {}
        None => return None,
    }
    text.parse::<crate::time::Timestamp>().ok().map(|_| Value::from(text))
}

/// `16/B374D848` as a number of bytes.
fn lsn(text: &str) -> Option<Value> {
    if text.is_empty() {
        return Some(Value::Null);
    }
    let (high, low) = text.split_once('/')?;
    let (high, low) = (u32::from_str_radix(high, 16).ok()?, u32::from_str_radix(low, 16).ok()?);
    i64::try_from((u64::from(high) << 32) | u64::from(low)).ok().map(Value::from)
}

//! A document as lists of flat rows.

use serde_json::{Map, Value};

/// Rows of one list of a document.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rows {
    /// The list's name, as [`super::table`] has it.
    pub(super) at: String,
    /// The database that they are of.
    pub(super) database: Option<String>,
    pub(super) rows: Vec<Map<String, Value>>,
}

/// What is about the document, not in it.
const ABOUT: [&str; 4] = ["type", "timestamp", "collector_id", "hostname"];
/// Each database has an object under its name, or names itself in one of a list.
const DATABASES: &str = "databases";

/// All lists of a document.
pub(super) fn rows(of: &str, mut document: Map<String, Value>) -> Vec<Rows> {
    document.retain(|name, _| !ABOUT.contains(&name.as_str()));
    let databases = match document.get(DATABASES) {
        Some(Value::Object(_) | Value::Array(_)) => document.remove(DATABASES),
        _ => None,
    };
    let database = document.get("database").and_then(Value::as_str).map(str::to_owned);
    if super::table::list(of, "").is_none_or(|list| !list.keys.contains(&"database")) && database.is_some() {
        document.remove("database");
    }
    let mut all = Vec::new();
    take_apart("", database.as_deref(), document, &mut all);
    match databases {
        Some(Value::Object(databases)) => {
            for (name, contents) in databases {
                of_database(&name, contents, &mut all);
            }
        }
        Some(Value::Array(databases)) => {
            for contents in databases {
                let name = contents.get("database").and_then(Value::as_str).unwrap_or_default().to_owned();
                of_database(&name, contents, &mut all);
            }
        }
        _ => {}
    }
    all
}

fn of_database(name: &str, contents: Value, all: &mut Vec<Rows>) {
    match contents {
        Value::Object(contents) => take_apart("databases.", Some(name), contents, all),
        Value::Null => {}
        other => {
            let row = Map::from_iter([("value".to_owned(), other)]);
            all.push(Rows { at: DATABASES.to_owned(), database: Some(name.to_owned()), rows: vec![row] });
        }
    }
}

/// The plain values of an object and its objects are one row, each list has rows of its own.
fn take_apart(prefix: &str, database: Option<&str>, object: Map<String, Value>, all: &mut Vec<Rows>) {
    let mut own = Map::new();
    flatten("", object, &mut own, &mut |name, list| {
        let row = |value| match value {
            Value::Object(row) => row,
            value => Map::from_iter([("value".to_owned(), value)]),
        };
        let rows = list.into_iter().map(row).collect();
        all.push(Rows { at: format!("{prefix}{name}"), database: database.map(str::to_owned), rows });
    });
    if !own.is_empty() {
        let at = prefix.trim_end_matches('.').to_owned();
        all.push(Rows { at, database: database.map(str::to_owned), rows: vec![own] });
    }
}

/// Depth is bounded by who reads the document.
fn flatten(
    prefix: &str,
    object: Map<String, Value>,
    own: &mut Map<String, Value>,
    list: &mut dyn FnMut(&str, Vec<Value>),
) {
    for (name, value) in object {
        let name = format!("{prefix}{name}");
        match value {
            Value::Object(inner) => flatten(&format!("{name}."), inner, own, list),
            Value::Array(values) => list(&name, values),
            plain => {
                own.insert(name, plain);
            }
        }
    }
}

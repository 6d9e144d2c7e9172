//! The settings file: its values, and the line of each.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

use super::{keys, layers::Origin, lists};
use crate::error::CollectError;

/// A settings file that was read. Its values are not checked yet.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    table: Table,
    lines: HashMap<String, usize>,
}

impl ConfigFile {
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, CollectError> {
        let line_at = |offset: usize| text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1);
        // Only the message: the rest of the error shows the line, which may be a password's.
        let bad = |error: &toml::de::Error| {
            let line = error.span().map_or(1, |span| line_at(span.start));
            CollectError::Config { key: format!("{}:{line}", path.display()), message: error.message().to_owned() }
        };
        let spanned = DeTable::parse(text).map_err(|error| bad(&error))?;
        let mut lines = HashMap::new();
        collect_lines(spanned.get_ref(), "", &line_at, &mut lines);
        let table = text.parse::<Table>().map_err(|error| bad(&error))?;
        Ok(Self { path: path.to_owned(), table, lines })
    }

    /// The value at a path as `backend.retry.max`.
    pub(super) fn value(&self, path: &str) -> Option<(&Value, Origin)> {
        let mut parts = path.split('.');
        let mut value = self.table.get(parts.next()?)?;
        for part in parts {
            value = value.as_table()?.get(part)?;
        }
        Some((value, self.origin(path)))
    }

    pub(super) fn origin(&self, path: &str) -> Origin {
        Origin::File { path: self.path.clone(), line: self.lines.get(path).copied().unwrap_or(1) }
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Finds keys of the tables of this program that do not exist; other tables
    /// are those of measurements.
    pub(super) fn check_keys(&self) -> Result<(), CollectError> {
        for (name, value) in &self.table {
            if keys::is_table(name) {
                self.check_table(name, value)?;
            } else if lists::LISTS.contains(&name.as_str()) && !value.is_array() {
                return Err(self.unknown(name, &format!("it is a list; write [[{name}]]")));
            }
        }
        Ok(())
    }

    fn check_table(&self, path: &str, value: &Value) -> Result<(), CollectError> {
        let Some(table) = value.as_table() else {
            return Err(self.unknown(path, &format!("it is a table; write [{path}]")));
        };
        for (name, value) in table {
            let path = format!("{path}.{name}");
            if keys::is_table(&path) {
                self.check_table(&path, value)?;
            } else if keys::find(&path).is_none() {
                let like = keys::nearest(&path, keys::KEYS.iter().map(|key| key.path));
                let hint = like.map_or_else(String::new, |like| format!("; did you mean {like}?"));
                return Err(self.unknown(&path, &format!("there is no such setting{hint}")));
            }
        }
        Ok(())
    }

    /// An error about a path in the file.
    pub(super) fn unknown(&self, path: &str, message: &str) -> CollectError {
        super::layers::wrong(&self.origin(path), path, message)
    }
}

fn collect_lines(
    table: &DeTable<'_>,
    prefix: &str,
    line_at: &impl Fn(usize) -> usize,
    lines: &mut HashMap<String, usize>,
) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        lines.insert(path.clone(), line_at(key.span().start));
        match value.get_ref() {
            DeValue::Table(inner) => collect_lines(inner, &path, line_at, lines),
            DeValue::Array(list) => {
                for (number, value) in list.iter().enumerate() {
                    if let DeValue::Table(inner) = value.get_ref() {
                        let path = format!("{path}.{number}");
                        lines.insert(path.clone(), line_at(value.span().start));
                        collect_lines(inner, &path, line_at, lines);
                    }
                }
            }
            _ => {}
        }
    }
}

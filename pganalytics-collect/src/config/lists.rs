//! Tables that there can be several of, as `[[postgres]]`.

use serde::de::DeserializeOwned;
use toml::Value;

use super::{
    file::ConfigFile,
    layers::{Layers, Origin, wrong},
};
use crate::error::CollectError;

/// Their names.
pub(super) const LISTS: &[&str] = &["postgres", "pgbouncer", "pgbackrest"];

/// One of the tables of a list.
pub(super) struct Listed<T> {
    pub(super) settings: T,
    /// Where it begins.
    pub(super) origin: Origin,
    /// Its keys, and where each stands.
    pub(super) keys: Vec<(String, Origin)>,
}

/// The tables of a list, in order.
pub(super) fn read<T: DeserializeOwned>(layers: &Layers<'_>, list: &str) -> Result<Vec<Listed<T>>, CollectError> {
    let Some(file) = layers.file else { return Ok(Vec::new()) };
    let tables = file.table().get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    tables.iter().enumerate().map(|(number, value)| one(file, list, number, value)).collect()
}

fn one<T: DeserializeOwned>(
    file: &ConfigFile,
    list: &str,
    number: usize,
    value: &Value,
) -> Result<Listed<T>, CollectError> {
    let at = format!("{list}.{number}");
    let settings = T::deserialize(value.clone()).map_err(|error| {
        let message = error.to_string();
        let line = message.lines().next().unwrap_or_default();
        // The error names a key that does not exist, not where it stands.
        let key =
            line.split('`').nth(1).map(|key| format!("{at}.{key}")).filter(|key| file.origin(key) != file.origin("?"));
        let origin = file.origin(key.as_deref().unwrap_or(&at));
        wrong(&origin, list, line)
    })?;
    let keys = value.as_table().into_iter().flat_map(toml::Table::keys);
    let keys = keys.map(|key| (key.clone(), file.origin(&format!("{at}.{key}")))).collect();
    Ok(Listed { settings, origin: file.origin(&at), keys })
}

/// Refuses a second thing of the same name.
pub(super) fn refuse_twin<'n>(
    (list, things): (&str, &str),
    name: &str,
    origin: &Origin,
    mut others: impl Iterator<Item = &'n str>,
) -> Result<(), CollectError> {
    if others.any(|other| other == name) {
        let message = format!("there are two {things} {name}; give each a name of its own");
        return Err(wrong(origin, &format!("{list}.name"), message));
    }
    Ok(())
}

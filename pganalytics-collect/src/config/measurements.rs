//! What is collected: the tables of groups and measurements, and users' files.

use std::path::Path;

use pganalytics_core::catalog::Catalog;

use super::{
    keys,
    layers::{Layers, Origin, boolean, duration, wrong},
    lists,
};
use crate::{error::CollectError, scheduler::Plan};

/// The built-in catalog and the files in a user's folder. A file that is wrong
/// is an error, and the others are taken.
pub(super) fn catalog(folder: Option<&Path>) -> (Catalog, Vec<CollectError>) {
    let Some(folder) = folder else { return (Catalog::builtin().clone(), Vec::new()) };
    let host = |path: &Path, source| CollectError::Host { path: path.display().to_string(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return (Catalog::builtin().clone(), vec![host(folder, error)]),
    };
    let mut errors = Vec::new();
    let mut files = Vec::new();
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    for path in paths {
        match std::fs::read_to_string(&path) {
            Ok(text) => files.push((path.display().to_string(), text)),
            Err(error) => errors.push(host(&path, error)),
        }
    }
    let (catalog, faults) = Catalog::load_files(files);
    errors.extend(faults.into_iter().map(CollectError::from));
    (catalog, errors)
}

/// The tables `[pg_stats]`, `[disk_usage]`, `[pg_stat_activity]` …
pub(super) fn plan(layers: &Layers<'_>, catalog: &Catalog) -> Result<Plan, CollectError> {
    let mut plan = Plan::default();
    let interval = layers.duration("collector.interval")?;
    if layers.origin("collector.interval") != Origin::Default {
        plan.set_standard_interval(interval);
    }
    let Some(file) = layers.file else { return Ok(plan) };
    let mut known: Vec<&str> = Plan::groups().collect();
    known.extend(catalog.iter().map(|measurement| measurement.name().as_str()));
    for (name, value) in file.table() {
        if keys::is_table(name) || lists::LISTS.contains(&name.as_str()) {
            continue;
        }
        if !known.contains(&name.as_str()) {
            let tables = ["collector", "backend", "tls", "exporter"];
            let like = keys::nearest(name, known.iter().chain(&tables).chain(lists::LISTS).copied());
            let hint = like.map_or_else(
                || String::from("; pganalytics-agent measurements lists those that there are"),
                |like| format!("; did you mean {like}?"),
            );
            return Err(file.unknown(name, &format!("there is no such table and no such measurement{hint}")));
        }
        let Some(table) = value.as_table() else {
            return Err(file.unknown(name, &format!("it is a table; write [{name}]")));
        };
        for (field, value) in table {
            let path = format!("{name}.{field}");
            let origin = file.origin(&path);
            let bad = |expected| wrong(&origin, &path, format!("{value} is not {expected}"));
            match field.as_str() {
                "enabled" => plan.set_enabled(name, boolean(value).map_err(bad)?),
                "interval" => plan.set_interval(name, duration(value).map_err(bad)?),
                _ => {
                    return Err(file.unknown(&path, "there is no such setting; a measurement has enabled and interval"));
                }
            }
            layers.note(path.as_str(), value.as_str().map_or_else(|| value.to_string(), str::to_owned), &origin);
        }
    }
    Ok(plan)
}

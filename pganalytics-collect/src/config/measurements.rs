//! What is collected: the tables of groups and measurements.

use pganalytics_core::{MeasurementName, catalog::Catalog};

use super::{
    keys,
    layers::{Layers, Origin, boolean, duration, wrong},
    lists,
};
use crate::{error::CollectError, scheduler::Plan};

/// The tables `[pg_stats]`, `[disk_usage]`, `[pg_stat_activity]` …
///
/// One that nobody knows is a mistake, unless files are bad: it may be of one of
/// them, and the others go on.
pub(super) fn plan(layers: &Layers<'_>, catalog: &Catalog, files_are_good: bool) -> Result<Plan, CollectError> {
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
        let may_come = !files_are_good && MeasurementName::new(name).is_ok() && value.is_table();
        if !known.contains(&name.as_str()) && !may_come {
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

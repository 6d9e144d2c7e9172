//! Reads `postgres.toml` and `pgbouncer.toml`.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

use crate::exporter::{
    group::{Figure, Group, LabelFrom, Metric, Sum},
    page::{Kind, Meta},
};

/// Rows of statements that the drop-in names have; they are too many otherwise.
const TOP: usize = 100;

/// A group with the collector that it belongs to.
#[derive(Debug, Clone)]
pub(in crate::exporter) struct Mapped {
    pub(in crate::exporter) collector: String,
    pub(in crate::exporter) group: Group,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    group: Vec<GroupEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupEntry {
    collector: String,
    measurement: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    only: BTreeMap<String, String>,
    present: Option<String>,
    top: Option<String>,
    metrics: Vec<MetricEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricEntry {
    name: String,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    columns: Vec<String>,
    value: Option<f64>,
    age: Option<String>,
    #[serde(default = "one")]
    factor: f64,
    per: Option<String>,
    #[serde(default)]
    floor: bool,
    null: Option<f64>,
    help: String,
}

fn one() -> f64 {
    1.0
}

/// The mappings for PostgreSQL and for PgBouncer.
pub(in crate::exporter) fn mapped() -> &'static (Vec<Mapped>, Vec<Mapped>) {
    static MAPPED: LazyLock<(Vec<Mapped>, Vec<Mapped>)> =
        LazyLock::new(|| (parse(include_str!("postgres.toml")), parse(include_str!("pgbouncer.toml"))));
    &MAPPED
}

/// A mistake in the files is found by a test of this module; at run time they
/// would only be missing.
fn parse(text: &str) -> Vec<Mapped> {
    toml::from_str::<File>(text).map(|file| file.group.into_iter().map(group).collect()).unwrap_or_default()
}

fn group(entry: GroupEntry) -> Mapped {
    let labels = entry.labels.into_iter().map(|(name, from)| {
        let from = match from.as_str() {
            "@database" => LabelFrom::Database,
            "@address" => LabelFrom::Address,
            from => match from.strip_prefix("@inet ") {
                Some(column) => LabelFrom::Inet(column.to_owned()),
                None => LabelFrom::Column(from.to_owned()),
            },
        };
        (name, from)
    });
    let group = Group {
        measurement: entry.measurement,
        labels: labels.collect(),
        metrics: entry.metrics.into_iter().map(metric).collect(),
        only: entry.only.into_iter().next(),
        present: entry.present,
        top: entry.top.map(|column| (column, TOP)),
    };
    Mapped { collector: entry.collector, group }
}

fn metric(entry: MetricEntry) -> Metric {
    let additive = entry.kind == Kind::Counter && !entry.floor && entry.per.is_none();
    let figure = match (entry.value, entry.age) {
        (Some(value), _) => Figure::Constant(value),
        (None, Some(age)) => Figure::Age(age),
        (None, None) => Figure::Columns(Sum {
            columns: entry.columns,
            factor: entry.factor,
            per: entry.per,
            floor: entry.floor,
            null: entry.null,
        }),
    };
    let sizes = matches!(figure, Figure::Columns(_)) && entry.name.ends_with("_bytes");
    Metric { meta: Meta::new(entry.name, entry.kind, entry.help), figure, additive: additive || sizes }
}

#[cfg(test)]
mod tests {
    use pganalytics_core::catalog::Catalog;

    use super::*;

    #[test]
    fn every_column_that_is_named_exists() {
        for text in [include_str!("postgres.toml"), include_str!("pgbouncer.toml")] {
            let file = toml::from_str::<File>(text).map_err(|error| error.to_string());
            assert_eq!(file.as_ref().err(), None);
            for group in file.into_iter().flat_map(|file| file.group) {
                let Some(measurement) = Catalog::builtin().get(&group.measurement) else {
                    panic!("no measurement {}", group.measurement)
                };
                let labels = group.labels.values().filter(|from| *from != "@database" && *from != "@address");
                let mut columns: Vec<&str> = labels.map(|from| from.strip_prefix("@inet ").unwrap_or(from)).collect();
                columns.extend(group.only.keys().map(String::as_str));
                columns.extend(group.present.iter().chain(&group.top).map(String::as_str));
                for metric in &group.metrics {
                    columns.extend(metric.columns.iter().map(|column| column.trim_start_matches('-')));
                    columns.extend(metric.age.iter().chain(&metric.per).map(String::as_str));
                }
                for column in columns {
                    assert!(measurement.schema().position(column).is_some(), "{}.{column}", group.measurement);
                }
            }
        }
    }
}

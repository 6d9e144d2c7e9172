//! Names of our own, derived from the catalog.
//!
//! A measurement's column is a family: `pg_<measurement>_<column>`, with the
//! base unit (`_seconds`, `_bytes`, `_ratio`) and `_total` for counters; what
//! the name says already is not said twice. Key columns are the labels, and the
//! database where there is one. Info columns are the labels of one more family,
//! `…_info`; times among them are gauges, `…_timestamp_seconds`.
//!
//! What has no place in a time series is left out: facts that are told once
//! (events, texts of statements), and sessions, which live too short.

use std::collections::HashSet;

use pganalytics_core::{
    ColumnKind, ColumnType, Presence,
    catalog::{CatalogColumn, Measurement, Scope},
};

use super::{
    group::{Figure, Group, LabelFrom, Metric, Sum},
    page::{Kind, Meta},
};

/// The groups of a measurement; names in `taken` are left to whoever has them.
pub(super) fn groups(measurement: &Measurement, taken: &HashSet<String>) -> Vec<Group> {
    let schema = measurement.schema();
    let columns = measurement.columns();
    let is_session = |column: &CatalogColumn| column.kind == ColumnKind::Key && column.name == "pid";
    if schema.presence() == Presence::Append || columns.iter().any(is_session) {
        return Vec::new();
    }
    let prefix = prefix(measurement.name().as_str());
    let labels = labels(measurement);
    let figures = columns.iter().filter_map(|column| metric(&prefix, column, taken)).collect();
    let group = |labels, metrics| Group {
        measurement: measurement.name().as_str().to_owned(),
        labels,
        metrics,
        ..Group::default()
    };
    let mut groups = vec![group(labels.clone(), figures)];
    let mut said = labels;
    let plain = |column: &&CatalogColumn| column.kind == ColumnKind::Info && column.ty != ColumnType::Timestamp;
    let keys = said.len();
    for column in columns.iter().filter(plain) {
        // Messages and texts of statements would be endless labels.
        if !matches!(column.name.as_str(), "error" | "query" | "pid")
            && !said.iter().any(|(name, _)| *name == column.name)
        {
            said.push((column.name.clone(), LabelFrom::Column(column.name.clone())));
        }
    }
    let name = format!("{prefix}_info");
    if said.len() > keys && !taken.contains(&name) {
        let meta =
            Meta::new(name, Kind::Gauge, format!("{}: what does not count, as labels. Always 1.", measurement.title()));
        groups.push(group(said, vec![Metric { meta, figure: Figure::Constant(1.0), additive: false }]));
    }
    groups.retain(|group| !group.metrics.is_empty());
    groups
}

/// The name of a column's family.
pub(super) fn name_of(measurement: &Measurement, column: &str) -> Option<String> {
    let groups = groups(measurement, &HashSet::new());
    let is_it = |metric: &&Metric| matches!(&metric.figure, Figure::Columns(sum) if sum.columns == [column]);
    groups.iter().flat_map(|group| &group.metrics).find(is_it).map(|metric| metric.meta.name.clone())
}

fn prefix(measurement: &str) -> String {
    // A name must not hold the word of another type.
    let measurement = measurement.strip_suffix("_summary").unwrap_or(measurement);
    if measurement.starts_with("pg") { measurement.to_owned() } else { format!("pg_{measurement}") }
}

fn labels(measurement: &Measurement) -> Vec<(String, LabelFrom)> {
    let keys = measurement.columns().iter().filter(|column| column.kind == ColumnKind::Key);
    let mut labels: Vec<_> = keys.map(|key| (key.name.clone(), LabelFrom::Column(key.name.clone()))).collect();
    if measurement.scope() == Scope::Database && !labels.iter().any(|(name, _)| name == "datname") {
        labels.push((String::from("datname"), LabelFrom::Database));
    }
    labels.sort_by(|(a, _), (b, _)| a.cmp(b));
    labels
}

fn metric(prefix: &str, column: &CatalogColumn, taken: &HashSet<String>) -> Option<Metric> {
    let kind = match (column.kind, column.ty) {
        (_, ColumnType::Text) | (ColumnKind::Key, _) => return None,
        (ColumnKind::Counter, _) => Kind::Counter,
        (ColumnKind::Info, ColumnType::Timestamp) | (ColumnKind::Gauge, _) => Kind::Gauge,
        (ColumnKind::Info, _) => return None,
    };
    let (unit, factor) = match (column.ty, column.unit.as_str()) {
        (ColumnType::Timestamp, _) => ("timestamp_seconds", 1.0),
        (_, "bytes") => ("bytes", 1.0),
        (_, "kB") => ("bytes", 1024.0),
        (_, "s") => ("seconds", 1.0),
        (_, "ms") => ("seconds", 1e-3),
        (_, "us") => ("seconds", 1e-6),
        (_, "%" | "percent") => ("ratio", 1e-2),
        _ => ("", 1.0),
    };
    let name = name(prefix, &column.name, unit, kind);
    if taken.contains(&name) {
        return None;
    }
    let figure = Figure::Columns(Sum { columns: vec![column.name.clone()], factor, ..Sum::default() });
    let additive = kind == Kind::Counter || !matches!(unit, "seconds" | "timestamp_seconds" | "ratio");
    Some(Metric { meta: Meta::new(name, kind, column.doc.trim()), figure, additive })
}

/// Endings of columns that say their unit in their own way.
const SAID: &[&str] = &["_ms", "_us", "_seconds", "_percent", "_timestamp"];

fn name(prefix: &str, column: &str, unit: &str, kind: Kind) -> String {
    let mut word = column;
    while let Some(shorter) = SAID.iter().find_map(|said| word.strip_suffix(said)).filter(|shorter| !shorter.is_empty())
    {
        word = shorter;
    }
    let mut name = prefix.to_owned();
    if !prefix.ends_with(&format!("_{word}")) {
        name.push('_');
        name.push_str(word);
    }
    if !unit.is_empty() && !name.ends_with(&format!("_{unit}")) {
        name.push('_');
        name.push_str(unit);
    }
    if kind == Kind::Counter {
        if !name.ends_with("_total") {
            name.push_str("_total");
        }
    } else {
        // These endings belong to parts of a histogram or to counters.
        while let Some(shorter) =
            ["_total", "_count", "_sum", "_bucket", "_created"].iter().find_map(|end| name.strip_suffix(end))
        {
            let plural = name.ends_with("_count");
            name = shorter.to_owned();
            if plural {
                name.push_str("_number");
                break;
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_prometheus() {
        let cases = [
            (
                "pg_stat_database",
                "blk_read_time",
                "seconds",
                Kind::Counter,
                "pg_stat_database_blk_read_time_seconds_total",
            ),
            ("pg_stat_database", "temp_bytes", "bytes", Kind::Counter, "pg_stat_database_temp_bytes_total"),
            ("pg_database_size", "size", "bytes", Kind::Gauge, "pg_database_size_bytes"),
            ("pg_sysstat", "mem_total", "bytes", Kind::Gauge, "pg_sysstat_mem_total_bytes"),
            ("pg_up", "up", "", Kind::Gauge, "pg_up"),
            ("pg_up", "connect_ms", "seconds", Kind::Gauge, "pg_up_connect_seconds"),
            ("pg_locks", "count", "", Kind::Gauge, "pg_locks_number"),
            ("pg_server", "start_time", "timestamp_seconds", Kind::Gauge, "pg_server_start_time_timestamp_seconds"),
        ];
        for (prefix, column, unit, kind, expected) in cases {
            assert_eq!(name(prefix, column, unit, kind), expected);
        }
        assert_eq!(prefix("sysstat"), "pg_sysstat");
        assert_eq!(prefix("pgbouncer_pools"), "pgbouncer_pools");
    }
}

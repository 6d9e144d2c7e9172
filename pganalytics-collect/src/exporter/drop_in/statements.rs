//! Which text belongs to which query id.

use std::collections::HashSet;

use pganalytics_core::Value;

use super::Sheet;
use crate::exporter::{page::Kind, scene::Scene};

pub(super) fn query_id(scene: &Scene<'_>, sheet: &mut Sheet<'_>) {
    let id = |value: Value<'_>| match value {
        Value::Int(id) => Some(id),
        _ => None,
    };
    let present: HashSet<i64> = scene.rows("pg_stat_statements").filter_map(|row| id(row.value("queryid"))).collect();
    for row in scene.rows("pg_query_text") {
        let Some(queryid) = id(row.value("queryid")).filter(|queryid| present.contains(queryid)) else { continue };
        let labels = [("queryid", &*queryid.to_string()), ("query", row.text("query"))];
        sheet.put(scene, ("pg_stat_statements_query_id", Kind::Counter, "SQL Query to queryid mapping"), &labels, 1.0);
    }
}

//! Which text belongs to which query id.

use std::collections::HashSet;

use pganalytics_core::Value;

use super::FamilyWriter;
use crate::exporter::{page::Kind, server_view::ServerView};

pub(super) fn query_id(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    let id = |value: Value<'_>| match value {
        Value::Int(id) => Some(id),
        _ => None,
    };
    let present: HashSet<i64> = view.rows("pg_stat_statements").filter_map(|row| id(row.value("queryid"))).collect();
    for row in view.rows("pg_query_text") {
        let Some(queryid) = id(row.value("queryid")).filter(|queryid| present.contains(queryid)) else { continue };
        let labels = [("queryid", &*queryid.to_string()), ("query", row.text("query"))];
        writer.put(view, ("pg_stat_statements_query_id", Kind::Counter, "SQL Query to queryid mapping"), &labels, 1.0);
    }
}

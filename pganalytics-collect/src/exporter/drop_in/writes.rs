//! Blocks that backends wrote by themselves. 17 and later count them in
//! `pg_stat_io` only; there the old names are made of it.

use super::FamilyWriter;
use crate::exporter::{page::Kind, server_view::ServerView, text::Number};

pub(super) fn backend_writes(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    let Some(bgwriter) = view.row("pg_stat_bgwriter") else { return };
    let has_io = !view.batches("pg_stat_io").is_empty();
    let io = |columns: &[&str], not: &[&str], relations_only: bool| {
        let rows = view
            .rows("pg_stat_io")
            .filter(|row| !not.contains(&row.text("backend_type")))
            .filter(|row| !relations_only || row.text("object") == "relation");
        let sum =
            rows.flat_map(|row| columns.iter().filter_map(move |column| row.number(column))).map(Number::as_f64).sum();
        has_io.then_some(Number::Float(sum))
    };
    let written = bgwriter
        .number("buffers_backend")
        .or_else(|| io(&["writes", "extends"], &["checkpointer", "background writer"], true));
    let synced = bgwriter.number("buffers_backend_fsync").or_else(|| io(&["fsyncs"], &["checkpointer"], false));
    for (name, help, value) in [
        ("buffers_backend", "Number of buffers written directly by a backend", written),
        (
            "buffers_backend_fsync",
            "Number of times a backend had to execute its own fsync call (normally the background writer handles \
             those even when the backend does its own write)",
            synced,
        ),
    ] {
        let Some(value) = value.map(Number::as_f64) else { continue };
        for ending in ["", "_total"] {
            let name = format!("pg_stat_bgwriter_{name}{ending}");
            writer.put(view, (&name, Kind::Counter, help), &[], value);
        }
    }
}

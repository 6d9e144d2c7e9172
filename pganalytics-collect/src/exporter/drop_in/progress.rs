//! Vacuums that run.

use std::borrow::Cow;

use super::FamilyWriter;
use crate::{
    exporter::{
        page::Kind,
        server_view::{Row, ServerView},
        text::Number,
    },
    qualified::without_schema,
};

const PHASES: &[&str] = &[
    "initializing",
    "scanning heap",
    "vacuuming indexes",
    "vacuuming heap",
    "cleaning up indexes",
    "truncating heap",
    "performing final cleanup",
];

fn vacuums<'s>(view: &'s ServerView<'_>) -> impl Iterator<Item = (Row<'s>, Cow<'s, str>)> {
    let vacuums = view.rows("pg_stat_progress").filter(|row| row.text("kind") == "vacuum");
    vacuums.map(|row| (row, without_schema(row.text("relation"))))
}

pub(super) fn vacuum(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    for (row, relname) in vacuums(view) {
        let labels = [("datname", row.text("datname")), ("relname", &*relname)];
        // 17 and later count bytes under these old names.
        let most = row.number("max_dead_tuples").or_else(|| row.number("max_dead_tuple_bytes"));
        let dead = row.number("dead_tuple_bytes").or_else(|| row.number("num_dead_tuples"));
        for (name, help, value) in [
            ("heap_blks", "Total number of heap blocks in the table being vacuumed.", row.number("heap_blks_total")),
            ("heap_blks_scanned", "Number of heap blocks scanned so far.", row.number("heap_blks_scanned")),
            ("heap_blks_vacuumed", "Number of heap blocks vacuumed so far.", row.number("heap_blks_vacuumed")),
            ("index_vacuums", "Number of completed index vacuum cycles.", row.number("index_vacuum_count")),
            ("max_dead_tuples", "Maximum number of dead tuples that can be stored before cleanup is performed.", most),
            ("num_dead_tuples", "Current number of dead tuples found so far.", dead),
        ] {
            let name = format!("pg_stat_progress_vacuum_{name}");
            writer.put(view, (&name, Kind::Gauge, help), &labels, value.map_or(0.0, Number::as_f64));
        }
        for &phase in PHASES {
            let labels = [("datname", row.text("datname")), ("phase", phase), ("relname", &*relname)];
            let head = (
                "pg_stat_progress_vacuum_phase",
                Kind::Gauge,
                "Current vacuum phase (1 = active, 0 = inactive). Label 'phase' is human-readable.",
            );
            writer.put(view, head, &labels, f64::from(u8::from(row.text("phase") == phase)));
        }
    }
}

pub(super) fn autovacuum(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    for (row, relname) in vacuums(view).filter(|(row, _)| row.text("backend_type") == "autovacuum worker") {
        let Some(age) = row.number("age") else { continue };
        let head = (
            "pg_stat_activity_autovacuum_timestamp_seconds",
            Kind::Gauge,
            "Start timestamp of the vacuum process in seconds",
        );
        writer.put(view, head, &[("relname", &*relname)], row.read_at() - age.as_f64());
    }
}

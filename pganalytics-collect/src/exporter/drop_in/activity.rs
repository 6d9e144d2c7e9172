//! Sessions and locks: counts that are there, as 0, for every database.

use std::collections::{HashMap, HashSet};

use super::{FamilyWriter, Head, databases};
use crate::exporter::{page::Kind, server_view::ServerView, text::Number};

const STATES: &[&str] =
    &["active", "idle", "idle in transaction", "idle in transaction (aborted)", "fastpath function call", "disabled"];

const MODES: &[&str] = &[
    "accesssharelock",
    "rowsharelock",
    "rowexclusivelock",
    "shareupdateexclusivelock",
    "sharelock",
    "sharerowexclusivelock",
    "exclusivelock",
    "accessexclusivelock",
    "sireadlock",
];

/// Transactions longer than this count as long.
const LONG: f64 = 60.0;

pub(super) fn stat_activity(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    const COUNT: Head<'_> = ("pg_stat_activity_count", Kind::Gauge, "number of connections in this state");
    const LONGEST: Head<'_> = (
        "pg_stat_activity_max_tx_duration",
        Kind::Gauge,
        "max duration in seconds any active transaction has been running",
    );
    if view.batches("pg_stat_database").is_empty() {
        return;
    }
    let mut there = HashSet::new();
    for row in view.rows("pg_stat_activity_summary") {
        let (database, state) = (row.text("datname"), row.text("state"));
        if database.is_empty() || !STATES.contains(&state) {
            continue;
        }
        there.insert((database, state));
        let labels = [
            ("application_name", row.text("application_name")),
            ("backend_type", row.text("backend_type")),
            ("datname", database),
            ("state", state),
            ("usename", row.text("usename")),
            ("wait_event", row.text("wait_event")),
            ("wait_event_type", row.text("wait_event_type")),
        ];
        let number = |column| row.number(column).map_or(0.0, Number::as_f64);
        writer.put(view, COUNT, &labels, number("count"));
        writer.put(view, LONGEST, &labels, number("max_xact_age"));
    }
    for database in databases(view) {
        for &state in STATES.iter().filter(|state| !there.contains(&(database, **state))) {
            let labels = [
                ("application_name", ""),
                ("backend_type", ""),
                ("datname", database),
                ("state", state),
                ("usename", ""),
                ("wait_event", ""),
                ("wait_event_type", ""),
            ];
            writer.put(view, COUNT, &labels, 0.0);
            writer.put(view, LONGEST, &labels, 0.0);
        }
    }
}

pub(super) fn locks(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    let mut counts: HashMap<(&str, String), f64> = HashMap::new();
    for row in view.rows("pg_locks") {
        let count = row.number("count").map_or(0.0, Number::as_f64);
        *counts.entry((row.text("datname"), row.text("mode").to_ascii_lowercase())).or_default() += count;
    }
    for database in databases(view) {
        for &mode in MODES {
            let count = counts.get(&(database, mode.to_owned())).copied().unwrap_or_default();
            let labels = [("datname", database), ("mode", mode)];
            writer.put(view, ("pg_locks_count", Kind::Gauge, "Number of locks"), &labels, count);
        }
    }
}

pub(super) fn process_idle(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    const IDLE: Head<'_> = ("pg_process_idle_seconds", Kind::Histogram, "Idle time of server processes");
    const BUCKETS: &[(&str, &str)] = &[
        ("1", "le_1"),
        ("2", "le_2"),
        ("5", "le_5"),
        ("15", "le_15"),
        ("30", "le_30"),
        ("60", "le_60"),
        ("90", "le_90"),
        ("120", "le_120"),
        ("300", "le_300"),
        ("+Inf", "count"),
    ];
    for row in view.rows("pg_process_idle") {
        let (application, state) = (row.text("application_name"), row.text("state"));
        let labels = [("application_name", application), ("state", state)];
        let number = |column| row.number(column).unwrap_or(Number::Int(0));
        for (bound, column) in BUCKETS {
            let labels = [("application_name", application), ("state", state), ("le", *bound)];
            writer.put_part(view, IDLE, "_bucket", &labels, number(column));
        }
        writer.put_part(view, IDLE, "_sum", &labels, number("sum"));
        writer.put_part(view, IDLE, "_count", &labels, number("count"));
    }
}

pub(super) fn long_running(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    // Without sessions there is no batch of them, but there is a server.
    if view.batches("pg_server").is_empty() {
        return;
    }
    let ages = view
        .rows("pg_stat_activity")
        .filter(|row| row.text("backend_type") != "autovacuum worker" && row.text("state") != "idle")
        .filter_map(|row| row.number("xact_age"))
        .map(Number::as_f64)
        .filter(|age| *age > LONG);
    let (count, oldest) = ages.fold((0.0, 0.0_f64), |(count, oldest), age| (count + 1.0, oldest.max(age)));
    let head = ("pg_long_running_transactions", Kind::Gauge, "Current number of long running transactions");
    writer.put(view, head, &[], count);
    let head = (
        "pg_long_running_transactions_oldest_timestamp_seconds",
        Kind::Gauge,
        "The current maximum transaction age in seconds",
    );
    writer.put(view, head, &[], oldest);
}

//! The server's version, and names of the pgAnalytics stacks.

use super::{FamilyWriter, replication};
use crate::exporter::{page::Kind, server_view::ServerView, text::Number};

pub(super) fn version(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    let Some(row) = view.row("pg_server") else { return };
    #[allow(clippy::cast_possible_truncation)]
    let Some(version) = row.number("server_version_num").map(|number| number.as_f64() as i64) else { return };
    let short = format!("{}.{}.0", version / 10_000, version % 10_000);
    let server = view.label.as_deref().unwrap_or(view.address);
    let labels = [("server", server), ("short_version", short.as_str()), ("version", row.text("version"))];
    let head = ("pg_static", Kind::Untyped, "Version string as reported by postgres");
    writer.put(view, head, &labels, 1.0);
}

/// Settings of memory that the stacks show.
const MEMORY: &[&str] = &["shared_buffers", "effective_cache_size", "maintenance_work_mem", "work_mem"];

pub(super) fn stack(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    let mut put = |name: &str, kind: Kind, help: &str, value: f64| writer.put(view, (name, kind, help), &[], value);
    if replication::is_replica(view).is_some() {
        let help = "Seconds that a standby is behind; 0 on a primary and when all that was received is replayed";
        put("pg_replication_lag_lag_seconds", Kind::Gauge, help, replication::lag(view));
    }
    if !view.batches("pg_stat_database").is_empty() {
        let bytes = view.rows("pg_stat_database").filter_map(|row| row.number("temp_bytes")).map(Number::as_f64).sum();
        let help = "Total amount of data written to temporary files, all databases together";
        put("pg_temp_files_temp_bytes_total", Kind::Counter, help, bytes);
    }
    let setting = |name: &str| view.rows("pg_settings").find(|row| row.text("name") == name);
    let number = |name: &str| setting(name).and_then(|row| row.number("value")).map(Number::as_f64);
    let server = view.row("pg_server");
    let of_server = |column| server.and_then(|row| row.number(column)).map(Number::as_f64);
    if let Some(most) = of_server("max_connections") {
        put("pg_connection_usage_max_conn", Kind::Gauge, "max_connections", most);
        let sessions = view.rows("pg_stat_activity_summary").filter_map(|row| row.number("count")).map(Number::as_f64);
        // The session that counts is not among them.
        put(
            "pg_connection_usage_current_conn",
            Kind::Gauge,
            "Processes in pg_stat_activity",
            sessions.sum::<f64>() + 1.0,
        );
    }
    if let Some(reserved) = number("superuser_reserved_connections").or_else(|| of_server("reserved_connections")) {
        let help = "superuser_reserved_connections";
        put("pg_connection_usage_reserved_conn", Kind::Gauge, help, reserved);
    }
    for &name in MEMORY {
        let Some(row) = setting(name) else { continue };
        let Some(value) = row.number("value") else { continue };
        let head = ("pg_memory_settings_value_bytes", Kind::Gauge, "Settings of memory, in bytes");
        writer.put(view, head, &[("config_source", row.text("source")), ("name", name)], value.as_f64());
    }
}

//! The names that dashboards and alert rules of others rely on.
//!
//! `postgres.toml` and `pgbouncer.toml` say which column stands behind which
//! name; what is no plain column is made by the functions of this folder. Each
//! belongs to a collector, as `postgres_exporter` calls its parts: they are
//! switched on and off by these names.

mod activity;
mod mapping;
mod pgbouncer;
mod progress;
mod replication;
mod settings;
mod stack;
mod statements;
mod writes;

pub(super) use mapping::{Mapped, mapped};

use super::{
    page::{Kind, Page},
    server_view::ServerView,
    text::{Labels, Number},
};

/// Collectors that are off unless they are asked for: too many series, or names
/// that can't tell databases apart.
pub(super) const OFF: &[&str] = &["stat_statements", TEXTS, "statio_user_indexes"];

/// The collector of the texts of statements, which is on when it is named.
pub(super) const TEXTS: &str = "stat_statements_query";

/// Families that are made by a function.
pub(super) struct CustomFamily {
    pub(super) collector: &'static str,
    /// What it reads.
    pub(super) measurements: &'static [&'static str],
    pub(super) make: fn(&ServerView<'_>, &mut FamilyWriter<'_>),
}

/// Those of PostgreSQL.
pub(super) const POSTGRES: &[CustomFamily] = &[
    CustomFamily {
        collector: "stat_activity",
        measurements: &["pg_stat_activity_summary", "pg_stat_database"],
        make: activity::stat_activity,
    },
    CustomFamily { collector: "locks", measurements: &["pg_locks", "pg_stat_database"], make: activity::locks },
    CustomFamily { collector: "process_idle", measurements: &["pg_process_idle"], make: activity::process_idle },
    CustomFamily {
        collector: "long_running_transactions",
        measurements: &["pg_stat_activity", "pg_server"],
        make: activity::long_running,
    },
    CustomFamily {
        collector: TEXTS,
        measurements: &["pg_stat_statements", "pg_query_text"],
        make: statements::query_id,
    },
    CustomFamily { collector: "settings", measurements: &["pg_settings"], make: settings::settings },
    CustomFamily {
        collector: "replication",
        measurements: &["pg_server", "pg_standby"],
        make: replication::replication,
    },
    CustomFamily { collector: "stat_progress_vacuum", measurements: &["pg_stat_progress"], make: progress::vacuum },
    CustomFamily {
        collector: "stat_activity_autovacuum",
        measurements: &["pg_stat_progress"],
        make: progress::autovacuum,
    },
    CustomFamily {
        collector: "stat_bgwriter",
        measurements: &["pg_stat_bgwriter", "pg_stat_io"],
        make: writes::backend_writes,
    },
    CustomFamily { collector: "static", measurements: &["pg_server"], make: stack::version },
    CustomFamily {
        collector: "stack",
        measurements: &["pg_server", "pg_settings", "pg_stat_activity_summary", "pg_stat_database", "pg_standby"],
        make: stack::stack,
    },
];

/// Those of PgBouncer.
pub(super) const PGBOUNCER: &[CustomFamily] = &[CustomFamily {
    collector: "pgbouncer",
    measurements: &["pgbouncer_up", "pgbouncer_config"],
    make: pgbouncer::pgbouncer,
}];

/// Where families made by a function are written.
pub(super) struct FamilyWriter<'a> {
    pub(super) page: &'a mut Page,
    pub(super) labels: &'a mut Labels,
}

impl FamilyWriter<'_> {
    /// Writes a sample.
    pub(super) fn put(&mut self, view: &ServerView<'_>, family: Head<'_>, labels: &[(&str, &str)], value: f64) {
        self.put_part(view, family, "", labels, Number::Float(value));
    }

    /// Writes a part of a histogram.
    pub(super) fn put_part(
        &mut self,
        view: &ServerView<'_>,
        family: Head<'_>,
        suffix: &str,
        labels: &[(&str, &str)],
        value: Number,
    ) {
        self.labels.clear();
        let mut own_server = false;
        for (name, value) in labels {
            own_server |= *name == "server";
            self.labels.add(name, value);
        }
        if !own_server {
            view.finish_labels(self.labels);
        }
        if let Some(id) = self.page.family_named(family.0, family.1, family.2) {
            self.page.add(id, suffix, self.labels, value);
        }
    }
}

/// Name, type and help of a family.
pub(super) type Head<'a> = (&'a str, Kind, &'a str);

/// Names of all databases, but for what an interrupted drop left.
fn databases<'s>(view: &'s ServerView<'_>) -> impl Iterator<Item = &'s str> {
    view.rows("pg_stat_database").map(|row| row.text("datname")).filter(|name| !name.is_empty())
}

/// Names of the families that functions make, but for settings.
pub(super) const MADE_NAMES: &[&str] = &[
    "pg_stat_statements_query_id",
    "pg_connection_usage_current_conn",
    "pg_connection_usage_max_conn",
    "pg_connection_usage_reserved_conn",
    "pg_locks_count",
    "pg_long_running_transactions",
    "pg_long_running_transactions_oldest_timestamp_seconds",
    "pg_memory_settings_value_bytes",
    "pg_process_idle_seconds",
    "pg_replication_is_replica",
    "pg_replication_lag",
    "pg_replication_lag_lag_seconds",
    "pg_replication_lag_seconds",
    "pg_replication_last_replay_seconds",
    "pg_stat_activity_autovacuum_timestamp_seconds",
    "pg_stat_activity_count",
    "pg_stat_activity_max_tx_duration",
    "pg_stat_bgwriter_buffers_backend",
    "pg_stat_bgwriter_buffers_backend_fsync",
    "pg_stat_bgwriter_buffers_backend_fsync_total",
    "pg_stat_bgwriter_buffers_backend_total",
    "pg_stat_progress_vacuum_heap_blks",
    "pg_stat_progress_vacuum_heap_blks_scanned",
    "pg_stat_progress_vacuum_heap_blks_vacuumed",
    "pg_stat_progress_vacuum_index_vacuums",
    "pg_stat_progress_vacuum_max_dead_tuples",
    "pg_stat_progress_vacuum_num_dead_tuples",
    "pg_stat_progress_vacuum_phase",
    "pg_static",
    "pg_temp_files_temp_bytes_total",
    "pg_up",
    "pgbouncer_config_max_client_connections",
    "pgbouncer_config_max_user_connections",
    "pgbouncer_up",
];

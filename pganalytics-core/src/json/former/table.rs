//! What agents of version 3 send, and where we keep it.

/// Where the rows of a document are, and what becomes of their fields.
pub(super) struct List {
    /// `type` of the document.
    pub(super) of: &'static str,
    /// Name of the list; `databases.` in front where each database has one. Empty: the
    /// document itself is the row, with the fields of its objects as `object.field`.
    pub(super) at: &'static str,
    /// Fields that say which row it is.
    pub(super) keys: &'static [&'static str],
    /// Whether the list is cut off, so that a row which is not there may still be.
    pub(super) is_cut: bool,
    /// Our measurements that are made of it.
    pub(super) to: &'static [Target],
}

/// One of our measurements, made of a list.
pub(super) struct Target {
    pub(super) measurement: &'static str,
    /// Whether it is kept with the database, as our agents do.
    pub(super) of_database: bool,
    /// Field, column, and how one becomes the other.
    pub(super) columns: &'static [(&'static str, &'static str, How)],
}

/// How a field becomes a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Same,
    /// PostgreSQL's text of a time; empty: none.
    Time,
    /// MiB as bytes.
    Mib,
    /// GiB as bytes.
    Gib,
    /// Sectors of 512 bytes as bytes.
    Sectors,
    /// Milliseconds as seconds.
    Millis,
    /// `0/16B3748` as a number of bytes.
    Lsn,
    /// A statement; it loses its literals.
    Statement,
    /// A text of the log; its strings go.
    Message,
    /// A number made of the whole row, the same for the same row.
    Hash,
    /// This text.
    Is(&'static str),
}

use How::{Gib, Hash, Is, Lsn, Message, Mib, Millis, Same, Sectors, Statement, Time};

/// Fields of any list that hold statements as they ran.
pub(super) const STATEMENTS: &[&str] = &["query", "blocked_query", "blocking_query"];

/// Documents of version 3. A list that is not here, and a field that no target takes, become a
/// measurement `v3_<type>_<list>`.
pub(super) const TYPES: &[&str] = &[
    "disk_usage",
    "pg_bloat",
    "pg_connections",
    "pg_extensions",
    "pg_locks",
    "pg_log",
    "pg_query_stats",
    "pg_replication",
    "pg_schema",
    "pg_stats",
    "sysstat",
];

pub(super) const LISTS: &[List] = &[
    List {
        of: "pg_stats",
        at: "",
        keys: &["database"],
        // Each database has a document of its own.
        is_cut: true,
        to: &[
            Target {
                measurement: "pg_stat_database",
                of_database: false,
                columns: &[
                    ("database", "datname", Same),
                    ("transactions_committed", "xact_commit", Same),
                    ("transactions_rolledback", "xact_rollback", Same),
                    ("tuples_returned", "tup_returned", Same),
                    ("tuples_fetched", "tup_fetched", Same),
                    ("tuples_inserted", "tup_inserted", Same),
                    ("tuples_updated", "tup_updated", Same),
                    ("tuples_deleted", "tup_deleted", Same),
                ],
            },
            Target {
                measurement: "pg_database_size",
                of_database: false,
                columns: &[("database", "datname", Same), ("size_bytes", "size", Same)],
            },
        ],
    },
    List {
        of: "pg_stats",
        at: "tables",
        keys: &["schema", "name"],
        is_cut: true,
        to: &[
            Target {
                measurement: "pg_stat_user_tables",
                of_database: true,
                columns: &[
                    ("schema", "schemaname", Same),
                    ("name", "relname", Same),
                    ("live_tuples", "n_live_tup", Same),
                    ("dead_tuples", "n_dead_tup", Same),
                    ("modified_since_analyze", "n_mod_since_analyze", Same),
                    ("last_vacuum", "last_vacuum", Time),
                    ("last_autovacuum", "last_autovacuum", Time),
                    ("last_analyze", "last_analyze", Time),
                    ("last_autoanalyze", "last_autoanalyze", Time),
                    ("vacuum_count", "vacuum_count", Same),
                    ("autovacuum_count", "autovacuum_count", Same),
                ],
            },
            Target {
                measurement: "pg_table_size",
                of_database: true,
                columns: &[
                    ("schema", "schemaname", Same),
                    ("name", "relname", Same),
                    ("size_bytes", "total_size", Same),
                ],
            },
        ],
    },
    List {
        of: "pg_stats",
        at: "indexes",
        keys: &["schema", "table", "name"],
        is_cut: true,
        to: &[
            Target {
                measurement: "pg_stat_user_indexes",
                of_database: true,
                columns: &[
                    ("schema", "schemaname", Same),
                    ("table", "relname", Same),
                    ("name", "indexrelname", Same),
                    ("scans", "idx_scan", Same),
                    ("tuples_read", "idx_tup_read", Same),
                    ("tuples_returned", "idx_tup_fetch", Same),
                ],
            },
            Target {
                measurement: "pg_index_size",
                of_database: true,
                columns: &[
                    ("schema", "schemaname", Same),
                    ("table", "relname", Same),
                    ("name", "indexrelname", Same),
                    ("size_bytes", "size", Same),
                ],
            },
        ],
    },
    List {
        of: "sysstat",
        at: "",
        keys: &[],
        is_cut: false,
        // Its shares of processor time are since the host began; ours are seconds, so those are kept apart.
        to: &[Target {
            measurement: "sysstat",
            of_database: false,
            columns: &[
                ("cpu.load_1m", "load1", Same),
                ("cpu.load_5m", "load5", Same),
                ("cpu.load_15m", "load15", Same),
                ("memory.total_mb", "mem_total", Mib),
                ("memory.free_mb", "mem_free", Mib),
                ("memory.cached_mb", "mem_cached", Mib),
            ],
        }],
    },
    List {
        of: "sysstat",
        at: "disk_io",
        keys: &["device"],
        is_cut: false,
        to: &[Target {
            measurement: "sysstat_disk",
            of_database: false,
            columns: &[
                ("device", "device", Same),
                ("read_ops", "reads", Same),
                ("read_sectors", "read_bytes", Sectors),
                ("write_ops", "writes", Same),
                ("write_sectors", "written_bytes", Sectors),
            ],
        }],
    },
    List {
        of: "disk_usage",
        at: "filesystems",
        keys: &["mount", "device"],
        is_cut: false,
        to: &[Target {
            measurement: "disk_usage",
            of_database: false,
            columns: &[
                ("mount", "mount", Same),
                ("device", "device", Same),
                ("total_gb", "size", Gib),
                ("free_gb", "free", Gib),
            ],
        }],
    },
    List {
        of: "pg_log",
        at: "entries",
        keys: &[],
        is_cut: true,
        to: &[Target {
            measurement: "pg_log",
            of_database: false,
            columns: &[
                ("", "file", Is("version 3")),
                ("", "file_offset", Hash),
                ("timestamp", "log_time", Time),
                ("level", "severity", Same),
                ("message", "message", Message),
                ("detail", "detail", Message),
                ("hint", "hint", Message),
                ("context", "context", Message),
                ("query", "query", Statement),
                ("duration_ms", "duration_ms", Same),
            ],
        }],
    },
    List {
        of: "pg_replication",
        at: "",
        keys: &[],
        is_cut: false,
        to: &[Target {
            measurement: "pg_wal",
            of_database: false,
            columns: &[
                ("wal_status.total_segments", "segments", Same),
                ("wal_status.current_wal_size_mb", "segments_size", Mib),
                ("wal_status.wal_directory_size_mb", "size", Mib),
            ],
        }],
    },
    List {
        of: "pg_replication",
        at: "replication_slots",
        keys: &["slot_name"],
        is_cut: false,
        // What it says of retained WAL is not that: kept apart.
        to: &[Target {
            measurement: "pg_replication_slots",
            of_database: false,
            columns: &[
                ("slot_name", "slot_name", Same),
                ("slot_type", "slot_type", Same),
                ("active", "active", Same),
                ("backend_pid", "active_pid", Same),
                ("restart_lsn", "restart_lsn", Lsn),
                ("confirmed_flush_lsn", "confirmed_flush_lsn", Lsn),
            ],
        }],
    },
    List {
        of: "pg_replication",
        at: "replication_status",
        keys: &["server_pid", "application_name", "client_addr"],
        is_cut: false,
        to: &[Target {
            measurement: "pg_stat_replication",
            of_database: false,
            columns: &[
                ("server_pid", "pid", Same),
                ("application_name", "application_name", Same),
                ("client_addr", "client_addr", Same),
                ("backend_start", "backend_start", Time),
                ("usename", "usename", Same),
                ("state", "state", Same),
                ("sync_state", "sync_state", Same),
                ("replay_lsn", "replay_lsn", Lsn),
                ("write_lag_ms", "write_lag", Millis),
                ("flush_lag_ms", "flush_lag", Millis),
                ("replay_lag_ms", "replay_lag", Millis),
            ],
        }],
    },
    // Its figures are of transaction ids, not of ages.
    List { of: "pg_replication", at: "wraparound_risk", keys: &["database"], is_cut: false, to: &[] },
    List {
        of: "pg_extensions",
        at: "databases.extensions",
        keys: &["name"],
        is_cut: false,
        to: &[Target {
            measurement: "pg_extension",
            of_database: true,
            columns: &[("name", "extname", Same), ("schema", "schemaname", Same), ("version", "extversion", Same)],
        }],
    },
    List {
        of: "pg_query_stats",
        at: "queries",
        keys: &["hash"],
        is_cut: true,
        // The database of the document is the one that was asked, not the statement's.
        to: &[
            Target {
                measurement: "pg_stat_statements",
                of_database: false,
                columns: &[
                    ("hash", "queryid", Same),
                    ("calls", "calls", Same),
                    ("rows", "rows", Same),
                    ("total_time", "total_exec_time", Same),
                    ("min_time", "min_exec_time", Same),
                    ("max_time", "max_exec_time", Same),
                    ("stddev_time", "stddev_exec_time", Same),
                    ("shared_blks_hit", "shared_blks_hit", Same),
                    ("shared_blks_read", "shared_blks_read", Same),
                    ("shared_blks_dirtied", "shared_blks_dirtied", Same),
                    ("shared_blks_written", "shared_blks_written", Same),
                    ("local_blks_hit", "local_blks_hit", Same),
                    ("local_blks_read", "local_blks_read", Same),
                    ("local_blks_dirtied", "local_blks_dirtied", Same),
                    ("local_blks_written", "local_blks_written", Same),
                    ("temp_blks_read", "temp_blks_read", Same),
                    ("temp_blks_written", "temp_blks_written", Same),
                    ("blk_read_time", "shared_blk_read_time", Same),
                    ("blk_write_time", "shared_blk_write_time", Same),
                    ("wal_records", "wal_records", Same),
                    ("wal_fpi", "wal_fpi", Same),
                    ("wal_bytes", "wal_bytes", Same),
                ],
            },
            Target {
                measurement: "pg_query_text",
                of_database: false,
                columns: &[("hash", "queryid", Same), ("text", "query", Statement)],
            },
        ],
    },
    List { of: "pg_schema", at: "databases.tables", keys: &["schema", "name"], is_cut: false, to: &[] },
    List { of: "pg_schema", at: "databases.columns", keys: &["schema", "table", "name"], is_cut: false, to: &[] },
    List { of: "pg_schema", at: "databases.constraints", keys: &["schema", "table", "name"], is_cut: false, to: &[] },
    List { of: "pg_schema", at: "databases.indexes", keys: &["schema", "table", "name"], is_cut: false, to: &[] },
    List { of: "pg_schema", at: "databases.triggers", keys: &["schema", "table", "name"], is_cut: false, to: &[] },
    List { of: "pg_bloat", at: "databases.table_bloat", keys: &["schema", "table"], is_cut: false, to: &[] },
    List {
        of: "pg_bloat",
        at: "databases.index_bloat",
        keys: &["schema", "table", "index_name"],
        is_cut: false,
        to: &[],
    },
    List {
        of: "pg_connections",
        at: "databases.connection_stats.by_state",
        keys: &["database", "state"],
        is_cut: false,
        to: &[],
    },
];

/// What is known of a list; `None`: all its fields are kept apart, its rows told by position.
pub(super) fn list(of: &str, at: &str) -> Option<&'static List> {
    LISTS.iter().find(|list| list.of == of && list.at == at)
}

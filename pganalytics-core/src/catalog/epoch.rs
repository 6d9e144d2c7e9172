//! What a server's counters began with, for [`Epoch`](crate::Epoch).
//!
//! Tried on 14-18: a crash and an immediate stop give every view a stamp within
//! milliseconds of the start of the checkpointer and the background writer, or, from
//! 15 on, when recovery has synced the data directory, which may take long; a
//! clean restart moves the starts and no stamp; `pg_stat_reset_shared(…)` moves
//! the stamp of that view and no start. So the oldest stamp stays what it is
//! when single views are reset. Other auxiliary processes come and go with
//! settings (`autovacuum`, `io_workers`) and are not looked at.
//!
//! Nobody can reset anything before the server takes connections, which is when it
//! starts the WAL writer. So a stamp between the starts of the checkpointer and of the
//! WAL writer is that of a crash, and is given as the start: the two are compared.

macro_rules! epoch_sql {
    ($checkpointer:literal) => {
        concat!(
            "select stamp as cluster_stamp,
    case when stamp > started + interval '1 second' and stamp <= ready then stamp else started end as started
from (select least(
        (select stats_reset from pg_catalog.pg_stat_bgwriter),
        (select stats_reset from pg_catalog.pg_stat_wal),
        (select stats_reset from pg_catalog.pg_stat_archiver),
        (select min(stats_reset) from pg_catalog.pg_stat_slru)",
            $checkpointer,
            ") as stamp,
        min(a.backend_start) filter (where a.backend_type <> 'walwriter') as started,
        max(a.backend_start) filter (where a.backend_type = 'walwriter') as ready
    from pg_catalog.pg_stat_get_activity(null) a
    where a.backend_type in ('checkpointer', 'background writer', 'walwriter')) as seen"
        )
    };
}

/// SQL that returns one row of two `timestamptz`, each NULL when unknown:
///
/// * `cluster_stamp`: oldest stamp of the cluster-wide views; the
///   [`Epoch::stamp`](crate::Epoch::stamp) of the family
///   [`Cumulative`](crate::CounterFamily::Cumulative);
/// * `started`: start of the oldest auxiliary process, or of what a crash wiped after
///   that, for
///   [`Epoch::started`](crate::Epoch::started).
#[must_use]
pub fn epoch_sql(server_version_num: u32) -> &'static str {
    if server_version_num >= 170_000 {
        epoch_sql!(",\n        (select stats_reset from pg_catalog.pg_stat_checkpointer)")
    } else {
        epoch_sql!("")
    }
}

/// SQL that returns one row of the extension `pg_stat_statements`, which is in
/// this schema: `stamp timestamptz`, `dealloc int8`; for
/// [`Epoch::stamp`](crate::Epoch::stamp) and
/// [`Epoch::evictions`](crate::Epoch::evictions) of the family
/// [`Statements`](crate::CounterFamily::Statements).
///
/// Versions of the extension below 1.9 have no such view; there both are
/// unknown.
#[must_use]
pub fn statements_epoch_sql(extension_schema: &str) -> String {
    let schema = super::measurement::quoted(extension_schema);
    format!("select stats_reset as stamp, dealloc from {schema}.pg_stat_statements_info")
}

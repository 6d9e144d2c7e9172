//! What a server's counters began with, see [`Epoch`](crate::Epoch).

/// SQL that returns one row: `cluster_stamp timestamptz`, `started timestamptz`.
#[must_use]
pub fn epoch_sql(server_version_num: u32) -> &'static str {
    let _ = server_version_num;
    ""
}

/// SQL that returns one row: `stamp timestamptz`, `dealloc int8`.
#[must_use]
pub fn statements_epoch_sql() -> &'static str {
    ""
}

//! How far a standby is behind. An idle primary must not make it grow: what has
//! been received and replayed is no lag.

use super::FamilyWriter;
use crate::exporter::{page::Kind, server_view::ServerView, text::Number};

/// Seconds behind: 0 on a primary, before the first replay, and when all that
/// was received is replayed.
pub(super) fn lag(view: &ServerView<'_>) -> f64 {
    let Some(standby) = view.row("pg_standby") else { return 0.0 };
    let position = |column| standby.number(column);
    if position("receive_lsn").is_some() && position("receive_lsn") == position("replay_lsn") {
        return 0.0;
    }
    standby.number("replay_lag").map_or(0.0, |lag| lag.as_f64().max(0.0))
}

/// Whether the server is a standby; `None` when nothing is known.
pub(super) fn is_replica(view: &ServerView<'_>) -> Option<bool> {
    Some(view.row("pg_server")?.number("in_recovery")? == Number::Int(1))
}

pub(super) fn replication(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    let Some(is_replica) = is_replica(view) else { return };
    let lag = lag(view);
    let last = view.row("pg_standby").and_then(|row| row.number("replay_lag")).map_or(0.0, Number::as_f64);
    let behind = "Replication lag behind master in seconds";
    for (name, help, value) in [
        ("pg_replication_is_replica", "Indicates if the server is a replica", f64::from(u8::from(is_replica))),
        ("pg_replication_lag_seconds", behind, lag),
        ("pg_replication_last_replay_seconds", "Age of last replay in seconds", last),
        ("pg_replication_lag", behind, lag),
    ] {
        writer.put(view, (name, Kind::Gauge, help), &[], value);
    }
}

//! What is no plain column of PgBouncer's console.

use super::FamilyWriter;
use crate::exporter::{page::Kind, server_view::ServerView};

pub(super) fn pgbouncer(view: &ServerView<'_>, writer: &mut FamilyWriter<'_>) {
    let up = f64::from(u8::from(view.up));
    writer.put(view, ("pgbouncer_up", Kind::Gauge, "The pgbouncer scrape succeeded"), &[], up);
    for (key, name, help) in [
        ("max_client_conn", "pgbouncer_config_max_client_connections", "Config maximum number of client connections"),
        (
            "max_user_connections",
            "pgbouncer_config_max_user_connections",
            "Config maximum number of server connections per user",
        ),
    ] {
        let row = view.rows("pgbouncer_config").find(|row| row.text("key") == key);
        if let Some(value) = row.and_then(|row| row.text("value").parse::<f64>().ok()) {
            writer.put(view, (name, Kind::Gauge, help), &[], value);
        }
    }
}

//! What is no plain column of PgBouncer's console.

use super::Sheet;
use crate::exporter::{page::Kind, scene::Scene};

pub(super) fn pgbouncer(scene: &Scene<'_>, sheet: &mut Sheet<'_>) {
    let up = f64::from(u8::from(scene.up));
    sheet.put(scene, ("pgbouncer_up", Kind::Gauge, "The pgbouncer scrape succeeded"), &[], up);
    for (key, name, help) in [
        ("max_client_conn", "pgbouncer_config_max_client_connections", "Config maximum number of client connections"),
        (
            "max_user_connections",
            "pgbouncer_config_max_user_connections",
            "Config maximum number of server connections per user",
        ),
    ] {
        let row = scene.rows("pgbouncer_config").find(|row| row.text("key") == key);
        if let Some(value) = row.and_then(|row| row.text("value").parse::<f64>().ok()) {
            sheet.put(scene, (name, Kind::Gauge, help), &[], value);
        }
    }
}

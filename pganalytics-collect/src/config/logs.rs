//! `[pg_log]`: how logs are read, beside how often.

use super::layers::{Layers, wrong};
use crate::{error::CollectError, logs::Redaction, postgres::PostgresConfig};

/// The table; it is that of a measurement, too.
pub(super) const TABLE: &str = "pg_log";
/// What it has beside `enabled` and `interval`.
pub(super) const FIELDS: &[&str] = &["redact", "from", "path"];

/// Gives all servers the settings of `[pg_log]`.
pub(super) fn apply(layers: &Layers<'_>, servers: &mut [PostgresConfig]) -> Result<(), CollectError> {
    let Some(file) = layers.file else { return Ok(()) };
    for field in FIELDS {
        let path = format!("{TABLE}.{field}");
        let Some((value, origin)) = file.value(&path) else { continue };
        let bad = |expected: &str| wrong(&origin, &path, format!("{value} is not {expected}"));
        let text = value.as_str().ok_or_else(|| bad("text in quotes"))?;
        match *field {
            "redact" => {
                let redaction = match text {
                    "none" => Redaction::None,
                    "literals" => Redaction::Literals,
                    "all" => Redaction::All,
                    _ => return Err(bad("\"literals\", \"all\" or \"none\"")),
                };
                servers.iter_mut().for_each(|server| server.log.redaction = redaction);
            }
            "from" => {
                let from_start = match text {
                    "start" => true,
                    "end" => false,
                    _ => return Err(bad("\"start\" or \"end\"")),
                };
                servers.iter_mut().for_each(|server| server.log.from_start = from_start);
            }
            _ => {
                // One log must not count as that of several servers.
                let [server] = &mut *servers else {
                    return Err(wrong(
                        &origin,
                        &path,
                        format!(
                            "there are {} servers; write log_path into the [[postgres]] that it belongs to",
                            servers.len()
                        ),
                    ));
                };
                if server.log.paths.is_empty() {
                    server.log.paths = vec![text.to_owned()];
                }
            }
        }
    }
    for server in servers {
        for path in &server.log.paths {
            if !crate::logs::is_log_path(path) {
                return Err(CollectError::Config {
                    key: format!("log_path of {}", server.name),
                    message: format!("{path:?} must be absolute and may have * and ? in its last part only"),
                });
            }
        }
    }
    Ok(())
}

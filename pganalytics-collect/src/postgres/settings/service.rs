//! libpq's service files.

use std::path::PathBuf;

use super::{
    environment::Environment,
    values::{PostgresSettings, bad},
};
use crate::error::CollectError;

/// What the service files say of a service.
pub(super) fn settings_of(service: &str, environment: &Environment<'_>) -> Result<PostgresSettings, CollectError> {
    let files = places(environment);
    for path in &files {
        let Ok(text) = environment.file(path) else { continue };
        if let Some(settings) = section(&text, service)? {
            return Ok(settings);
        }
    }
    let looked: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
    let problem = format!("service {service:?} is in none of {}; add it there", looked.join(", "));
    Err(bad("service", problem))
}

fn places(environment: &Environment<'_>) -> Vec<PathBuf> {
    let own = environment.variable("PGSERVICEFILE").map(PathBuf::from).or_else(|| environment.home(".pg_service.conf"));
    let system = environment.variable("PGSYSCONFDIR").unwrap_or_else(|| String::from("/etc/postgresql-common"));
    own.into_iter().chain([PathBuf::from(system).join("pg_service.conf")]).collect()
}

fn section(text: &str, service: &str) -> Result<Option<PostgresSettings>, CollectError> {
    let mut found: Option<PostgresSettings> = None;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            if found.is_some() {
                break;
            }
            if name.trim() == service {
                found = Some(PostgresSettings::default());
            }
        } else if let Some(settings) = &mut found {
            let Some((key, value)) = line.split_once('=') else {
                return Err(bad("service", format!("a line of service {service:?} has no \"=\"; write key=value")));
            };
            settings.set(key.trim(), value.trim())?;
        }
    }
    Ok(found)
}

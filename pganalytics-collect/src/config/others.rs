//! What is watched beside servers and the host: poolers and backups.

use super::{
    layers::{Layers, Origin, wrong},
    lists::{self, Listed},
    servers::note_connection,
};
use crate::{
    error::CollectError,
    pgbackrest::{PgBackRestConfig, PgBackRestSettings},
    pgbouncer::PgBouncerSettings,
    postgres::PostgresConfig,
};

/// The tables `[[pgbouncer]]`.
pub(super) fn pgbouncer(layers: &Layers<'_>) -> Result<Vec<PostgresConfig>, CollectError> {
    let mut poolers: Vec<PostgresConfig> = Vec::new();
    for Listed { settings, origin, keys } in lists::read::<PgBouncerSettings>(layers, "pgbouncer")? {
        let given = settings.0.clone();
        let config = settings.resolve(layers.environment).map_err(|error| at(&origin, error))?;
        lists::refuse_twin(("pgbouncer", "poolers"), &config.name, &origin, poolers.iter().map(|other| &*other.name))?;
        note_connection(layers, "pgbouncer", &config, &given, &origin, &keys);
        poolers.push(config);
    }
    Ok(poolers)
}

/// The tables `[[pgbackrest]]`.
pub(super) fn pgbackrest(layers: &Layers<'_>) -> Result<Vec<PgBackRestConfig>, CollectError> {
    let mut all: Vec<PgBackRestConfig> = Vec::new();
    for Listed { settings, origin, keys } in lists::read::<PgBackRestSettings>(layers, "pgbackrest")? {
        let config = settings.resolve().map_err(|error| at(&origin, error))?;
        let name = config.name.as_deref().unwrap_or("this host");
        let names = all.iter().map(|other| other.name.as_deref().unwrap_or("this host"));
        lists::refuse_twin(("pgbackrest", "[[pgbackrest]] of"), name, &origin, names)?;
        for (key, value) in config.shown() {
            let origin =
                keys.iter().find(|(name, _)| name == key).map_or(Origin::Default, |(_, origin)| origin.clone());
            layers.note(format!("pgbackrest.{name}.{key}"), value, &origin);
        }
        all.push(config);
    }
    Ok(all)
}

/// Says where a wrong setting stands.
fn at(origin: &Origin, error: CollectError) -> CollectError {
    match error {
        CollectError::Config { key, message } => wrong(origin, &key, message),
        other => other,
    }
}

//! Which databases there are.

use std::sync::Arc;

use crate::postgres::{query::fault::QueryFault, session::Session, settings::PostgresConfig};

/// Databases that the role may connect to: each try elsewhere would be a `FATAL` in the server's
/// log. `datconnlimit = -2` marks what an interrupted `DROP DATABASE` left behind, 0 lets only
/// superusers in.
const DATABASES: &str = "
select d.datname::text
from pg_catalog.pg_database d
where d.datallowconn and not d.datistemplate and d.datconnlimit <> -2
  and (d.datconnlimit <> 0 or pg_catalog.current_setting('is_superuser') = 'on')
  and pg_catalog.has_database_privilege(d.oid, 'CONNECT')";

/// The databases to watch, in order of the alphabet, and how many were left out
/// because there are more than `max_databases`.
pub(crate) async fn databases(
    session: &mut Session,
    config: &PostgresConfig,
) -> Result<(Vec<Arc<str>>, usize), QueryFault> {
    let mut names = Vec::new();
    session
        .read(DATABASES, None, |row| {
            if let Ok(name) = row.try_get::<_, &str>(0) {
                names.push(Arc::from(name));
            }
            Ok(())
        })
        .await?;
    Ok(chosen(names, config))
}

/// The databases that settings name.
pub(crate) fn named(config: &PostgresConfig) -> (Vec<Arc<str>>, usize) {
    chosen(config.databases.iter().map(|name| Arc::from(name.as_str())).collect(), config)
}

fn chosen(mut names: Vec<Arc<str>>, config: &PostgresConfig) -> (Vec<Arc<str>>, usize) {
    names.retain(|name| !config.exclude_databases.iter().any(|other| **other == **name));
    names.sort_unstable();
    names.dedup();
    let left_out = names.len().saturating_sub(config.max_databases);
    names.truncate(config.max_databases);
    (names, left_out)
}

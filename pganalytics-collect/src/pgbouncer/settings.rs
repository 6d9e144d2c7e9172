//! Which PgBouncer to watch, as people write it.

use serde::Deserialize;

use crate::{
    error::CollectError,
    postgres::{Environment, Port, PostgresConfig, PostgresSettings},
};

/// The database that is PgBouncer's console.
const CONSOLE: &str = "pgbouncer";
/// Where PgBouncer listens when nobody says otherwise.
const PORT: u16 = 6432;

/// The table `[[pgbouncer]]` of the agent's settings: the keys of `[[postgres]]`
/// that concern a connection. Of the surroundings only `~/.pgpass` and the
/// user's name count: libpq's `PG…` variables mean the server, not its pooler.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct PgBouncerSettings(pub PostgresSettings);

impl PgBouncerSettings {
    /// The settings in a URL, as for a server.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn from_url(url: &str) -> Result<Self, CollectError> {
        PostgresSettings::from_url(url).map(Self).map_err(of_pgbouncer)
    }

    /// The console that these settings describe.
    ///
    /// # Errors
    /// The setting that is wrong, missing or of no meaning here.
    pub fn resolve(self, environment: &Environment<'_>) -> Result<PostgresConfig, CollectError> {
        let Self(mut settings) = self;
        if let Some(key) = foreign(&settings) {
            let message = "PgBouncer's console has no such thing; remove it";
            return Err(CollectError::Config { key: format!("pgbouncer.{key}"), message: message.to_owned() });
        }
        let named = match &settings.url {
            Some(url) => PostgresSettings::from_url(url.expose()).map_err(of_pgbouncer)?.port.is_some(),
            None => false,
        };
        if settings.port.is_none() && !named {
            settings.port = Some(Port::One(PORT));
        }
        settings.database = Some(CONSOLE.to_owned());
        let surroundings = Environment::new(
            |name| matches!(name, "HOME" | "USER").then(|| environment.variable(name)).flatten(),
            |path| environment.file(path),
        );
        settings.resolve(&surroundings).map_err(of_pgbouncer)
    }
}

/// A key that is for servers only.
fn foreign(settings: &PostgresSettings) -> Option<&'static str> {
    let given = [
        ("service", settings.service.is_some()),
        ("databases", !settings.databases.is_empty()),
        ("exclude_databases", !settings.exclude_databases.is_empty()),
        ("lock_timeout", settings.lock_timeout.is_some()),
        ("max_connections", settings.max_connections.is_some()),
        ("max_databases", settings.max_databases.is_some()),
        ("database", settings.database.as_ref().is_some_and(|database| database != CONSOLE)),
    ];
    given.into_iter().find(|(_, given)| *given).map(|(key, _)| key)
}

fn of_pgbouncer(error: CollectError) -> CollectError {
    match error {
        CollectError::Config { key, message } => {
            CollectError::Config { key: key.replacen("postgres.", "pgbouncer.", 1), message }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::postgres::PasswordSource;

    fn surroundings() -> Environment<'static> {
        Environment::new(
            |name| match name {
                "USER" => Some("me".to_owned()),
                "HOME" => Some("/home/me".to_owned()),
                "PGHOST" => Some("db1".to_owned()),
                "PGPASSWORD" => Some("of the server".to_owned()),
                _ => None,
            },
            |_| Err(std::io::ErrorKind::NotFound.into()),
        )
    }

    fn resolve(toml: &str) -> Result<PostgresConfig, CollectError> {
        toml::from_str::<PgBouncerSettings>(toml).unwrap().resolve(&surroundings())
    }

    #[test]
    fn it_has_a_port_of_its_own_and_none_of_the_servers_variables() {
        let config = resolve("user = 'monitor'").unwrap();
        assert_eq!((config.address().as_str(), config.database.as_str()), ("localhost:6432", "pgbouncer"));
        assert!(matches!(&config.password, PasswordSource::Passfile(file) if file.ends_with(".pgpass")));
        assert_eq!(resolve("host = '/run/pgbouncer'\nport = 7000").unwrap().hosts[0].port, 7000);
        assert_eq!(resolve("url = 'postgres://m@p1:6500'").unwrap().address(), "p1:6500");
        assert_eq!(resolve("url = 'postgres://m@p1'").unwrap().address(), "p1:6432");
        assert_eq!(&*resolve("name = 'front'").unwrap().name, "front");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |toml| resolve(toml).unwrap_err().to_string();
        assert!(error("databases = ['app']").starts_with("pgbouncer.databases: "));
        assert!(error("url = 'postgres://m@p1/app'\nport = 0").starts_with("pgbouncer.port: "));
        assert!(error("sslmode = 'maybe'").starts_with("pgbouncer.sslmode: "));
    }
}

//! Which PostgreSQL servers are watched.
//!
//! `--postgres` replaces all servers of the file. `POSTGRES_…` variables describe
//! one server: they make it when the file has none, and win over the file when it
//! has one. With several servers in the file they would be ambiguous, so they are
//! refused. libpq's `PG…` variables, service files and `.pgpass` fill in what
//! nobody said, as in libpq.

use pganalytics_core::Secret;

use super::{
    layers::{Layers, Origin, wrong},
    lists::{self, Listed},
};
use crate::{
    error::CollectError,
    postgres::{PasswordSource, Port, PostgresConfig, PostgresSettings},
};

const VARIABLES: &[(&str, &str)] = &[
    ("POSTGRES_HOST", "host"),
    ("POSTGRES_PORT", "port"),
    ("POSTGRES_USER", "user"),
    ("POSTGRES_PASSWORD", "password"),
    ("POSTGRES_PASSWORD_FILE", "password_file"),
    ("POSTGRES_DATABASES", "databases"),
];

/// A server as it was written, and which of its settings came from where.
struct ServerEntry {
    settings: PostgresSettings,
    origin: Origin,
    keys: Vec<(String, Origin)>,
}

pub(super) fn servers(layers: &Layers<'_>, urls: &[Secret<String>]) -> Result<Vec<PostgresConfig>, CollectError> {
    let mut written = if urls.is_empty() { of_file(layers)? } else { of_flags(urls)? };
    let variable = |name: &str| layers.environment.variable(name);
    let set: Vec<_> = VARIABLES.iter().filter(|(name, _)| variable(name).is_some()).collect();
    if let Some((name, _)) = set.first()
        && urls.is_empty()
        && written.len() > 1
    {
        let message = format!("the settings file has {} servers; say there which of them this is for", written.len());
        return Err(CollectError::Config { key: (*name).to_owned(), message });
    }
    let libpq = ["PGHOST", "PGSERVICE"].iter().any(|name| variable(name).is_some());
    if written.is_empty() && (!set.is_empty() || libpq) {
        let origin = Origin::Environment(set.first().map_or("PGHOST", |(name, _)| name).to_owned());
        written.push(ServerEntry { settings: PostgresSettings::default(), origin, keys: Vec::new() });
    }
    for server in &mut written {
        for (name, key) in &set {
            let Some(text) = variable(name) else { continue };
            if urls.is_empty() || is_open(&server.settings, key) {
                apply(&mut server.settings, key, &text)
                    .map_err(|message| CollectError::Config { key: (*name).to_owned(), message })?;
                server.keys.push(((*key).to_owned(), Origin::Environment((*name).to_owned())));
            }
        }
    }
    let mut servers: Vec<PostgresConfig> = Vec::with_capacity(written.len());
    for ServerEntry { settings, origin, keys } in written {
        let given = settings.clone();
        let config = settings.resolve(layers.environment).map_err(|error| match error {
            CollectError::Config { key, message } => wrong(&origin, &key, message),
            other => other,
        })?;
        lists::refuse_twin(("postgres", "servers"), &config.name, &origin, servers.iter().map(|other| &*other.name))?;
        note(layers, &config, &given, &origin, &keys);
        servers.push(config);
    }
    Ok(servers)
}

fn of_flags(urls: &[Secret<String>]) -> Result<Vec<ServerEntry>, CollectError> {
    let origin = Origin::Flag(String::from("--postgres"));
    let parse = |url: &Secret<String>| match PostgresSettings::from_url(url.expose()) {
        Ok(settings) => Ok(ServerEntry { settings, origin: origin.clone(), keys: Vec::new() }),
        Err(CollectError::Config { message, .. }) => Err(wrong(&origin, "postgres", message)),
        Err(other) => Err(other),
    };
    urls.iter().map(parse).collect()
}

fn of_file(layers: &Layers<'_>) -> Result<Vec<ServerEntry>, CollectError> {
    let listed = lists::read::<PostgresSettings>(layers, "postgres")?;
    Ok(listed.into_iter().map(|Listed { settings, origin, keys }| ServerEntry { settings, origin, keys }).collect())
}

fn is_open(settings: &PostgresSettings, key: &str) -> bool {
    match key {
        "user" => settings.user.is_none(),
        "password" | "password_file" => settings.password.is_none() && settings.password_file.is_none(),
        "databases" => settings.databases.is_empty(),
        _ => false,
    }
}

fn apply(settings: &mut PostgresSettings, key: &str, text: &str) -> Result<(), String> {
    match key {
        "host" => settings.host = Some(text.to_owned()),
        "port" => {
            let port = text.trim().parse().map_err(|_| format!("{text:?} is not a port from 1 to 65535"))?;
            settings.port = Some(Port::One(port));
        }
        "user" => settings.user = Some(text.to_owned()),
        "password" => {
            settings.password = Some(Secret::new(text.to_owned()));
            settings.password_file = None;
        }
        "password_file" => {
            settings.password_file = Some(text.into());
            settings.password = None;
        }
        _ => {
            settings.databases =
                text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        }
    }
    Ok(())
}

/// Notes a server for `config`.
fn note(
    layers: &Layers<'_>,
    config: &PostgresConfig,
    given: &PostgresSettings,
    origin: &Origin,
    keys: &[(String, Origin)],
) {
    note_connection(layers, "postgres", config, given, origin, keys);
    let note = |key: &str, value: String| {
        layers.note(format!("postgres.{}.{key}", config.name), value, &origin_of(keys, key).unwrap_or(Origin::Default));
    };
    note("database", config.database.clone());
    let databases = if config.databases.is_empty() { String::from("all") } else { config.databases.join(",") };
    note("databases", databases);
}

/// Notes how something is connected to, its password masked.
pub(super) fn note_connection(
    layers: &Layers<'_>,
    list: &str,
    config: &PostgresConfig,
    given: &PostgresSettings,
    origin: &Origin,
    keys: &[(String, Origin)],
) {
    let note = |key: &str, value: String, given: bool| {
        let found = origin_of(keys, key).unwrap_or_else(|| if given { origin.clone() } else { Origin::Default });
        layers.note(format!("{list}.{}.{key}", config.name), value, &found);
    };
    let (password, is_file) = match &config.password {
        PasswordSource::None => (String::new(), false),
        PasswordSource::Given(_) => (String::from("***"), false),
        PasswordSource::File(file) => (file.display().to_string(), true),
        PasswordSource::Passfile(file) => (format!("*** (from {} if it has one)", file.display()), false),
    };
    let address = given.url.is_some() || given.host.is_some();
    note("host", config.address(), address);
    note("user", config.user.clone(), given.user.is_some() || given.url.is_some());
    if is_file {
        note("password_file", password, given.password_file.is_some());
    } else {
        note("password", password, given.password.is_some());
    }
    let sslmode = given.sslmode.clone().unwrap_or_else(|| format!("{:?}", config.sslmode).to_lowercase());
    note("sslmode", sslmode, given.sslmode.is_some());
}

/// Where a key was last set.
fn origin_of(keys: &[(String, Origin)], key: &str) -> Option<Origin> {
    keys.iter().rev().find(|(name, _)| name == key).map(|(_, origin)| origin.clone())
}

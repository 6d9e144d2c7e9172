//! Which PostgreSQL servers are watched.
//!
//! `--postgres` replaces all servers of the file. `POSTGRES_…` variables describe
//! one server: they make it when the file has none, and win over the file when it
//! has one. With several servers in the file they would be ambiguous, so they are
//! refused. libpq's `PG…` variables, service files and `.pgpass` fill in what
//! nobody said, as in libpq.

use pganalytics_core::Secret;
use serde::Deserialize;
use toml::Value;

use super::layers::{Layers, Origin, wrong};
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
struct Written {
    settings: PostgresSettings,
    origin: Origin,
    keys: Vec<(&'static str, Origin)>,
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
        written.push(Written { settings: PostgresSettings::default(), origin, keys: Vec::new() });
    }
    for server in &mut written {
        for (name, key) in &set {
            let Some(text) = variable(name) else { continue };
            if urls.is_empty() || is_open(&server.settings, key) {
                apply(&mut server.settings, key, &text)
                    .map_err(|message| CollectError::Config { key: (*name).to_owned(), message })?;
                server.keys.push((key, Origin::Environment((*name).to_owned())));
            }
        }
    }
    let mut servers: Vec<PostgresConfig> = Vec::with_capacity(written.len());
    for Written { settings, origin, keys } in written {
        let given = settings.clone();
        let config = settings.resolve(layers.environment).map_err(|error| match error {
            CollectError::Config { key, message } => wrong(&origin, &key, message),
            other => other,
        })?;
        if servers.iter().any(|other| other.name == config.name) {
            return Err(wrong(
                &origin,
                "postgres.name",
                format!("there are two servers {}; give each a name of its own", config.name),
            ));
        }
        note(layers, &config, &given, &origin, &keys);
        servers.push(config);
    }
    Ok(servers)
}

fn of_flags(urls: &[Secret<String>]) -> Result<Vec<Written>, CollectError> {
    let origin = Origin::Flag(String::from("--postgres"));
    let parse = |url: &Secret<String>| match PostgresSettings::from_url(url.expose()) {
        Ok(settings) => Ok(Written { settings, origin: origin.clone(), keys: Vec::new() }),
        Err(CollectError::Config { message, .. }) => Err(wrong(&origin, "postgres", message)),
        Err(other) => Err(other),
    };
    urls.iter().map(parse).collect()
}

fn of_file(layers: &Layers<'_>) -> Result<Vec<Written>, CollectError> {
    let Some(file) = layers.file else { return Ok(Vec::new()) };
    let tables = file.table().get("postgres").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let read = |(number, value): (usize, &Value)| {
        let at = format!("postgres.{number}");
        let settings = PostgresSettings::deserialize(value.clone()).map_err(|error| {
            let message = error.to_string();
            let line = message.lines().next().unwrap_or_default();
            // The error names a key that does not exist, not where it stands.
            let key = line
                .split('`')
                .nth(1)
                .map(|key| format!("{at}.{key}"))
                .filter(|key| file.origin(key) != file.origin("?"));
            let origin = file.origin(key.as_deref().unwrap_or(&at));
            wrong(&origin, "postgres", line)
        })?;
        let origin = file.origin(&at);
        let keys = ["host", "port", "user", "password", "password_file", "databases", "database", "sslmode"];
        let keys = keys.into_iter().filter(|key| value.get(key).is_some());
        let keys = keys.map(|key| (key, file.origin(&format!("{at}.{key}")))).collect();
        Ok(Written { settings, origin, keys })
    };
    tables.iter().enumerate().map(read).collect()
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

/// Notes a server for `config`, its password masked.
fn note(
    layers: &Layers<'_>,
    config: &PostgresConfig,
    given: &PostgresSettings,
    origin: &Origin,
    keys: &[(&str, Origin)],
) {
    let of = |key: &str, given: bool| {
        let found = keys.iter().rev().find(|(name, _)| *name == key).map(|(_, origin)| origin.clone());
        found.unwrap_or_else(|| if given { origin.clone() } else { Origin::Default })
    };
    let note = |key: &str, value: String, given: bool| {
        layers.note(format!("postgres.{}.{key}", config.name), value, &of(key, given));
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
    note("database", config.database.clone(), given.database.is_some());
    let databases = if config.databases.is_empty() { String::from("all") } else { config.databases.join(",") };
    note("databases", databases, !config.databases.is_empty());
    let sslmode = given.sslmode.clone().unwrap_or_else(|| format!("{:?}", config.sslmode).to_lowercase());
    note("sslmode", sslmode, given.sslmode.is_some());
}

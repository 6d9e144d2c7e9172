//! A server's settings as people write them.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use pganalytics_core::Secret;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Visitor},
};

use super::{
    config::{Host, LogConfig, PasswordSource, PostgresConfig, SslMode},
    environment::Environment,
    keyvalue, service, url,
};
use crate::error::CollectError;

/// The table `[[postgres]]` of the agent's settings; everything may be left
/// out. Unknown keys are refused. [`PostgresSettings::resolve`] makes a
/// [`PostgresConfig`] of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PostgresSettings {
    /// Name of the server; default: its address.
    pub name: Option<String>,
    /// A URL or libpq's `key=value` form; other keys of the table win over it.
    #[serde(deserialize_with = "secret")]
    pub url: Option<Secret<String>>,
    /// Name of a service in libpq's service file.
    pub service: Option<String>,
    /// Host, or several with commas, tried in order; a folder of a Unix socket
    /// begins with `/`. Default `localhost`.
    pub host: Option<String>,
    /// Port, or one for each host. Default 5432.
    pub port: Option<Port>,
    /// Role to log in as; default: the name of the system's user.
    pub user: Option<String>,
    /// Its password. Better [`PostgresSettings::password_file`].
    #[serde(deserialize_with = "secret")]
    pub password: Option<Secret<String>>,
    /// File that holds the password and nothing else, read at each connect.
    pub password_file: Option<PathBuf>,
    /// libpq's password file; default `~/.pgpass`.
    pub passfile: Option<PathBuf>,
    /// Database for what concerns the whole cluster. Default: the first of
    /// `databases`, or `postgres`.
    pub database: Option<String>,
    /// Databases to watch; default: all that the role may connect to.
    pub databases: Vec<String>,
    /// Databases to leave out.
    pub exclude_databases: Vec<String>,
    /// `disable`, `prefer` (default), `require`, `verify-ca`, `verify-full`.
    pub sslmode: Option<String>,
    /// File with trusted root certificates; default: those of the system.
    pub sslrootcert: Option<PathBuf>,
    /// File with our certificate.
    pub sslcert: Option<PathBuf>,
    /// File with its key.
    pub sslkey: Option<PathBuf>,
    /// Default `pganalytics-agent`.
    pub application_name: Option<String>,
    /// Default 5 s.
    pub connect_timeout: Option<Length>,
    /// Default 10 s.
    pub statement_timeout: Option<Length>,
    /// Default 100 ms.
    pub lock_timeout: Option<Length>,
    /// Most sessions at any time; default 3.
    pub max_connections: Option<usize>,
    /// Most databases to watch; default 500.
    pub max_databases: Option<usize>,
    /// The files of its log, where its settings do not say; the last part may
    /// have `*` and `?`.
    pub log_path: Option<String>,
    /// Reads its log through the server; that of servers on other hosts is read
    /// so anyway, where there is no `log_path`.
    pub log_over_sql: Option<bool>,
    /// Time between two samples of what sessions do, default 1 s, at least
    /// 100 ms; `[pg_wait_sampling] enabled = false` switches sampling off.
    pub sampling_interval: Option<Length>,
}

/// One port, or one for each host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a port (1 to 65535), or a list of ports")]
pub enum Port {
    /// The same for all hosts.
    One(u16),
    /// One for each host.
    Many(Vec<u16>),
}

/// A length of time: whole seconds, or text as `"100ms"`, `"5s"`, `"1m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length(pub Duration);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LengthVisitor;
        impl Visitor<'_> for LengthVisitor {
            type Value = Length;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("whole seconds, or a length of time such as \"100ms\"")
            }
            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Length, E> {
                u64::try_from(seconds)
                    .map_or_else(|_| Err(E::custom("it is negative")), |seconds| self.visit_u64(seconds))
            }
            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Length, E> {
                Ok(Length(Duration::from_secs(seconds)))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Length, E> {
                length(text).ok_or_else(|| E::custom("it is no length of time; write as \"100ms\", \"5s\" or \"1m\""))
            }
        }
        deserializer.deserialize_any(LengthVisitor)
    }
}

fn length(text: &str) -> Option<Length> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().ok()?;
    let millis = match text.strip_prefix(digits)?.trim() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(|millis| Length(Duration::from_millis(millis)))
}

/// Text that never shows in an error, even where it is not text.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret<String>>, D::Error> {
    struct SecretVisitor;
    impl Visitor<'_> for SecretVisitor {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text in quotes")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
        fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<String, E> {
            Err(E::custom("it must be text in quotes"))
        }
        fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<String, E> {
            Err(E::custom("it must be text in quotes"))
        }
        fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<String, E> {
            Err(E::custom("it must be text in quotes"))
        }
        fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<String, E> {
            Err(E::custom("it must be text in quotes"))
        }
    }
    let text = deserializer.deserialize_any(SecretVisitor)?;
    if text.contains('\0') {
        return Err(D::Error::custom("it holds a zero byte"));
    }
    Ok(Some(Secret::new(text)))
}

pub(super) fn bad(key: &str, message: impl Into<String>) -> CollectError {
    CollectError::Config { key: format!("postgres.{key}"), message: message.into() }
}

/// More than ten samples a second tell little more and cost the server.
const SHORTEST_SAMPLING: Duration = Duration::from_millis(100);

/// Parameters of libpq that mean nothing here.
const IGNORED: &[&str] = &[
    "channel_binding",
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "options",
    "replication",
    "require_auth",
    "requirepeer",
    "requiressl",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslnegotiation",
    "sslpassword",
    "sslsni",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "target_session_attrs",
    "tcp_user_timeout",
];

impl PostgresSettings {
    /// The settings in a URL (`postgres://…`) or in libpq's `key=value` form.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn from_url(url: &str) -> Result<Self, CollectError> {
        let url = url.trim();
        if let Some(rest) = ["postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme)) {
            return url::parse(rest);
        }
        if url.contains("://") {
            return Err(bad("url", "it must begin with postgres://"));
        }
        if !url.contains('=') {
            return Err(bad("url", "it is neither postgres://user@host/database nor host=… user=…"));
        }
        keyvalue::parse(url)
    }

    /// Takes a parameter under its libpq name.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), CollectError> {
        let text = || Some(value.to_owned());
        let path = || Some(PathBuf::from(value));
        match key {
            "host" => self.host = text(),
            "port" => self.port = Some(ports(value)?),
            "user" => self.user = text(),
            "password" => self.password = text().map(Secret::new),
            "passfile" => self.passfile = path(),
            "dbname" => self.database = text(),
            "service" => self.service = text(),
            "sslmode" => self.sslmode = text(),
            // JDBC's habit, which libpq takes too.
            "ssl" if value == "true" => self.sslmode = Some(String::from("require")),
            "sslrootcert" => self.sslrootcert = path(),
            "sslcert" => self.sslcert = path(),
            "sslkey" => self.sslkey = path(),
            "application_name" => self.application_name = text(),
            "connect_timeout" => {
                let parsed = length(value).ok_or_else(|| bad(key, "it must be whole seconds"))?;
                // 0 means "for ever" to libpq; nothing here waits for ever.
                self.connect_timeout = Some(parsed).filter(|length| !length.0.is_zero());
            }
            _ if IGNORED.contains(&key) => {}
            _ if keyvalue::safe(key) == key => {
                return Err(bad(key, "there is no such parameter; see libpq's documentation for their names"));
            }
            _ => return Err(bad("url", "it holds a parameter that libpq does not know")),
        }
        Ok(())
    }

    /// Takes what is not set yet from elsewhere.
    fn fill(&mut self, other: Self) {
        macro_rules! fill {
            ($($field:ident)*) => { $(if self.$field.is_none() { self.$field = other.$field; })* };
        }
        // A port belongs to the host that it was named with.
        if self.host.is_some() && other.host.is_some() && self.port.is_none() {
            self.port = Some(Port::One(5432));
        }
        // So does a password.
        if self.password_file.is_none() && self.password.is_none() {
            self.password = other.password;
            self.password_file = other.password_file;
        }
        fill!(name service host port user passfile database sslmode sslrootcert sslcert sslkey application_name
              connect_timeout statement_timeout lock_timeout max_connections max_databases log_path log_over_sql
              sampling_interval);
    }

    fn from_variables(environment: &Environment<'_>) -> Result<Self, CollectError> {
        const VARIABLES: &[(&str, &str)] = &[
            ("PGHOST", "host"),
            ("PGPORT", "port"),
            ("PGUSER", "user"),
            ("PGPASSWORD", "password"),
            ("PGPASSFILE", "passfile"),
            ("PGDATABASE", "dbname"),
            ("PGSERVICE", "service"),
            ("PGSSLMODE", "sslmode"),
            ("PGSSLROOTCERT", "sslrootcert"),
            ("PGSSLCERT", "sslcert"),
            ("PGSSLKEY", "sslkey"),
            ("PGAPPNAME", "application_name"),
            ("PGCONNECT_TIMEOUT", "connect_timeout"),
        ];
        let mut settings = Self::default();
        for (variable, key) in VARIABLES {
            if let Some(value) = environment.variable(variable) {
                settings.set(key, &value).map_err(|error| match error {
                    CollectError::Config { message, .. } => {
                        CollectError::Config { key: (*variable).to_owned(), message }
                    }
                    other => other,
                })?;
            }
        }
        Ok(settings)
    }

    /// The server that these settings and their surroundings describe.
    ///
    /// # Errors
    /// The setting that is wrong or missing, and what to do.
    pub fn resolve(mut self, environment: &Environment<'_>) -> Result<PostgresConfig, CollectError> {
        if self.password.is_some() && self.password_file.is_some() {
            return Err(bad("password", "there is also password_file; remove one of them"));
        }
        if let Some(url) = self.url.take() {
            self.fill(Self::from_url(url.expose())?);
        }
        let variables = Self::from_variables(environment)?;
        if let Some(service) = self.service.clone().or_else(|| variables.service.clone()) {
            self.fill(service::settings_of(&service, environment)?);
        }
        self.fill(variables);

        let hosts = hosts(self.host.as_deref().unwrap_or("localhost"), self.port.unwrap_or(Port::One(5432)))?;
        let user = self
            .user
            .or_else(|| environment.variable("USER"))
            .ok_or_else(|| bad("user", "it is missing; set it to a role that is a member of pg_monitor"))?;
        let word = self.sslmode.as_deref().unwrap_or("prefer");
        let mut sslmode = SslMode::from_word(word).ok_or_else(|| {
            bad("sslmode", format!("{word:?} is none of disable, prefer, require, verify-ca, verify-full"))
        })?;
        let sslrootcert = self.sslrootcert.filter(|path| path.as_path() != Path::new("system"));
        if sslmode == SslMode::Require && sslrootcert.is_some() {
            sslmode = SslMode::VerifyCa;
        }
        if self.sslcert.is_some() != self.sslkey.is_some() {
            return Err(bad("sslcert", "sslcert and sslkey belong together; set both or none"));
        }
        let password = match (self.password, self.password_file, self.passfile) {
            (Some(password), ..) => PasswordSource::Given(password),
            (None, Some(file), _) => PasswordSource::File(file),
            (None, None, Some(file)) => PasswordSource::Passfile(file),
            (None, None, None) => environment.home(".pgpass").map_or(PasswordSource::None, PasswordSource::Passfile),
        };
        let time = |key: &str, given: Option<Length>, default: u64| match given {
            Some(Length(time)) if time.is_zero() => Err(bad(key, "0 would mean no limit; set a time")),
            Some(Length(time)) => Ok(time),
            None => Ok(Duration::from_millis(default)),
        };
        let count = |key: &str, given: Option<usize>, default: usize| match given {
            Some(0) => Err(bad(key, "it must be at least 1")),
            given => Ok(given.unwrap_or(default)),
        };
        if self.sampling_interval.is_some_and(|Length(time)| time < SHORTEST_SAMPLING) {
            return Err(bad("sampling_interval", "it must be at least \"100ms\""));
        }
        let database = self.database.or_else(|| self.databases.first().cloned());
        let over_sql = self.log_over_sql.unwrap_or(false);
        if over_sql && self.log_path.is_some() {
            return Err(bad("log_over_sql", "there is also log_path; remove one of them"));
        }
        let log = LogConfig { paths: self.log_path.into_iter().collect(), over_sql, ..LogConfig::default() };
        let mut config = PostgresConfig {
            name: "".into(),
            hosts,
            user,
            password,
            database: database.unwrap_or_else(|| String::from("postgres")),
            databases: self.databases,
            exclude_databases: self.exclude_databases,
            sslmode,
            sslrootcert,
            sslcert: self.sslcert,
            sslkey: self.sslkey,
            application_name: self.application_name.unwrap_or_else(|| String::from("pganalytics-agent")),
            connect_timeout: time("connect_timeout", self.connect_timeout, 5_000)?,
            statement_timeout: time("statement_timeout", self.statement_timeout, 10_000)?,
            lock_timeout: time("lock_timeout", self.lock_timeout, 100)?,
            max_connections: count("max_connections", self.max_connections, 3)?,
            max_databases: count("max_databases", self.max_databases, 500)?,
            sampling_interval: time("sampling_interval", self.sampling_interval, 1_000)?,
            session_lifetime: Duration::from_secs(3600),
            log,
        };
        config.name = self.name.unwrap_or_else(|| config.address()).into();
        Ok(config)
    }
}

fn ports(text: &str) -> Result<Port, CollectError> {
    let ports: Result<Vec<u16>, _> = text.split(',').map(|port| port.trim().parse()).collect();
    match ports.as_deref() {
        Ok([port]) if *port > 0 => Ok(Port::One(*port)),
        Ok(ports) if ports.len() > 1 && ports.iter().all(|port| *port > 0) => Ok(Port::Many(ports.to_vec())),
        _ => Err(bad("port", "it must be a number from 1 to 65535, or one for each host with commas")),
    }
}

fn hosts(names: &str, port: Port) -> Result<Vec<Host>, CollectError> {
    let names: Vec<_> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let ports = match port {
        Port::One(port) => vec![port; names.len()],
        Port::Many(ports) if ports.len() == 1 => vec![ports.first().copied().unwrap_or(5432); names.len()],
        Port::Many(ports) => ports,
    };
    if names.is_empty() {
        return Err(bad("host", "it is empty; set a host name, an address or the folder of a socket"));
    }
    if ports.len() != names.len() {
        return Err(bad(
            "port",
            format!("{} ports for {} hosts; give one port, or one for each host", ports.len(), names.len()),
        ));
    }
    if ports.contains(&0) {
        return Err(bad("port", "0 is no port; it must be 1 to 65535"));
    }
    Ok(names.into_iter().zip(ports).map(|(name, port)| Host { name: name.to_owned(), port }).collect())
}

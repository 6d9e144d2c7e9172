//! Checks settings and makes of them what the program runs with.

use std::{
    env,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use pganalytics_core::Secret;

use super::read::{Gathered, Origin};
use crate::{
    error::ServerError,
    proxy::Proxies,
    rate::Class,
    settings::{ConnectionLimits, FirstAdmin, IngestLimits, Settings},
};

/// What a program is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Environment {
    /// Trying out, writing programs, testing.
    Development,
    /// The real thing: weak settings are refused.
    Production,
}

/// A second address to listen on, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UiListen {
    /// The address.
    pub address: SocketAddr,
    /// Whether somebody asked for it: then it is an error when another program
    /// has it.
    pub required: bool,
}

/// What the program runs with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// What it is run for.
    pub environment: Environment,
    /// Filter of log lines.
    pub log_level: String,
    /// Whether log lines are JSON.
    pub log_json: bool,
    /// Folder of the embedded store.
    pub data_dir: PathBuf,
    /// Folder of backups.
    pub backup_dir: Option<PathBuf>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where people find the UI besides.
    pub ui_listen: Option<UiListen>,
    /// Certificate and key, when it serves HTTPS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Servers that it watches itself.
    pub monitors: Vec<Secret<String>>,
    /// Folder with measurement files of the user's own.
    pub catalog_dir: Option<PathBuf>,
    /// Processes that run people's SQL; 0: none, it runs in the server.
    pub sql_workers: usize,
    /// Memory that each of them may take for a query.
    pub sql_worker_memory: usize,
    /// Settings of the server itself.
    pub settings: Settings,
    /// What should be said at start.
    pub warnings: Vec<String>,
}

impl Config {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`ServerError::Setting`] names the setting, where it came from, and what
    /// to do.
    pub fn build(gathered: &Gathered) -> Result<Self, ServerError> {
        let environment = match gathered.get("environment").unwrap_or("development") {
            "production" | "prod" => Environment::Production,
            "development" | "dev" | "test" | "staging" => Environment::Development,
            other => {
                return Err(gathered.error("environment", format!("{other:?} is neither development nor production")));
            }
        };
        refuse_other_stores(gathered)?;
        let tls = tls_of(gathered)?;
        let listen = listen_of(gathered, environment, tls.is_some())?;
        let settings = settings_of(gathered, environment, tls.is_some())?;
        let mut warnings = Vec::new();
        for name in ["redis_url", "backup_key"] {
            if gathered.get(name).is_some() {
                warnings.push(gathered.error(name, "this version does not use it").to_string());
            }
        }
        for (name, path) in gathered.readable_by_others() {
            let why = format!("every user of this machine can read it: chmod o= {}", path.display());
            if environment == Environment::Production {
                return Err(gathered.error(name, why));
            }
            warnings.push(gathered.error(name, why).to_string());
        }
        if settings.jwt_secret.is_some() && environment == Environment::Development && is_weak(gathered) {
            warnings.push(gathered.error("jwt_secret", "it is weak; production will refuse it").to_string());
        }
        Ok(Self {
            environment,
            log_level: gathered.get("log_level").unwrap_or("info").to_owned(),
            log_json: one_of(gathered, "log_format", &["text", "json"])? == "json",
            data_dir: data_dir(gathered, &|name| env::var_os(name).map(PathBuf::from)),
            backup_dir: gathered.get("backup_dir").map(PathBuf::from),
            ui_listen: ui_listen(gathered, listen)?,
            listen,
            tls,
            monitors: gathered.all("monitor"),
            catalog_dir: gathered.get("catalog_dir").map(PathBuf::from),
            sql_workers: number(gathered, "sql_workers")?,
            sql_worker_memory: worker_memory(gathered)?,
            settings,
            warnings,
        })
    }
}

fn worker_memory(gathered: &Gathered) -> Result<usize, ServerError> {
    const LEAST: usize = 32 << 20;
    let bytes = number(gathered, "sql_worker_memory")?;
    if bytes < LEAST {
        return Err(gathered.error("sql_worker_memory", format!("a worker needs at least {LEAST} bytes")));
    }
    Ok(bytes)
}

fn refuse_other_stores(gathered: &Gathered) -> Result<(), ServerError> {
    for name in ["database_url", "timescale_url"] {
        if gathered.get(name).is_some() {
            let why = "the stores in PostgreSQL and TimescaleDB are not built in this version; \
                       unset it to use the embedded store in PGANALYTICS_DATA_DIR";
            return Err(gathered.error(name, why));
        }
    }
    Ok(())
}

fn tls_of(gathered: &Gathered) -> Result<Option<(PathBuf, PathBuf)>, ServerError> {
    let both = gathered.get("tls_cert").is_some() && gathered.get("tls_key").is_some();
    let enabled = switch(gathered, "tls_enabled")? || both && gathered.origin("tls_enabled") == Origin::Default;
    match (enabled, gathered.get("tls_cert"), gathered.get("tls_key")) {
        (true, Some(cert), Some(key)) => Ok(Some((cert.into(), key.into()))),
        (true, None, _) => Err(gathered.error("tls_cert", "TLS_ENABLED is true, but TLS_CERT names no file")),
        (true, _, None) => Err(gathered.error("tls_key", "TLS_ENABLED is true, but TLS_KEY names no file")),
        (false, None, None) => Ok(None),
        (false, _, _) => Err(gathered.error(
            "tls_enabled",
            "TLS_CERT or TLS_KEY is set, but TLS_ENABLED is not true; set it, or unset the files",
        )),
    }
}

fn listen_of(gathered: &Gathered, environment: Environment, tls: bool) -> Result<SocketAddr, ServerError> {
    let port: u16 = number(gathered, "port")?;
    let text = gathered.get("listen").unwrap_or("127.0.0.1");
    let address = match text {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        other => other.trim_matches(['[', ']']).parse().map_err(|_| {
            gathered.error("listen", format!("{text:?} is no IP address; the port is a setting of its own"))
        })?,
    };
    let insecure = switch(gathered, "insecure_listen")?;
    if !tls && !address.is_loopback() {
        if !insecure {
            return Err(gathered.error(
                "listen",
                format!(
                    "plain HTTP is served to this machine only, and {address} is more; \
                     set TLS_ENABLED, TLS_CERT and TLS_KEY, or take the risk with --insecure-listen"
                ),
            ));
        }
        if environment == Environment::Production {
            return Err(gathered.error("insecure_listen", "production refuses plain HTTP for other machines; use TLS"));
        }
    }
    Ok(SocketAddr::new(address, port))
}

/// The second address; `None` where it is switched off. Whether it was asked
/// for decides what happens when its port is taken.
fn ui_listen(gathered: &Gathered, listen: SocketAddr) -> Result<Option<UiListen>, ServerError> {
    let port: u16 = number(gathered, "ui_port")?;
    let required = gathered.origin("ui_port") != Origin::Default;
    let other = port != 0 && port != listen.port();
    Ok(other.then(|| UiListen { address: SocketAddr::new(listen.ip(), port), required }))
}

fn settings_of(gathered: &Gathered, environment: Environment, tls: bool) -> Result<Settings, ServerError> {
    let mut settings = Settings::default();
    let secret = |name: &str| gathered.get(name).map(|text| Secret::new(text.to_owned()));
    settings.jwt_secret = secret("jwt_secret");
    settings.access_lifetime = seconds(gathered, "jwt_expiration")?;
    settings.registration_secret = secret("registration_secret");
    settings.scrape_token = secret("scrape_token");
    settings.https = tls || switch(gathered, "https")?;
    settings.proxies = proxies(gathered)?;
    settings.local_access = match gathered.get("local_access") {
        Some(_) => switch(gathered, "local_access")?,
        None => environment == Environment::Development,
    };
    settings.setup_token = secret("setup_token");
    settings.cors_allowed_origins =
        gathered.all("cors_allowed_origins").iter().map(|origin| origin.expose().clone()).collect();
    settings.collection_interval = seconds(gathered, "collection_interval")?;
    settings.max_collectors = number(gathered, "max_concurrent_collectors")?;
    settings.ingest = ingest(gathered)?;
    settings.query.timeout = seconds(gathered, "query_timeout")?;
    settings.query.max_rows = number(gathered, "query_max_rows")?;
    settings.query.at_once = number(gathered, "query_at_once")?;
    settings.query.answer_bytes = number(gathered, "query_answer_memory")?;
    settings.connections = connections(gathered)?;
    settings.drain_delay = Duration::from_secs(u64::from(number::<u32>(gathered, "drain_delay")?));
    settings.drain_timeout = seconds(gathered, "drain_timeout")?;
    let days: u32 = number(gathered, "default_retention_days")?;
    settings.default_retention = Duration::from_secs(u64::from(days.max(1)) * 86_400);
    for class in Class::EACH {
        settings.rate_limits.set(class, number(gathered, &format!("rate_limit_{}", class.as_str()))?);
    }
    settings.first_admin = match (switch(gathered, "setup")?, secret("admin_password")) {
        (true, Some(_)) => {
            return Err(gathered.error("setup", "PGANALYTICS_ADMIN_PASSWORD is set too; choose one of them"));
        }
        (true, None) => FirstAdmin::Setup,
        (false, None) => FirstAdmin::Random,
        (false, Some(password)) => {
            let username = gathered.get("admin_username").unwrap_or("admin").to_owned();
            FirstAdmin::Given { username, password }
        }
    };
    settings.check().map_err(|error| match error {
        ServerError::Setting { key, message } => gathered.error(&key, message),
        other => other,
    })?;
    if environment == Environment::Production {
        refuse_weak_secrets(gathered)?;
    }
    Ok(settings)
}

fn proxies(gathered: &Gathered) -> Result<Proxies, ServerError> {
    let listed = gathered.all("trusted_proxies");
    let list = Proxies::new(listed.iter().map(|text| text.expose().as_str()));
    let list = list.map_err(|why| gathered.error("trusted_proxies", why))?;
    let header = gathered.get("proxy_header").unwrap_or_default().parse();
    Ok(list.with_header(header.map_err(|why: String| gathered.error("proxy_header", why))?))
}

fn connections(gathered: &Gathered) -> Result<ConnectionLimits, ServerError> {
    Ok(ConnectionLimits {
        max: number(gathered, "max_connections")?,
        max_per_address: number(gathered, "max_connections_per_address")?,
        first_bytes_timeout: seconds(gathered, "first_bytes_timeout")?,
        header_timeout: seconds(gathered, "header_timeout")?,
        idle_timeout: seconds(gathered, "idle_timeout")?,
        max_age: Duration::from_secs(u64::from(number::<u32>(gathered, "max_connection_age")?)),
        write_timeout: seconds(gathered, "write_timeout")?,
        max_header_bytes: number(gathered, "max_header_bytes")?,
        http2_max_streams: number(gathered, "http2_max_streams")?,
        http2_max_resets: number(gathered, "http2_max_resets")?,
        http2_max_control_frames: number(gathered, "http2_max_control_frames")?,
    })
}

fn ingest(gathered: &Gathered) -> Result<IngestLimits, ServerError> {
    let mut limits = IngestLimits {
        bytes_in_flight: number(gathered, "ingest_memory")?,
        bytes_per_collector: number(gathered, "ingest_memory_per_collector")?,
        max_frame_decoded_bytes: number(gathered, "max_frame_decoded_bytes")?,
        max_push_decoded_bytes: number(gathered, "max_push_decoded_bytes")?,
        max_rows_per_scrape: number(gathered, "max_rows_per_scrape")?,
        ..IngestLimits::default()
    };
    let quotas = &mut limits.quotas;
    quotas.sources = number(gathered, "max_sources_per_collector")?;
    quotas.series = number(gathered, "max_series_per_collector")?;
    quotas.measurements = number(gathered, "max_measurements_per_collector")?;
    quotas.schemas = number(gathered, "max_schemas_per_collector")?;
    quotas.gaps = number(gathered, "max_gaps_per_collector")?;
    quotas.streams = number(gathered, "max_streams_per_collector")?;
    quotas.owns_for = Some(match number::<u32>(gathered, "source_owned_for")? {
        0 => Duration::MAX,
        seconds => Duration::from_secs(seconds.into()),
    });
    Ok(limits)
}

fn refuse_weak_secrets(gathered: &Gathered) -> Result<(), ServerError> {
    if gathered.get("jwt_secret").is_some() && is_weak(gathered) {
        let why = "it is weak, and production refuses it; make one with: openssl rand -base64 48";
        return Err(gathered.error("jwt_secret", why));
    }
    for name in ["registration_secret", "scrape_token"] {
        if gathered.get(name).is_some_and(|text| text.len() < 16) {
            return Err(gathered.error(name, "production wants at least 16 characters; openssl rand -hex 32 makes 64"));
        }
    }
    Ok(())
}

/// Whether somebody typed the signing key by hand, or left an example's.
fn is_weak(gathered: &Gathered) -> bool {
    let text = gathered.get("jwt_secret").unwrap_or_default().to_lowercase();
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    let words = ["secret", "change", "password", "example", "default", "jwt", "demo", "123456", "your-", "your_"];
    letters.len() < 12 || words.iter().any(|word| text.contains(word))
}

fn switch(gathered: &Gathered, name: &str) -> Result<bool, ServerError> {
    match gathered.get(name).unwrap_or("false") {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        other => Err(gathered.error(name, format!("{other:?} is neither true nor false"))),
    }
}

fn one_of<'a>(gathered: &'a Gathered, name: &str, words: &[&str]) -> Result<&'a str, ServerError> {
    let text = gathered.get(name).unwrap_or_default();
    if words.contains(&text) {
        Ok(text)
    } else {
        Err(gathered.error(name, format!("it is one of {}", words.join(", "))))
    }
}

fn number<T: FromStr>(gathered: &Gathered, name: &str) -> Result<T, ServerError> {
    let text = gathered.get(name).unwrap_or_default();
    text.parse().map_err(|_| gathered.error(name, format!("{text:?} is no whole number of a size that fits")))
}

fn seconds(gathered: &Gathered, name: &str) -> Result<Duration, ServerError> {
    let seconds: u32 = number(gathered, name)?;
    if seconds == 0 {
        return Err(gathered.error(name, "it must be at least 1 second"));
    }
    Ok(Duration::from_secs(seconds.into()))
}

/// The folder that was named; else what systemd made for us; else the one of
/// packages and images; else the user's own.
fn data_dir(gathered: &Gathered, environment: &dyn Fn(&str) -> Option<PathBuf>) -> PathBuf {
    if let Some(named) = gathered.get("data_dir") {
        return named.into();
    }
    if let Some(given) = environment("STATE_DIRECTORY") {
        return given;
    }
    let system = Path::new("/var/lib/pganalytics");
    if system.is_dir() {
        return system.to_owned();
    }
    let own = environment("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let own = own.or_else(|| environment("HOME").map(|home| home.join(".local/share")));
    own.map_or_else(|| PathBuf::from("pganalytics-data"), |folder| folder.join("pganalytics"))
}

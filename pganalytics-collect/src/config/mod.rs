//! The agent's settings.
//!
//! Each comes from the first place that has it: a flag, an environment variable,
//! the settings file, the default; [`Config::settings`] says which. Unknown keys
//! are errors that name key, file and line. No error, no `Debug` and no listing
//! shows a secret.
//!
//! ```toml
//! [collector]
//! name = "db-host-1"            # default: the host's name
//! interval = 60                 # of measurements that the catalog takes every 60 s
//! push_interval = 1             # how long a frame waits for others to travel with it
//! data_dir = "/var/lib/pganalytics-agent" # what waits for delivery, how far logs were read
//! buffer_size = 104857600       # bytes that wait for delivery
//! backlog = "oldest_first"      # of what waited during an outage; or "newest_first"
//! catalog_dir = "/etc/pganalytics/measurements" # your own SQL, see own_sql
//!
//! [backend]
//! url = "https://metrics.example.com"
//! token_file = "/etc/pganalytics/token"
//! retry = { initial = 0.5, max = 60, jitter = true }
//!
//! [tls]
//! ca_file = "/etc/pganalytics/ca.pem"
//!
//! [[postgres]]                  # any number of servers
//! name = "main"
//! host = "/run/postgresql"
//! user = "pganalytics"
//! password_file = "/etc/pganalytics/main.password"
//!
//! [[pgbouncer]]                 # any number of poolers
//! host = "/run/postgresql"
//! user = "pganalytics"          # in stats_users of pgbouncer.ini
//! password_file = "/etc/pganalytics/pgbouncer.password"
//!
//! [[pgbackrest]]                # backups that this host knows of
//! command = ["sudo", "-n", "-u", "postgres", "pgbackrest"]
//!
//! [pg_stats]                    # a group, or any measurement
//! interval = 30
//! [pg_stat_activity]
//! enabled = false
//! [pg_log]                      # a measurement, and how logs are read
//! redact = "literals"           # or "all", "none"
//! from = "end"                  # of the files, at the first start of all; or "start"
//! path = "/var/log/postgresql/*.log" # where the server's settings do not say
//! ```

mod exporter;
mod file;
mod keys;
mod layers;
mod lists;
mod logs;
mod measurements;
mod others;
mod servers;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pganalytics_core::{CollectorId, Secret, catalog::Catalog};

pub use layers::{Origin, Setting};

use self::{
    file::ConfigFile,
    layers::{Layers, wrong},
};
use crate::{
    agent::{Agent, AgentBuilder},
    collector::Collector,
    delivery::{Backlog, Backoff, HttpSink, HttpSinkBuilder, Spool, SpoolError, Token},
    enrol,
    error::CollectError,
    exporter::{Exporter, ExporterSettings},
    host::{Folders, HostCollector},
    own_sql::{CatalogFolder, Reloader},
    pgbackrest::{PgBackRestCollector, PgBackRestConfig},
    pgbouncer::PgBouncerCollector,
    postgres::{Environment, PostgresConfig, PostgresServer},
    scheduler::Plan,
};

/// Where the settings file is looked for when nobody names one.
pub const DEFAULT_FILE: &str = "/etc/pganalytics/agent.toml";

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// The settings file; default: [`DEFAULT_FILE`] if there is one.
    pub file: Option<PathBuf>,
    /// Servers to watch, instead of those of the file.
    pub postgres: Vec<Secret<String>>,
    /// Settings by their names, as `backend.url`.
    pub set: BTreeMap<String, String>,
}

/// Where and how to send to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Backend {
    /// Address of the server.
    pub url: String,
    /// What to show to be let in.
    pub token: Option<Token>,
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
    /// Longest time for a push.
    pub timeout: Duration,
    /// Whether the server's certificate is verified.
    pub verify: bool,
    /// Further root certificates.
    pub ca_file: Option<PathBuf>,
    /// This agent's certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The settings of an agent, checked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Id of this agent at the server.
    pub id: Option<CollectorId>,
    /// As it was written.
    id_text: Option<String>,
    /// Name of this agent; default: the host's.
    pub name: Option<String>,
    /// What the host is called instead of its own name.
    pub hostname: Option<String>,
    /// Where the agent keeps what must last.
    pub data_dir: PathBuf,
    /// Where the host's files are found.
    pub host_root: PathBuf,
    /// Most bytes that wait for delivery.
    pub buffer_size: usize,
    /// What of an outage's frames goes first.
    pub backlog: Backlog,
    /// How long a frame waits for others to travel with it.
    pub push_interval: Duration,
    /// Pause between two looks at the settings that the server has.
    pub config_pull_interval: Duration,
    /// What is logged.
    pub log_level: String,
    /// `production`, or anything else.
    pub environment: Option<String>,
    /// The server, when one is set.
    pub backend: Option<Backend>,
    /// Lets the agent register itself.
    pub registration_secret: Option<Secret<String>>,
    /// Pauses after a failed delivery.
    pub backoff: Backoff,
    /// What answers Prometheus; `None` when it is switched off.
    pub exporter: Option<ExporterSettings>,
    /// The watched servers.
    pub postgres: Vec<PostgresConfig>,
    /// The watched poolers: their consoles.
    pub pgbouncer: Vec<PostgresConfig>,
    /// Where backups are looked for.
    pub pgbackrest: Vec<PgBackRestConfig>,
    /// Measurements, the user's own among them.
    pub catalog: Catalog,
    /// Catalog files of the user that were not taken, and why.
    pub catalog_errors: Vec<Arc<CollectError>>,
    /// What is collected and how often.
    pub plan: Plan,
    folder: Option<CatalogFolder>,
    /// What servers tell the host's collector.
    folders: Folders,
    settings: Vec<Setting>,
}

impl Config {
    /// Reads the settings from the command line, the environment and the file.
    ///
    /// # Errors
    /// The first thing that is wrong: where it stands and what to do.
    pub fn load(flags: &Flags, environment: &Environment<'_>) -> Result<Self, CollectError> {
        let file = match &flags.file {
            Some(path) => Some(read(path, environment)?),
            None => match environment.file(Path::new(DEFAULT_FILE)) {
                Ok(text) => Some(ConfigFile::parse(Path::new(DEFAULT_FILE), &text)?),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(source) => return Err(CollectError::Host { path: DEFAULT_FILE.to_owned(), source }),
            },
        };
        if let Some(file) = &file {
            file.check_keys()?;
        }
        check_flags(flags)?;
        Self::of_layers(Layers::new(&flags.set, environment, file.as_ref()), &flags.postgres)
    }

    fn of_layers(layers: Layers<'_>, urls: &[Secret<String>]) -> Result<Self, CollectError> {
        let id_text = layers.text("collector.id")?;
        let id = match &id_text {
            Some(id) => Some(
                CollectorId::from_human(id)
                    .map_err(|error| wrong(&layers.origin("collector.id"), "collector.id", error.to_string()))?,
            ),
            None => None,
        };
        let catalog_dir = layers.path("collector.catalog_dir")?;
        let folder = catalog_dir.map(CatalogFolder::open);
        let catalog =
            folder.as_ref().map_or_else(|| Catalog::builtin().clone(), |folder| Catalog::clone(folder.catalog()));
        let catalog_errors = folder.as_ref().map(CatalogFolder::errors).unwrap_or_default();
        let environment = layers.text("collector.environment")?;
        let mut postgres = servers::servers(&layers, urls)?;
        logs::apply(&layers, &mut postgres)?;
        Ok(Self {
            id,
            id_text,
            name: layers.text("collector.name")?,
            hostname: layers.text("collector.hostname")?,
            data_dir: layers.path("collector.data_dir")?.unwrap_or_default(),
            host_root: layers.path("collector.host_root")?.unwrap_or_default(),
            buffer_size: layers.bytes("collector.buffer_size")?,
            backlog: layers.backlog("collector.backlog")?,
            push_interval: layers.duration("collector.push_interval")?,
            config_pull_interval: layers.duration("collector.config_pull_interval")?,
            log_level: layers.text("collector.log_level")?.unwrap_or_default(),
            backend: backend(&layers, environment.as_deref())?,
            environment,
            registration_secret: layers.secret_or_file("backend.registration_secret")?,
            backoff: Backoff::new(
                layers.duration("backend.retry.initial")?,
                layers.duration("backend.retry.max")?,
                layers.boolean("backend.retry.jitter")?,
            ),
            exporter: exporter::exporter(&layers)?,
            postgres,
            pgbouncer: others::pgbouncer(&layers)?,
            pgbackrest: others::pgbackrest(&layers)?,
            plan: measurements::plan(&layers, &catalog, catalog_errors.is_empty())?,
            catalog,
            folder,
            catalog_errors: catalog_errors.into_iter().map(Arc::new).collect(),
            folders: Folders::default(),
            settings: layers.into_settings(),
        })
    }

    /// Every setting with its value and origin; secrets are masked.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The folder of catalog files, as it was when the settings were read; `None`
    /// where none is set.
    #[must_use]
    pub fn catalog_folder(&self) -> Option<&CatalogFolder> {
        self.folder.as_ref()
    }

    /// Makes the agents of these settings look at their folder of catalog files
    /// at once; `None` where there is none.
    #[must_use]
    pub fn reloader(&self) -> Option<Reloader> {
        self.folder.as_ref().map(CatalogFolder::reloader)
    }

    /// The watched servers, with what the plan takes from them.
    #[must_use]
    pub fn servers(&self) -> Vec<PostgresServer> {
        let wanted = || self.catalog.iter().filter(|measurement| self.plan.interval_of(measurement).is_some()).cloned();
        self.postgres
            .iter()
            .map(|config| PostgresServer::new(config.clone(), wanted()).reporting_folders_to(&self.folders))
            .collect()
    }

    /// The collector of the host's figures.
    #[must_use]
    pub fn host(&self) -> HostCollector {
        let host = HostCollector::new(&self.host_root).folders_from(&self.folders);
        match &self.hostname {
            Some(name) => host.named(name),
            None => host,
        }
    }

    /// The collectors of poolers and backups.
    #[must_use]
    pub fn others(&self) -> Vec<Box<dyn Collector>> {
        let host = self.host().source().clone();
        let poolers = self.pgbouncer.iter().map(|config| Box::new(PgBouncerCollector::new(config.clone())) as _);
        let backups =
            self.pgbackrest.iter().map(|config| Box::new(PgBackRestCollector::new(config.clone(), &host)) as _);
        poolers.chain(backups).collect()
    }

    /// An agent with these settings, without a sink.
    #[must_use]
    pub fn agent(&self) -> AgentBuilder {
        let mut agent = Agent::builder()
            .plan(self.plan.clone())
            .buffer_size(self.buffer_size)
            .push_interval(self.push_interval)
            .backoff(self.backoff.clone())
            .collector(self.host())
            .collectors(self.others());
        if let Some(name) = self.name.as_ref().or(self.hostname.as_ref()) {
            agent = agent.name(name);
        }
        if let Some(folder) = &self.folder {
            agent = agent.catalog_folder(folder.clone());
        }
        self.servers().into_iter().fold(agent, AgentBuilder::server)
    }

    /// The outbox in [`Config::data_dir`], which outlives the agent.
    ///
    /// # Errors
    /// When the folder can't be used, or another agent uses it.
    pub fn spool(&self) -> Result<Spool, SpoolError> {
        Spool::open_with(self.data_dir.join("spool"), self.buffer_size, self.backlog)
    }

    /// What answers Prometheus, when it is switched on; for
    /// [`AgentBuilder::exporter`].
    #[must_use]
    pub fn exporter(&self) -> Option<Exporter> {
        let exporter = Exporter::new(self.exporter.clone()?, &self.catalog);
        let servers = self.postgres.iter();
        let exporter = servers.fold(exporter, |exporter, config| exporter.server(&config.name, &config.address()));
        let poolers = self.pgbouncer.iter();
        Some(poolers.fold(exporter, |exporter, config| exporter.pooler(&config.name, &config.address())))
    }

    /// The sink that sends to the server, when one is set.
    ///
    /// # Errors
    /// When the address is none, or a file can't be read.
    pub fn http_sink(&self) -> Result<Option<HttpSink>, CollectError> {
        let Some(backend) = &self.backend else { return Ok(None) };
        let mut sink = self.to_server(backend);
        if let Some(token) = backend.token.clone().or_else(|| self.own_token().map(Token::File)) {
            sink = sink.token(token);
        }
        // A token of its own tells which collector it is.
        if let Some(id) = self.id_text.as_ref().filter(|_| backend.token.is_some()) {
            sink = sink.collector(id);
        }
        sink.build().map(Some)
    }

    /// How the server is reached.
    pub(crate) fn to_server(&self, backend: &Backend) -> HttpSinkBuilder {
        let mut sink = HttpSink::builder(&backend.url)
            .connect_timeout(backend.connect_timeout)
            .timeout(backend.timeout)
            .verify_tls(backend.verify);
        if let Some(file) = &backend.ca_file {
            sink = sink.ca_file(file);
        }
        if let Some((cert, key)) = &backend.identity {
            sink = sink.client_certificate(cert, key);
        }
        sink
    }

    /// The file with the token that this agent was given when it registered, if
    /// it did.
    #[must_use]
    pub fn own_token(&self) -> Option<PathBuf> {
        let file = self.data_dir.join(enrol::TOKEN_FILE);
        file.is_file().then_some(file)
    }

    /// Whether it has to [register](crate::enrol::register) before it can send:
    /// it knows a server and its registration secret, and has no token.
    #[must_use]
    pub fn must_register(&self) -> bool {
        let has_token = self.backend.as_ref().is_none_or(|backend| backend.token.is_some());
        !has_token && self.registration_secret.is_some() && self.own_token().is_none()
    }
}

fn backend(layers: &Layers<'_>, environment: Option<&str>) -> Result<Option<Backend>, CollectError> {
    let url = layers.text("backend.url")?;
    let text = layers.secret("backend.token")?;
    let token_file = layers.path("backend.token_file")?;
    let verify = layers.boolean("tls.verify")?;
    let ca_file = layers.path("tls.ca_file")?;
    let cert_file = layers.path("tls.cert_file")?;
    let key_file = layers.path("tls.key_file")?;
    let connect_timeout = layers.duration("backend.connect_timeout")?;
    let timeout = layers.duration("backend.timeout")?;
    if !verify && environment == Some("production") {
        let message =
            "certificates must be verified when ENVIRONMENT=production; name your authority in [tls] ca_file instead";
        return Err(wrong(&layers.origin("tls.verify"), "tls.verify", message));
    }
    let token = match (text, token_file) {
        (Some(_), Some(_)) => {
            let message = "there is also backend.token_file; remove one of them";
            return Err(wrong(&layers.origin("backend.token"), "backend.token", message));
        }
        (Some(text), None) => Some(Token::Text(text)),
        (None, Some(file)) => Some(Token::File(file)),
        (None, None) => None,
    };
    let identity = match (cert_file, key_file) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => return Err(half(layers, "tls.cert_file", "tls.key_file")),
        (None, Some(_)) => return Err(half(layers, "tls.key_file", "tls.cert_file")),
    };
    Ok(url.map(|url| Backend { url, token, connect_timeout, timeout, verify, ca_file, identity }))
}

fn half(layers: &Layers<'_>, given: &str, missing: &str) -> CollectError {
    wrong(&layers.origin(given), given, format!("{missing} belongs to it and is missing; set both or none"))
}

fn read(path: &Path, environment: &Environment<'_>) -> Result<ConfigFile, CollectError> {
    let text =
        environment.file(path).map_err(|source| CollectError::Host { path: path.display().to_string(), source })?;
    ConfigFile::parse(path, &text)
}

fn check_flags(flags: &Flags) -> Result<(), CollectError> {
    for path in flags.set.keys() {
        let origin = Origin::Flag(format!("--set {path}"));
        match keys::find(path) {
            Some(key) if key.secret => {
                let message = "other users see command lines; put it into the settings file or the environment";
                return Err(wrong(&origin, path, message));
            }
            Some(_) => {}
            None => {
                let like = keys::nearest(path, keys::KEYS.iter().map(|key| key.path));
                let hint = like.map_or_else(String::new, |like| format!("; did you mean {like}?"));
                return Err(wrong(&origin, path, format!("there is no such setting{hint}")));
            }
        }
    }
    Ok(())
}

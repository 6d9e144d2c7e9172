//! From settings to a session that is ready to be asked.
//!
//! Looking up the host, connecting, TLS and logging in share one deadline. The
//! session's settings travel with the login (startup options), so they cost no
//! round trip and hold from the first statement. A pooler that refuses them, or
//! takes them and forgets, is told from a server by what the settings are
//! afterwards; see [`Session`](super::Session) for what is done then.
//!
//! A server that hangs sees no more of us than one that answers: whoever stops waiting
//! for a login leaves it to [`lifetime`](super::lifetime), which holds its place in the
//! budget until the server has let it go, and of logins there is one at a time.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::ClientConfig;
use tokio::{
    net::{TcpStream, UnixStream, lookup_host},
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};
use tokio_postgres::{Client, NoTls, config::SslMode as DriverMode, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    fault::{ConnectFault, ConnectProblem},
    lifetime::Lifetime,
    stream::Stream,
    tls,
};
use crate::{
    cpu_time::CpuTime,
    postgres::settings::{Host, PasswordSource, PostgresConfig, SslMode, password_from},
};

/// A connection, logged in.
pub(crate) struct Link {
    pub(crate) client: Client,
    /// The host that answered.
    pub(crate) host: Host,
    /// Whether startup options were taken.
    pub(crate) took_options: bool,
    /// Why it ended, once it has.
    pub(crate) ended: Arc<OnceLock<String>>,
    /// Dropped with the client: nobody waits for answers any more.
    pub(crate) in_use: oneshot::Sender<()>,
}

/// Connects to one server, again and again.
pub(crate) struct Connector {
    config: Arc<PostgresConfig>,
    /// What is asked for at the login: settings of the session, or nothing.
    options: bool,
    /// Made of certificate files; made anew after TLS failed.
    tls: Arc<Mutex<Option<Arc<ClientConfig>>>>,
    /// What its connections cost this process.
    cpu: Arc<CpuTime>,
    /// One login at a time.
    logins: Arc<Semaphore>,
}

/// How long a session that nobody waits for any more may take to go away on the server before
/// its place in the budget is free again nevertheless: PostgreSQL's own limit of a login
/// (`authentication_timeout`). Statements may take as long as theirs.
const ZOMBIE: Duration = Duration::from_secs(60);

impl Connector {
    pub(crate) fn new(config: Arc<PostgresConfig>) -> Self {
        Self { config, options: true, tls: Arc::default(), cpu: Arc::default(), logins: Arc::new(Semaphore::new(1)) }
    }

    /// For what speaks PostgreSQL's protocol and has none of its settings: a
    /// pooler's console.
    pub(crate) fn without_options(config: Arc<PostgresConfig>) -> Self {
        Self { options: false, ..Self::new(config) }
    }

    /// The same, counting what its connections cost apart.
    pub(crate) fn counting_apart(&self) -> Self {
        let (config, tls, logins) = (Arc::clone(&self.config), Arc::clone(&self.tls), Arc::clone(&self.logins));
        Self { config, options: self.options, tls, cpu: Arc::default(), logins }
    }

    /// Processor time that its connections have used, and whatever else is
    /// counted by it.
    pub(crate) fn cpu(&self) -> &Arc<CpuTime> {
        &self.cpu
    }

    /// A connection to a database. The permit is held until the server has let
    /// the session go.
    pub(crate) async fn connect(&self, database: &str, permit: OwnedSemaphorePermit) -> Result<Link, ConnectProblem> {
        let permit = Arc::new(permit);
        let mut problems: Vec<ConnectProblem> = Vec::new();
        for host in &self.config.hosts {
            match self.connect_host(host, database, &permit).await {
                Ok(link) => return Ok(link),
                Err(problem) => problems.push(problem),
            }
        }
        let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        let fault = problems.first().map_or(ConnectFault::Other, |problem| problem.fault);
        Err(ConnectProblem::new(fault, messages.join("; and ")))
    }

    async fn connect_host(
        &self,
        host: &Host,
        database: &str,
        permit: &Arc<OwnedSemaphorePermit>,
    ) -> Result<Link, ConnectProblem> {
        let attempts = self.attempts(host, database, permit);
        match timeout(self.config.connect_timeout, attempts).await {
            Ok(result) => result,
            Err(_) => Err(ConnectProblem::timeout(&self.config, host, "connecting and logging in")),
        }
    }

    /// With TLS and startup options first; without where that may be.
    async fn attempts(
        &self,
        host: &Host,
        database: &str,
        permit: &Arc<OwnedSemaphorePermit>,
    ) -> Result<Link, ConnectProblem> {
        let password = self.password(host, database).await?;
        let mut encrypted = self.config.sslmode != SslMode::Disable && !host.is_socket();
        let mut options = self.options;
        loop {
            let login = Login { host, database, password: password.as_deref(), encrypted, options };
            let problem = match self.login(&login, permit).await {
                Ok(link) => return Ok(link),
                Err(problem) => problem,
            };
            match problem.fault {
                ConnectFault::OptionsRefused if options => options = false,
                ConnectFault::TlsFailed | ConnectFault::NotAllowed
                    if encrypted && self.config.sslmode == SslMode::Prefer =>
                {
                    encrypted = false;
                }
                ConnectFault::TlsFailed => {
                    *self.tls.lock().await = None;
                    return Err(problem);
                }
                _ => return Err(problem),
            }
        }
    }

    async fn login(&self, login: &Login<'_>, permit: &Arc<OwnedSemaphorePermit>) -> Result<Link, ConnectProblem> {
        let config = &*self.config;
        let mut driver = tokio_postgres::Config::new();
        driver.user(&config.user).dbname(login.database).application_name(&config.application_name);
        if let Some(password) = login.password {
            driver.password(password);
        }
        if login.options {
            driver.options(startup_options(config));
        }
        driver.ssl_mode(match (login.encrypted, config.sslmode) {
            (false, _) => DriverMode::Disable,
            (true, SslMode::Prefer) => DriverMode::Prefer,
            (true, _) => DriverMode::Require,
        });
        let stream = open(login.host).await?;
        let turn = self.turn(login.host).await?;
        let (in_use, abandoned) = oneshot::channel();
        let ended = Arc::new(OnceLock::new());
        let lifetime = Lifetime {
            permit: Arc::clone(permit),
            longest: ZOMBIE.max(config.statement_timeout + Duration::from_secs(5)),
            abandoned,
            ended: Arc::clone(&ended),
            cpu: Arc::clone(&self.cpu),
            host: login.host.clone(),
        };
        let client = if login.encrypted {
            let mut maker = MakeRustlsConnect::new((*self.tls().await?).clone());
            let mut tls = || {
                MakeTlsConnect::<Stream>::make_tls_connect(&mut maker, &login.host.name)
                    .map_err(|error| ConnectProblem::new(ConnectFault::TlsFailed, format!("{}: {error}", login.host)))
            };
            lifetime.begin(driver, stream, [tls()?, tls()?], turn).await
        } else {
            lifetime.begin(driver, stream, [NoTls, NoTls], turn).await
        };
        let client = match client {
            Some(client) => client.map_err(|error| {
                ConnectProblem::from_login(&error, config, login.host, login.database, login.password.is_some())
            })?,
            None => return Err(ConnectProblem::timeout(config, login.host, "logging in")),
        };
        Ok(Link { client, host: login.host.clone(), took_options: login.options, ended, in_use })
    }

    /// The right to log in. A server that leaves one login without an answer gets no second.
    async fn turn(&self, host: &Host) -> Result<OwnedSemaphorePermit, ConnectProblem> {
        let turn = Arc::clone(&self.logins).acquire_owned();
        match timeout(self.config.connect_timeout / 2, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(ConnectProblem::new(
                ConnectFault::Timeout,
                format!(
                    "{host}: a login before has had no answer yet; the server hangs, or its pg_authid or pg_database is locked"
                ),
            )),
        }
    }

    async fn tls(&self) -> Result<Arc<ClientConfig>, ConnectProblem> {
        let mut known = self.tls.lock().await;
        if let Some(config) = &*known {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(tls::client_config(&self.config)?);
        *known = Some(Arc::clone(&config));
        Ok(config)
    }

    async fn password(&self, host: &Host, database: &str) -> Result<Option<String>, ConnectProblem> {
        let unreadable = |path: &std::path::Path, error: std::io::Error| {
            let message = format!("{}: the password file can't be read: {error}", path.display());
            ConnectProblem::new(ConnectFault::File, message)
        };
        match &self.config.password {
            PasswordSource::None => Ok(None),
            PasswordSource::Given(password) => Ok(Some(password.expose().clone())),
            PasswordSource::File(path) => match tokio::fs::read_to_string(path).await {
                Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) => Err(unreadable(path, error)),
            },
            PasswordSource::Passfile(path) => match tokio::fs::read_to_string(path).await {
                Ok(text) => Ok(password_from(&text, host, database, &self.config.user)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(unreadable(path, error)),
            },
        }
    }
}

struct Login<'a> {
    host: &'a Host,
    database: &'a str,
    password: Option<&'a str>,
    encrypted: bool,
    options: bool,
}

pub(crate) async fn open(host: &Host) -> Result<Stream, ConnectProblem> {
    let failed = |error: std::io::Error| ConnectProblem::from_io(&error, host);
    if host.is_socket() {
        return UnixStream::connect(host.to_string()).await.map(Stream::Unix).map_err(failed);
    }
    let found = lookup_host((host.name.as_str(), host.port)).await.map_err(|error| {
        let message =
            format!("{host}: the host's name can't be looked up: {error}; check host in the settings and DNS");
        ConnectProblem::new(ConnectFault::UnknownHost, message)
    })?;
    let mut last = std::io::Error::other("the name has no address");
    for address in found {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(failed)?;
                return Ok(Stream::Tcp(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// The settings of a session, as names and values.
pub(crate) fn session_settings(config: &PostgresConfig) -> Vec<(&'static str, String)> {
    vec![
        ("search_path", String::from("pg_catalog")),
        ("statement_timeout", config.statement_timeout.as_millis().to_string()),
        ("lock_timeout", config.lock_timeout.as_millis().to_string()),
        ("default_transaction_read_only", String::from("on")),
        ("idle_in_transaction_session_timeout", String::from("60000")),
        ("jit", String::from("off")),
        // A monitor takes no workers from those it watches.
        ("max_parallel_workers_per_gather", String::from("0")),
        // What roles and databases may have set otherwise, and answers or our sessions depend on.
        ("timezone", String::from("UTC")),
        ("datestyle", String::from("ISO, YMD")),
        ("intervalstyle", String::from("postgres")),
        ("bytea_output", String::from("hex")),
        ("extra_float_digits", String::from("1")),
        ("standard_conforming_strings", String::from("on")),
        ("row_security", String::from("on")),
        ("idle_session_timeout", String::from("0")),
        // A serializable transaction that may be deferred waits until no other is in its way.
        ("default_transaction_isolation", String::from("read committed")),
        ("default_transaction_deferrable", String::from("off")),
    ]
}

/// A server notices within 90 s that we are gone without a word, and ends the session; else
/// each break of the network would leave it some more.
const KEEPALIVES: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "60"), ("tcp_keepalives_interval", "10"), ("tcp_keepalives_count", "3")];

fn startup_options(config: &PostgresConfig) -> String {
    let option = |name: &str, value: &str| format!("-c {name}={}", value.replace('\\', "\\\\").replace(' ', "\\ "));
    let settings = session_settings(config);
    let settings = settings.iter().map(|(name, value)| option(name, value));
    settings.chain(KEEPALIVES.map(|(name, value)| option(name, value))).collect::<Vec<_>>().join(" ")
}

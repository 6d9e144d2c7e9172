//! From settings to a session that is ready to be asked.
//!
//! Looking up the host, connecting, TLS and logging in share one deadline. The
//! session's settings travel with the login (startup options), so they cost no
//! round trip and hold from the first statement. A pooler that refuses them, or
//! takes them and forgets, is told from a server by what the settings are
//! afterwards; see [`Session`](super::session::Session) for what is done then.

use std::{
    future::poll_fn,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream, lookup_host},
    sync::{Mutex, OwnedSemaphorePermit, oneshot},
    time::{sleep, timeout},
};
use tokio_postgres::{Client, NoTls, config::SslMode as DriverMode, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    config::{Host, PasswordSource, PostgresConfig, SslMode},
    fault::{ConnectFault, ConnectProblem, one_line},
    resolve::password_from,
    stream::Stream,
    tls,
};
use crate::cpu_time::CpuTime;

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
}

/// How long a closed session may take to go away on the server before its
/// place in the budget is free again nevertheless.
const FAREWELL: Duration = Duration::from_secs(5);

impl Connector {
    pub(super) fn new(config: Arc<PostgresConfig>) -> Self {
        Self { config, options: true, tls: Arc::default(), cpu: Arc::default() }
    }

    /// For what speaks PostgreSQL's protocol and has none of its settings: a
    /// pooler's console.
    pub(crate) fn without_options(config: Arc<PostgresConfig>) -> Self {
        Self { options: false, ..Self::new(config) }
    }

    /// The same, counting what its connections cost apart.
    pub(super) fn counting_apart(&self) -> Self {
        let (config, tls) = (Arc::clone(&self.config), Arc::clone(&self.tls));
        Self { config, options: self.options, tls, cpu: Arc::default() }
    }

    /// Processor time that its connections have used, and whatever else is
    /// counted by it.
    pub(super) fn cpu(&self) -> &Arc<CpuTime> {
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
        let ended = Arc::new(OnceLock::new());
        let (in_use, abandoned) = oneshot::channel();
        let said =
            |error| ConnectProblem::from_login(&error, config, login.host, login.database, login.password.is_some());
        let client = if login.encrypted {
            let mut maker = MakeRustlsConnect::new((*self.tls().await?).clone());
            let tls = MakeTlsConnect::<Stream>::make_tls_connect(&mut maker, &login.host.name)
                .map_err(|error| ConnectProblem::new(ConnectFault::TlsFailed, format!("{}: {error}", login.host)))?;
            let (client, connection) = Box::pin(driver.connect_raw(stream, tls)).await.map_err(said)?;
            drive(connection, Arc::clone(permit), Arc::clone(&ended), abandoned, &self.cpu);
            client
        } else {
            let (client, connection) = Box::pin(driver.connect_raw(stream, NoTls)).await.map_err(said)?;
            drive(connection, Arc::clone(permit), Arc::clone(&ended), abandoned, &self.cpu);
            client
        };
        Ok(Link { client, host: login.host.clone(), took_options: login.options, ended, in_use })
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

async fn open(host: &Host) -> Result<Stream, ConnectProblem> {
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
pub(super) fn session_settings(config: &PostgresConfig) -> Vec<(&'static str, String)> {
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

fn startup_options(config: &PostgresConfig) -> String {
    let option =
        |(name, value): &(&str, String)| format!("-c {name}={}", value.replace('\\', "\\\\").replace(' ', "\\ "));
    session_settings(config).iter().map(option).collect::<Vec<_>>().join(" ")
}

/// Runs a connection until both sides have closed it.
fn drive<T>(
    mut connection: tokio_postgres::Connection<Stream, T>,
    permit: Arc<OwnedSemaphorePermit>,
    ended: Arc<OnceLock<String>>,
    abandoned: oneshot::Receiver<()>,
    cpu: &Arc<CpuTime>,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(Arc::clone(cpu).measure(async move {
        let farewell = async {
            let _ = abandoned.await;
            sleep(FAREWELL).await;
        };
        let work = async {
            loop {
                match poll_fn(|cx| connection.poll_message(cx)).await {
                    // Notices may quote data; nobody needs them.
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        break error.as_db_error().map_or_else(|| error.to_string(), |said| one_line(said.message()));
                    }
                    None => break String::from("it was closed"),
                }
            }
        };
        let why = tokio::select! {
            why = work => why,
            () = farewell => String::from("the server did not close it in time"),
        };
        let _ = ended.set(why);
        drop(permit);
    }));
}

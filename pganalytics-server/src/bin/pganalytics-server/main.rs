//! The server: a thin shell over the library.

mod args;
mod backups;
mod catalog;
mod files;
mod front;
mod notify;
mod operations;
mod people;
mod reload;
mod serve;
mod show;
mod sql_worker;

use std::{
    fmt,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use pganalytics_core::Secret;
use pganalytics_server::{
    ServerError,
    config::{Config, Gathered, KEYS, Origin, read::Flags},
    ops::backup,
};
use pganalytics_store::{
    StoreError,
    sqlite::{SqliteMetaStore, SqliteOptions, SqliteStore},
};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use self::args::{Args, Command};

/// Where the settings file is looked for when nobody names one.
const DEFAULT_FILE: &str = "/etc/pganalytics/server.toml";

/// Something could not be done.
const FAILED: u8 = 1;
/// The command line or the settings are wrong.
const MISUSED: u8 = 2;

/// Why the program ends, for people, and its exit code.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn new(message: impl fmt::Display) -> Self {
        Self { code: FAILED, message: message.to_string() }
    }

    fn misused(message: impl fmt::Display) -> Self {
        Self { code: MISUSED, message: message.to_string() }
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Setting { .. } | ServerError::Tls(_) => Self::misused(error),
            other => Self::new(other),
        }
    }
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "pganalytics-server: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    if matches!(args.command, Command::SqlWorker) {
        // Before anything that holds a secret is read.
        return sql_worker::run(&args.flags);
    }
    // These need no settings, and make what settings name.
    match &args.command {
        Command::Secrets(command) => return operations::secrets(command),
        Command::Certs(command) => return operations::certs(command),
        _ => {}
    }
    let source = Source { flags: args.flags, file: args.config };
    let gathered = source.gather()?;
    let config = Config::build(&gathered);
    if let Command::Doctor { production, only, host, json } = &args.command {
        let wanted = (*production, only.as_deref(), host.as_deref(), *json);
        return operations::examine(&gathered, &config, wanted);
    }
    let config = config?;
    if let Command::Health { url, ready } = &args.command {
        return operations::health(&config, url.as_deref(), *ready);
    }
    if let Command::Config { json } = args.command {
        return show::config(&gathered, json);
    }
    if let Command::Backups(command) = &args.command {
        return backups::run(&config, command);
    }
    let log = start_log(&config, &args.command)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for key in KEYS.iter().filter(|key| key.secret && gathered.origin(key.name) == Origin::Flag) {
        let (flag, variable) = (key.flag(), key.env.first().copied().unwrap_or_default());
        // An address of a server is a secret only for the password that may be in it.
        if key.name != "monitor" || gathered.all(key.name).iter().any(holds_password) {
            tracing::warn!(
                "every user of this machine can read --{flag} in the list of processes; set {variable} instead"
            );
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("the runtime does not start: {error}")))?;
    let done = runtime.block_on(async {
        match args.command {
            Command::Serve => {
                let reload = reload::Reload::new(source, gathered.clone(), log);
                serve::serve(config, reload).await
            }
            Command::Ui { backend } => front::serve(config, &backend).await,
            Command::MigrateUp => {
                open_metrics(&config.data_dir)?;
                open_meta(&config.data_dir)?;
                say(&format!("the store in {} has this version's shape\n", config.data_dir.display()));
                Ok(())
            }
            Command::OpenApi => show::openapi().await,
            Command::Audit { json } => operations::audit(&config, json).await,
            Command::People(command) => people::run(&config, command).await,
            // Answered above, before there was anything to start.
            _ => Ok(()),
        }
    });
    // A thread that waits for a dead file system must not hold the exit.
    runtime.shutdown_timeout(Duration::from_secs(2));
    done
}

fn holds_password(url: &Secret<String>) -> bool {
    let text = url.expose();
    let authority = text.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    let in_authority =
        authority.and_then(|authority| authority.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'));
    in_authority || text.contains("password=")
}

/// Where the settings are read from, at the start and again on SIGHUP.
struct Source {
    flags: Flags,
    file: Option<PathBuf>,
}

impl Source {
    fn gather(&self) -> Result<Gathered, Failure> {
        let file = settings_file(self.file.as_deref())?;
        Ok(Gathered::read(&self.flags, &|name| std::env::var(name).ok(), file.as_ref())?)
    }
}

fn settings_file(named: Option<&Path>) -> Result<Option<(PathBuf, String)>, Failure> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::misused(format!("the settings file {}: {error}", path.display()))),
    }
}

/// Changes the filter of log lines while the program runs.
type LogFilter = tracing_subscriber::reload::Handle<EnvFilter, tracing_subscriber::Registry>;

/// Logs go to the standard error, results to the standard output.
fn start_log(config: &Config, command: &Command) -> Result<LogFilter, Failure> {
    // Who asks for a token does not want to read how it was made.
    let level = if matches!(command, Command::Serve | Command::Ui { .. }) { config.log_level.as_str() } else { "warn" };
    let (filter, handle) = tracing_subscriber::reload::Layer::new(log_filter(level)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = tracing_subscriber::registry().with(filter);
    if config.log_json {
        log.with(lines.json()).init();
    } else {
        log.with(lines.with_ansi(std::io::stderr().is_terminal())).init();
    }
    Ok(handle)
}

fn log_filter(level: &str) -> Result<EnvFilter, Failure> {
    let directives = if level.contains('=') {
        level.to_owned()
    } else {
        // HTTP/2 warns of each odd frame of a peer: a stranger must not fill the log.
        format!("warn,h2=error,pganalytics_server={level},pganalytics_store={level},pganalytics_collect={level}")
    };
    EnvFilter::try_new(&directives).map_err(|_| {
        Failure::misused(format!(
            "LOG_LEVEL: {level:?} is none of error, warn, info, debug, trace, nor filters as info,pganalytics_store=debug"
        ))
    })
}

/// Opens the metrics of the embedded store, to write them.
fn open_metrics(folder: &Path) -> Result<SqliteStore, Failure> {
    not_half_restored(folder)?;
    SqliteStore::open(folder, SqliteOptions::default()).map_err(|error| cannot_open(folder, &error))
}

/// Opens its users, tokens, collectors and settings; other processes may have them open.
fn open_meta(folder: &Path) -> Result<SqliteMetaStore, Failure> {
    not_half_restored(folder)?;
    SqliteMetaStore::open(folder).map_err(|error| cannot_open(folder, &error))
}

fn not_half_restored(folder: &Path) -> Result<(), Failure> {
    if backup::is_unfinished(folder) {
        // An empty store in its place would be taken for the restored one.
        let folder = folder.display();
        return Err(Failure::new(format!(
            "the data folder {folder}: a restore has not ended; run pganalytics-server restore again"
        )));
    }
    Ok(())
}

fn cannot_open(folder: &Path, error: &StoreError) -> Failure {
    let hint = match error {
        // These say themselves what to do.
        StoreError::Unavailable(_) | StoreError::TooNew { .. } | StoreError::TooOld(_) | StoreError::Corrupt(_) => "",
        _ => "; make the folder writable for this user, or name another one in PGANALYTICS_DATA_DIR",
    };
    Failure::new(format!("the data folder {}: {error}{hint}", folder.display()))
}

/// Prints a result. A reader that went away (`| head`) is no error.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

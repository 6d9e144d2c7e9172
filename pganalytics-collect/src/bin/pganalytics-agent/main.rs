//! The agent: watches PostgreSQL servers and their host and sends what it finds
//! to a pgAnalytics server. A thin shell over the library.

mod args;
mod check;
mod health;
mod list;
mod notify;
mod once;
mod register;
mod run;
mod table;
mod tune;

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use pganalytics_collect::{CollectError, Config, config::Origin, postgres::Environment};
use tracing_subscriber::EnvFilter;

use self::args::{Args, Command};

/// It ran, but something could not be done.
const FAILED: u8 = 1;
/// The command line or the settings are wrong.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let command = args.command.unwrap_or(Command::Run);
    if let Command::Tune(wanted) = &command {
        return tune::tune(wanted, args.json);
    }
    let (json, shows_password) = (args.json, args.shows_password());
    let loaded = args.into_flags().and_then(|flags| Config::load(&flags, &Environment::process()));
    let config = match loaded {
        Ok(config) => config,
        Err(error) => return complain(&error, MISUSED),
    };
    start_log(&config, command);
    if shows_password {
        tracing::warn!(
            "a password in --postgres is seen by every user of this host (ps); use PGPASSWORD, ~/.pgpass or a password_file"
        );
    }
    for error in &config.catalog_errors {
        tracing::error!("a catalog file is left out: {error}");
    }
    match command {
        Command::Config => return list::config(&config, json),
        Command::Health => return health::health(&config),
        Command::Measurements { markdown: true } => return list::page(&config),
        Command::Measurements { markdown: false } => return list::measurements(&config, json),
        Command::Run | Command::Once | Command::Check | Command::Register | Command::Tune(_) => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            say_error(&format!("the runtime does not start: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let code = match command {
        Command::Once => runtime.block_on(once::once(&config, json)),
        Command::Register => runtime.block_on(register::register(&config)),
        Command::Check => runtime.block_on(check::check(&config, json)),
        _ => runtime.block_on(run::run(&config)),
    };
    // A thread that waits for a dead file system must not hold the exit.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

/// Logs go to the standard error, results to the standard output.
fn start_log(config: &Config, command: Command) {
    let is_default = config
        .settings()
        .iter()
        .any(|setting| setting.key == "collector.log_level" && setting.origin == Origin::Default);
    let level = config.log_level.as_str();
    let directives = if is_default && command != Command::Run {
        // Who asks for a table finds in it what went wrong.
        String::from("error,pganalytics_agent=warn")
    } else if level.contains('=') {
        level.to_owned()
    } else {
        format!("warn,pganalytics_collect={level},pganalytics_agent={level}")
    };
    let filter = EnvFilter::try_new(&directives).unwrap_or_else(|_| {
        say_error(&format!("collector.log_level: {level:?} is none of error, warn, info, debug, trace; info is taken"));
        EnvFilter::new("info")
    });
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).init();
}

/// Prints an error and gives the exit code.
fn complain(error: &CollectError, code: u8) -> ExitCode {
    say_error(&error.to_string());
    ExitCode::from(code)
}

fn say_error(message: &str) {
    let _ = writeln!(std::io::stderr(), "pganalytics-agent: {message}");
}

/// Prints a result. A reader that went away (`| head`) is no error.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn say_json(value: &serde_json::Value) {
    say(&format!("{value:#}\n"));
}

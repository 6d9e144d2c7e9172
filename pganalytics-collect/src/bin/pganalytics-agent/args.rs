//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use pganalytics_collect::{CollectError, config::Flags, postgres::PostgresSettings};
use pganalytics_core::Secret;

use super::tune::Tune;

/// Watches PostgreSQL servers and sends what it finds to a pgAnalytics server.
///
/// Settings come from flags, then environment variables, then the settings file
/// (--config, or /etc/pganalytics/agent.toml), then defaults; the command config
/// shows which. A first look at a server:
///
///   pganalytics-agent check --postgres postgres://monitor@db1/postgres
///
/// Exit codes: 0 all went well, 1 something failed, 2 bad usage or settings.
#[derive(Parser)]
#[command(name = "pganalytics-agent", version, verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// The settings file
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// A server to watch, instead of those of the settings file; may be repeated.
    /// Other users of this host see the command line: give passwords in
    /// PGPASSWORD, ~/.pgpass or a password_file, not here
    #[arg(long, value_name = "URL", global = true, verbatim_doc_comment)]
    postgres: Vec<String>,

    #[arg(
        help = "Address of the pgAnalytics server, as https://metrics.example.com",
        long,
        value_name = "URL",
        global = true
    )]
    backend_url: Option<String>,

    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", global = true)]
    log_level: Option<String>,

    /// Any other setting by its name, as collector.interval=30; may be repeated
    #[arg(long, value_name = "NAME=VALUE", global = true)]
    set: Vec<String>,

    /// Print JSON instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Collect and send until told to stop (this is what happens without a command)
    Run,
    /// Collect once, print what was found, send nothing
    Once,
    /// Try everything and say what works, what does not, and what to do
    Check,
    /// Register at the server with its registration secret and keep the token; `run` does it by itself
    Register,
    /// Print the settings that hold, and where each comes from; secrets are masked
    Config,
    /// List what can be collected
    Measurements {
        /// As a page to read, with every column
        #[arg(long)]
        markdown: bool,
    },
    /// Ask the agent that runs here whether it is well; for health checks of containers and units
    Health,
    /// Print settings for a PostgreSQL server of this size; nothing is changed
    Tune(Tune),
}

impl Args {
    /// Whether a password stands on the command line, where `ps` shows it.
    pub(crate) fn shows_password(&self) -> bool {
        let shows = |url: &String| PostgresSettings::from_url(url).is_ok_and(|server| server.password.is_some());
        self.postgres.iter().any(shows)
    }

    pub(crate) fn into_flags(self) -> Result<Flags, CollectError> {
        let mut flags = Flags { file: self.config, ..Flags::default() };
        flags.postgres = self.postgres.into_iter().map(Secret::new).collect();
        for pair in self.set {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(CollectError::Config {
                    key: String::from("--set"),
                    message: format!("{pair:?} is not NAME=VALUE; write as collector.interval=30"),
                });
            };
            flags.set.insert(name.trim().to_owned(), value.to_owned());
        }
        let named = [("backend.url", self.backend_url), ("collector.log_level", self.log_level)];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        flags.set.extend(named);
        Ok(flags)
    }
}

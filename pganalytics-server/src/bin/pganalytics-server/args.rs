//! The command line. Flags are made from the table of settings, so that every
//! setting has one.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use pganalytics_server::{
    auth::scope::Scope,
    config::{KEYS, Key, read::Flags},
    ops::{certs::Request, private_file::Owner},
};
use pganalytics_store::meta_store::Role;

use super::{backups, operations};

const ABOUT: &str = "Takes in, keeps and shows what agents collect from PostgreSQL servers";
const AFTER: &str = "\
Settings come from flags, then environment variables, then the settings file
(--config, or /etc/pganalytics/server.toml), then defaults; the command config
shows which.

Exit codes: 0 all went well, 1 something failed, 2 bad usage or settings.";

/// What the command line says.
pub(crate) struct Args {
    pub(crate) command: Command,
    pub(crate) config: Option<PathBuf>,
    pub(crate) flags: Flags,
}

pub(crate) enum Command {
    Serve,
    Config {
        json: bool,
    },
    OpenApi,
    /// Started by `serve`.
    SqlWorker,
    People(People),
    Health {
        url: Option<String>,
        ready: bool,
    },
    Doctor {
        production: bool,
        only: Option<String>,
        host: Option<String>,
        json: bool,
    },
    Secrets(Secrets),
    Certs(Certs),
    Backups(Backups),
    Audit {
        json: bool,
    },
    MigrateUp,
    /// The page alone.
    Ui {
        backend: String,
    },
}

/// Commands about secrets.
pub(crate) enum Secrets {
    Init { folder: PathBuf, readers: Vec<String>, owner: Option<Owner> },
    Show { folder: PathBuf, name: String },
}

/// Commands about certificates.
pub(crate) enum Certs {
    Ca { folder: PathBuf, name: String, renew: bool },
    Issue { ca: PathBuf, folder: PathBuf, request: Request },
    Show { file: PathBuf },
    Check { certificate: PathBuf, key: PathBuf, ca: Option<PathBuf>, host: Option<String>, reader: Option<Owner> },
}

/// Commands about backups of the embedded store.
pub(crate) enum Backups {
    Make { output: Option<PathBuf>, keep: Option<usize>, verify: bool },
    Restore { file: PathBuf, replace: bool },
    Check { file: PathBuf },
}

/// Commands about users and tokens.
pub(crate) enum People {
    AddUser { name: String, role: Role },
    ResetPassword { name: String },
    AddToken { user: String, name: String, scopes: Vec<Scope> },
    ListKeys,
    RotateKeys,
}

impl Args {
    pub(crate) fn parse() -> Self {
        let matches = command().get_matches();
        let mut flags = Flags::new();
        for key in KEYS {
            // Given before the command or behind it: clap hands global flags down.
            if let Some(values) = matches.get_many::<String>(key.name) {
                flags.insert(key.name.to_owned(), values.cloned().collect());
            }
            let file = key.file_name();
            if key.secret
                && let Some(path) = matches.get_one::<String>(&file)
            {
                flags.insert(file, vec![path.clone()]);
            }
        }
        Self { command: chosen(&matches), config: matches.get_one("config").cloned(), flags }
    }
}

fn chosen(matches: &ArgMatches) -> Command {
    let text = |matches: &ArgMatches, name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    match matches.subcommand() {
        Some(("config", matches)) => Command::Config { json: matches.get_flag("json") },
        Some(("openapi", _)) => Command::OpenApi,
        Some(("sql-worker", _)) => Command::SqlWorker,
        Some((name @ ("health" | "doctor" | "secrets" | "certs" | "audit"), matches)) => {
            operations::chosen(name, matches)
        }
        Some((name @ ("backup" | "restore"), matches)) => backups::chosen(name, matches),
        Some(("migrate", _)) => Command::MigrateUp,
        Some(("ui", matches)) => Command::Ui { backend: text(matches, "backend") },
        Some(("user", matches)) => Command::People(match matches.subcommand() {
            Some(("add", matches)) => People::AddUser {
                name: text(matches, "name"),
                role: matches.get_one("role").copied().unwrap_or(Role::Viewer),
            },
            Some((_, matches)) => People::ResetPassword { name: text(matches, "name") },
            // clap demands one of them.
            None => People::ResetPassword { name: String::new() },
        }),
        Some(("key", matches)) => Command::People(match matches.subcommand_name() {
            Some("rotate") => People::RotateKeys,
            _ => People::ListKeys,
        }),
        Some(("token", matches)) => {
            let add = matches.subcommand_matches("add").unwrap_or(matches);
            Command::People(People::AddToken {
                user: text(add, "user"),
                name: text(add, "name"),
                scopes: add.get_many("scope").map(|scopes| scopes.copied().collect()).unwrap_or_default(),
            })
        }
        _ => Command::Serve,
    }
}

fn command() -> clap::Command {
    let name = || Arg::new("name").value_name("NAME").required(true);
    let user = clap::Command::new("user")
        .about("Manage users, also beside the running server")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(clap::Command::new("add").about("Add a user; prints the random password").arg(name()).arg(
            Arg::new("role").long("role").value_parser(role).default_value("viewer").help("viewer, user or admin"),
        ))
        .subcommand(
            clap::Command::new("reset-password").about("Give a user a new random password, and print it").arg(name()),
        );
    let token = clap::Command::new("token")
        .about("Manage API tokens, also beside the running server")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            clap::Command::new("add")
                .about("Make a token that acts as a user; it is printed once")
                .arg(name())
                .arg(Arg::new("user").long("user").default_value("admin").help("The user that it acts as"))
                .arg(
                    Arg::new("scope")
                        .long("scope")
                        .value_parser(|text: &str| text.parse::<Scope>())
                        .action(ArgAction::Append)
                        .default_value("push")
                        .help("push, read, write, admin or annotate; may be given several times"),
                ),
        );
    let key = clap::Command::new("key")
        .about("Manage the keys that log-ins are signed with, beside a running server")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(clap::Command::new("list").about("Print their names and how long they are taken"))
        .subcommand(
            clap::Command::new("rotate").about("Make a new key; log-ins of the one before stay valid until they end"),
        );
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON instead of a table");
    clap::Command::new("pganalytics-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER)
        .max_term_width(100)
        .subcommand(clap::Command::new("serve").about("Serve until told to stop (what happens without a command)"))
        .subcommand(
            clap::Command::new("config")
                .about("Print the settings that hold, and where each comes from; secrets are masked")
                .arg(json),
        )
        .subcommand(clap::Command::new("openapi").about("Print the API's description (OpenAPI 3.1)"))
        .subcommand(clap::Command::new("sql-worker").about("Run SQL for a server that started this").hide(true))
        .subcommand(
            clap::Command::new("migrate")
                .about("Bring the store into this version's shape, while the server does not run; a start does it too")
                .subcommand_required(true)
                .arg_required_else_help(true)
                .subcommand(clap::Command::new("up").about("Do it")),
        )
        .subcommand(
            clap::Command::new("ui")
                .about("Serve the web UI alone, in front of a server elsewhere; it keeps nothing and needs no secret")
                .arg(
                    Arg::new("backend")
                        .long("backend")
                        .value_name("URL")
                        .required(true)
                        .help("The server, as http://backend:8080; it must trust this address as a proxy"),
                ),
        )
        .subcommand(user)
        .subcommand(token)
        .subcommand(key)
        .subcommands(operations::commands())
        .subcommands(backups::commands())
        .arg(
            Arg::new("config")
                .long("config")
                .short('c')
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .global(true)
                .help("The settings file"),
        )
        .args(KEYS.iter().map(flag))
        .args(KEYS.iter().filter(|key| key.secret).map(file_flag))
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "viewer" => Ok(Role::Viewer),
        "user" => Ok(Role::User),
        "admin" => Ok(Role::Admin),
        other => Err(format!("{other:?} is no role; there are viewer, user, admin")),
    }
}

fn file_flag(key: &'static Key) -> Arg {
    let env: Vec<String> = key.env.iter().map(|name| format!("{name}_FILE")).collect();
    let help = format!("File that holds {} [env: {}]", key.name, env.join(", "));
    Arg::new(key.file_name()).long(format!("{}-file", key.flag())).value_name("FILE").help(help).global(true)
}

fn flag(key: &'static Key) -> Arg {
    let mut help = format!("{} [env: {}]", key.doc, key.env.join(", "));
    if !key.default.is_empty() && !key.is_switch() {
        help += &format!(" [default: {}]", key.default);
    }
    let arg = Arg::new(key.name).long(key.flag()).help(help).global(true);
    if key.is_switch() {
        // `--setup` and `--setup=false` both work.
        return arg.value_name("BOOL").num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    if key.is_list() { arg.value_name("VALUE").action(ArgAction::Append) } else { arg.value_name("VALUE") }
}

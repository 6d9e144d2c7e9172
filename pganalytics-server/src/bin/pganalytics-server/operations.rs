//! `health`, `doctor`, `secrets`, `certs` and `audit`: their flags, and what they print.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command as Clap, value_parser};
use pganalytics_server::{
    ServerError,
    config::{Config, Gathered},
    ops::{
        audit::Audit,
        certs::{self, MAX_DAYS, Request},
        doctor::{self, Outcome, Patient},
        local::LocalServer,
        private_file::Owner,
        secrets,
    },
};
use pganalytics_store::sqlite::SqliteReader;
use serde_json::json;

use super::{
    FAILED, Failure, MISUSED,
    args::{Certs, Command, Secrets},
    say,
};

const SECRETS_FOLDER: &str = "/etc/pganalytics/secrets";

pub(crate) fn commands() -> Vec<Clap> {
    let text = |name: &'static str| Arg::new(name).long(name);
    let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let path = |name: &'static str| text(name).value_parser(value_parser!(PathBuf));
    let owner = || text("owner").value_name("UID:GID").value_parser(|text: &str| text.parse::<Owner>());
    let folder = || path("dir").value_name("DIR").default_value(SECRETS_FOLDER).help("Folder of the secrets");
    let health = Clap::new("health")
        .about("Ask the server that runs here with these settings whether it is well; for health checks")
        .arg(text("url").value_name("URL").help("Ask this address instead, as http://127.0.0.1:3000/"))
        .arg(switch("ready").help("Whether it takes requests: not while it is about to stop"));
    let doctor = Clap::new("doctor")
        .about("Look at settings, certificates, disk and the running server, and say what to mend")
        .arg(switch("production").help("Also fail what production demands"))
        .arg(text("only").value_name("ID").help("One check, or one group of them as tls"))
        .arg(text("host").value_name("NAME").help("What clients call the server"))
        .arg(switch("json").help("Print JSON instead of a table"));
    let secrets = Clap::new("secrets")
        .about("Make the secrets of an installation")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Clap::new("init")
                .about("Make what is missing, at random; what is there stays. Prints names, no values")
                .arg(folder())
                .arg(
                    text("for")
                        .value_name("READER")
                        .action(ArgAction::Append)
                        .help("Only those of server, collector, postgres, timescale or grafana"),
                )
                .arg(owner().help("Give the files to this user instead of those of the images")),
        )
        .subcommand(
            Clap::new("show")
                .about("Print one secret, as: secrets show admin")
                .arg(folder())
                .arg(Arg::new("name").value_name("NAME").required(true)),
        );
    let certs = Clap::new("certs")
        .about("Make and check certificates of an authority of your own")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Clap::new("ca")
                .about("Make an authority: ca.crt, ca.key (keep it private)")
                .arg(path("dir").value_name("DIR").required(true).help("Where it is made"))
                .arg(text("name").default_value("pgAnalytics CA").help("Its name"))
                .arg(switch("renew").help("Replace the one that is there: all its certificates end with it")),
        )
        .subcommand(
            Clap::new("issue")
                .about("Make a certificate and its key: NAME.crt, NAME.key, and a copy of ca.crt")
                .arg(path("ca").value_name("DIR").required(true).help("Folder of ca.crt and ca.key"))
                .arg(path("dir").value_name("DIR").required(true).help("Where it is made"))
                .arg(text("name").default_value("server").help("Name of its files"))
                .arg(
                    text("host")
                        .action(ArgAction::Append)
                        .value_name("HOST")
                        .help("Name or address that clients use; may be given several times"),
                )
                .arg(switch("client").help("It is a client's"))
                .arg(text("days").value_parser(value_parser!(u16)).help(format!("Its life [default: {MAX_DAYS}]")))
                .arg(owner().help("Give the files to this user, as 999:999 for PostgreSQL's image"))
                .arg(text("mode").default_value("0600").value_parser(mode).help("Mode of the key, as 0640"))
                .arg(switch("renew").help("Replace the one that is there")),
        )
        .subcommand(
            Clap::new("show")
                .about("Print what a certificate says")
                .arg(Arg::new("file").required(true).value_parser(value_parser!(PathBuf))),
        )
        .subcommand(
            Clap::new("check")
                .about("Say what is wrong with a server's certificate, or nothing")
                .arg(path("cert").value_name("FILE").required(true))
                .arg(path("key").value_name("FILE").required(true))
                .arg(path("ca").value_name("FILE").help("What clients trust"))
                .arg(text("host").value_name("HOST").help("What clients call the server"))
                .arg(
                    text("reader")
                        .value_name("UID:GID")
                        .value_parser(|text: &str| text.parse::<Owner>())
                        .help("User that has to read the key"),
                ),
        );
    let audit = Clap::new("audit")
        .about(
            "Say of each agent's stream which frames are stored, declared lost, or missing; beside the running server",
        )
        .arg(switch("json").help("Print JSON instead of a table"));
    vec![health, doctor, secrets, certs, audit]
}

pub(crate) fn chosen(name: &str, matches: &ArgMatches) -> Command {
    let text = |matches: &ArgMatches, name: &str| matches.get_one::<String>(name).cloned();
    let path = |matches: &ArgMatches, name: &str| matches.get_one::<PathBuf>(name).cloned();
    let owner = |matches: &ArgMatches, name: &str| matches.get_one::<Owner>(name).copied();
    match (name, matches.subcommand()) {
        ("doctor", _) => Command::Doctor {
            production: matches.get_flag("production"),
            only: text(matches, "only"),
            host: text(matches, "host"),
            json: matches.get_flag("json"),
        },
        ("audit", _) => Command::Audit { json: matches.get_flag("json") },
        ("secrets", Some(("show", matches))) => Command::Secrets(Secrets::Show {
            folder: path(matches, "dir").unwrap_or_default(),
            name: text(matches, "name").unwrap_or_default(),
        }),
        ("secrets", Some((_, matches))) => Command::Secrets(Secrets::Init {
            folder: path(matches, "dir").unwrap_or_default(),
            readers: matches.get_many("for").map(|names| names.cloned().collect()).unwrap_or_default(),
            owner: owner(matches, "owner"),
        }),
        ("certs", Some(("ca", matches))) => Command::Certs(Certs::Ca {
            folder: path(matches, "dir").unwrap_or_default(),
            name: text(matches, "name").unwrap_or_default(),
            renew: matches.get_flag("renew"),
        }),
        ("certs", Some(("show", matches))) => {
            Command::Certs(Certs::Show { file: path(matches, "file").unwrap_or_default() })
        }
        ("certs", Some(("check", matches))) => Command::Certs(Certs::Check {
            certificate: path(matches, "cert").unwrap_or_default(),
            key: path(matches, "key").unwrap_or_default(),
            ca: path(matches, "ca"),
            host: text(matches, "host"),
            reader: owner(matches, "reader"),
        }),
        ("certs", Some((_, matches))) => {
            let mut request = Request::server(&text(matches, "name").unwrap_or_default(), &[]);
            request.hosts = matches.get_many("host").map(|hosts| hosts.cloned().collect()).unwrap_or_default();
            request.is_client = matches.get_flag("client");
            request.days = matches.get_one("days").copied().unwrap_or(MAX_DAYS);
            request.owner = owner(matches, "owner");
            request.mode = matches.get_one("mode").copied().unwrap_or(0o600);
            request.renew = matches.get_flag("renew");
            Command::Certs(Certs::Issue {
                ca: path(matches, "ca").unwrap_or_default(),
                folder: path(matches, "dir").unwrap_or_default(),
                request,
            })
        }
        _ => Command::Health { url: text(matches, "url"), ready: matches.get_flag("ready") },
    }
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text.trim_start_matches("0o"), 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| format!("{text:?} is no mode; write as 0640"))
}

pub(crate) fn health(config: &Config, url: Option<&str>, ready: bool) -> Result<(), Failure> {
    const READY: &str = "/api/v1/health/ready";
    let (server, path) = match url {
        Some(url) => LocalServer::at(url, config).map_err(Failure::misused)?,
        None => {
            let path = if ready { READY } else { "/api/v1/health" };
            (LocalServer::of(config).map_err(Failure::new)?, path.to_owned())
        }
    };
    let mut answer = server.get(&path, None).map_err(Failure::new)?;
    if answer.status == 429 && url.is_none() {
        // Others from here have asked too often; probes are not counted.
        answer = server.get(READY, None).map_err(Failure::new)?;
    }
    match answer.status {
        200..=399 => Ok(()),
        status => {
            let address = server.address();
            let body: String = answer.body.chars().take(300).collect();
            Err(Failure::new(format!("{address}{path} answers {status}: {}", body.trim())))
        }
    }
}

pub(crate) fn examine(
    gathered: &Gathered,
    config: &Result<Config, ServerError>,
    (production, only, host, as_json): (bool, Option<&str>, Option<&str>, bool),
) -> Result<(), Failure> {
    let mut patient = Patient::new(gathered, config);
    patient.production = production;
    patient.host = host;
    let findings = doctor::examine(&patient, only);
    if let Some(only) = only.filter(|_| findings.is_empty()) {
        let known: Vec<&str> = doctor::CHECKS.iter().map(|check| check.id).collect();
        return Err(Failure::misused(format!("there is no check {only:?}; there are {}", known.join(", "))));
    }
    let count = |outcome| findings.iter().filter(|finding| finding.outcome == outcome).count();
    let (passed, skipped, warned, failed) =
        (count(Outcome::Pass), count(Outcome::Skip), count(Outcome::Warn), count(Outcome::Fail));
    if as_json {
        let shown = json!({
            "findings": findings, "passed": passed, "skipped": skipped, "warned": warned, "failed": failed,
        });
        say(&format!("{shown:#}\n"));
    } else {
        for finding in &findings {
            say(&format!("{:4}  {:18}  {}\n", finding.outcome, finding.id, finding.seen));
            if finding.outcome >= Outcome::Warn {
                say(&format!("{:26}-> {}\n", "", finding.todo()));
            }
        }
        say(&format!("{passed} passed, {skipped} not looked at, {warned} warnings, {failed} failed\n"));
    }
    if failed == 0 { Ok(()) } else { Err(Failure::new(format!("{failed} checks failed"))) }
}

pub(crate) fn secrets(command: &Secrets) -> Result<(), Failure> {
    match command {
        Secrets::Init { folder, readers, owner } => {
            for kept in secrets::init(folder, readers, *owner).map_err(Failure::new)? {
                say(&format!("{:8}  {}\n", if kept.is_new { "made" } else { "was there" }, kept.name));
            }
        }
        Secrets::Show { folder, name } => {
            let secret = secrets::show(folder, name).map_err(Failure::new)?;
            say(&format!("{}\n", secret.expose()));
        }
    }
    Ok(())
}

pub(crate) fn certs(command: &Certs) -> Result<(), Failure> {
    match command {
        Certs::Ca { folder, name, renew } => {
            let made = certs::make_ca(folder, name, *renew).map_err(Failure::new)?;
            say(&format!("made {}; its key is beside it, keep it private\n", made.display()));
        }
        Certs::Issue { ca, folder, request } => {
            let made = certs::issue(ca, folder, request).map_err(|error| match &error {
                certs::CertsError::Request(_) => Failure { code: MISUSED, message: error.to_string() },
                _ => Failure::new(error),
            })?;
            say(&format!("made {} for {}\n", made.display(), request.hosts.join(", ")));
        }
        Certs::Show { file } => {
            let facts = certs::show(file).map_err(Failure::new)?;
            say(&format!(
                "subject    {}\nissuer     {}\nhosts      {}\nends       in {} days\nauthority  {}\n",
                facts.subject,
                facts.issuer,
                facts.hosts.join(", "),
                facts.days_left,
                if facts.is_ca { "yes" } else { "no" }
            ));
        }
        Certs::Check { certificate, key, ca, host, reader } => {
            let faults = certs::faults(certificate, key, ca.as_deref(), host.as_deref(), *reader);
            let faults = faults.map_err(Failure::new)?;
            if !faults.is_empty() {
                return Err(Failure { code: FAILED, message: faults.join("\n") });
            }
            say(&format!("{} is good\n", certificate.display()));
        }
    }
    Ok(())
}

pub(crate) async fn audit(config: &Config, json: bool) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("the data folder {}: {error}", config.data_dir.display()));
    let store = SqliteReader::open(&config.data_dir).map_err(failed)?;
    let audit = Audit::new(store.stream_accounts().await.map_err(failed)?);
    say(&if json { format!("{:#}\n", audit.to_json()) } else { audit.to_string() });
    if audit.is_clean() { Ok(()) } else { Err(Failure::new("frames are missing")) }
}

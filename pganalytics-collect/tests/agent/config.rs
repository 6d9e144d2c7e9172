//! Where settings come from, and what is said about wrong ones.

use std::{collections::BTreeMap, io, path::Path, time::Duration};

use pganalytics_collect::{
    CollectError, Config,
    config::{Flags, Origin},
    delivery::Backlog,
    postgres::{Environment, PasswordSource, PostgresConfig},
};
use pganalytics_core::{Secret, catalog::Catalog};

/// Settings from a file's text, variables and `name=value` flags.
fn load(file: &str, variables: &[(&str, &str)], set: &[(&str, &str)]) -> Result<Config, CollectError> {
    let set: BTreeMap<_, _> = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load_with(file, variables, &Flags { file: Some("agent.toml".into()), set, ..Flags::default() })
}

fn load_with(file: &str, variables: &[(&str, &str)], flags: &Flags) -> Result<Config, CollectError> {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    let environment = Environment::new(
        move |name| {
            variables.get(name).map(|value| (*value).to_owned()).or_else(|| (name == "USER").then(|| "me".into()))
        },
        move |path| match path == Path::new("agent.toml") {
            true => Ok(file.to_owned()),
            false => Err(io::ErrorKind::NotFound.into()),
        },
    );
    Config::load(flags, &environment)
}

fn origin(config: &Config, key: &str) -> String {
    config.settings().iter().find(|setting| setting.key == key).unwrap().origin.to_string()
}

fn error(file: &str) -> String {
    load(file, &[], &[]).unwrap_err().to_string()
}

#[test]
fn flag_before_environment_before_file_before_default() {
    let file = "[backend]\nurl = \"http://file\"\n[collector]\nbuffer_size = 1000\npush_interval = \"500ms\"\n";
    let environment = [("BACKEND_URL", "http://environment"), ("METRICS_BUFFER_SIZE", "2000")];
    let url = |config: &Config| config.backend.as_ref().unwrap().url.clone();

    let config = load(file, &environment, &[("backend.url", "http://flag")]).unwrap();
    assert_eq!((url(&config), origin(&config, "backend.url")), ("http://flag".into(), "--backend-url".into()));
    let config = load(file, &environment, &[]).unwrap();
    assert_eq!((url(&config), origin(&config, "backend.url")), ("http://environment".into(), "BACKEND_URL".into()));
    assert_eq!((config.buffer_size, config.push_interval), (2000, Duration::from_millis(500)));
    let config = load(file, &[("BACKEND_URL", "")], &[]).unwrap();
    assert_eq!((url(&config), origin(&config, "backend.url")), ("http://file".into(), "agent.toml:2".into()));
    let config = load("", &[], &[]).unwrap();
    assert!(config.backend.is_none());
    assert_eq!((config.buffer_size, origin(&config, "collector.buffer_size")), (104_857_600, "default".into()));
}

#[test]
fn what_of_a_backlog_goes_first_is_a_choice_of_two() {
    assert_eq!(load("", &[], &[]).unwrap().backlog, Backlog::OldestFirst);
    assert_eq!(load("[collector]\nbacklog = \"newest_first\"\n", &[], &[]).unwrap().backlog, Backlog::NewestFirst);
    let error = error("[collector]\nbacklog = \"newest\"\n");
    assert!(error.contains("agent.toml:2") && error.contains("oldest_first or newest_first"), "{error}");
}

#[test]
fn every_setting_of_the_contract_is_known() {
    let file = r#"
        [collector]
        id = "col_demo_001"
        name = "n"
        hostname = "h"
        interval = 60
        push_interval = 60
        config_pull_interval = 300
        data_dir = "/d"
        [backend]
        url = "https://x"
        timeout = 30
        retry = { initial = 0.5, max = 60, jitter = true }
        [tls]
        verify = true
        ca_file = "/ca"
        cert_file = "/cert"
        key_file = "/key"
        [[postgres]]
        name = "main"
        host = "h"
        port = 5433
        user = "u"
        password = "p"
        databases = ["a", "b"]
        sslmode = "require"
        [[postgres]]
        name = "second"
        host = "h2"
        password_file = "/pw"
        [pg_stats]
        enabled = true
        interval = 60
        [sysstat]
        enabled = true
        [disk_usage]
        enabled = true
        interval = "5m"
        [pg_log]
        enabled = true
        [exporter]
        listen = "127.0.0.1:9187"
    "#;
    let environment = [
        ("COLLECTOR_ID", "col_001"),
        ("COLLECTOR_NAME", "c"),
        ("BACKEND_URL", "https://b"),
        ("BACKEND_TLS_VERIFY", "true"),
        ("COLLECTION_INTERVAL", "30"),
        ("METRICS_BUFFER_SIZE", "5"),
        ("REGISTRATION_SECRET", "s"),
        ("LOG_LEVEL", "debug"),
        ("ENVIRONMENT", "production"),
    ];
    let config = load(file, &environment, &[]).unwrap();
    assert_eq!((config.name.as_deref(), config.log_level.as_str(), config.postgres.len()), (Some("c"), "debug", 2));
    let disk = Catalog::builtin().get("disk_usage").unwrap();
    assert_eq!(config.plan.interval_of(disk), Some(Duration::from_secs(300)));
}

#[test]
fn unknown_keys_are_named_with_their_file_and_line() {
    for (file, wanted) in [
        (
            "[collector]\nintervall = 5\n",
            "agent.toml:2: collector.intervall: there is no such setting; did you mean collector.interval?",
        ),
        (
            "\n[colector]\nname = \"x\"\n",
            "agent.toml:2: colector: there is no such table and no such measurement; did you mean collector?",
        ),
        ("[backend.retry]\nmaximum = 3\n", "agent.toml:2: backend.retry.maximum: there is no such setting"),
        (
            "[pg_stats]\nevery = 3\n",
            "agent.toml:2: pg_stats.every: there is no such setting; a measurement has enabled and interval",
        ),
        ("[postgres]\nhost = \"x\"\n", "agent.toml:1: postgres: it is a list; write [[postgres]]"),
        ("[collector]\ninterval = \"soon\"\n", "agent.toml:2: collector.interval: \"soon\" is not a length of time"),
        ("[tls]\ncert_file = \"/c\"\n", "agent.toml:2: tls.cert_file: tls.key_file belongs to it and is missing"),
        ("a = = 1\n", "agent.toml:1: "),
    ] {
        let error = error(file);
        assert!(error.starts_with(wanted), "{error}\n{wanted}");
        assert!(!error.contains('\n'), "{error}");
    }
    let of_server = error("[[postgres]]\nhost = \"x\"\n[[postgres]]\nhost = \"y\"\npasword = \"hunter2\"\n");
    assert!(of_server.starts_with("agent.toml:5: postgres: unknown field `pasword`"), "{of_server}");
    let of_flag = load("", &[], &[("collector.intervall", "5")]).unwrap_err().to_string();
    assert!(of_flag.contains("did you mean collector.interval?"), "{of_flag}");
    let of_variable = load("", &[("METRICS_BUFFER_SIZE", "much")], &[]).unwrap_err().to_string();
    assert_eq!(of_variable, "METRICS_BUFFER_SIZE: \"much\" is not a number of bytes");
}

#[test]
fn certificates_are_verified_in_production() {
    let unverified = [("BACKEND_TLS_VERIFY", "false"), ("BACKEND_URL", "https://x")];
    assert!(!load("", &unverified, &[]).unwrap().backend.unwrap().verify);
    let in_production = [unverified[0], unverified[1], ("ENVIRONMENT", "production")];
    let error = load("", &in_production, &[]).unwrap_err().to_string();
    assert!(error.starts_with("BACKEND_TLS_VERIFY: ") && error.contains("ca_file"), "{error}");
}

#[test]
fn variables_make_a_server_and_win_over_the_only_one_of_the_file() {
    let variables = [
        ("POSTGRES_HOST", "db"),
        ("POSTGRES_PORT", "5433"),
        ("POSTGRES_USER", "u"),
        ("POSTGRES_PASSWORD", "@:/#'& x"),
        ("POSTGRES_DATABASES", "a, b,"),
    ];
    let config = load("", &variables, &[]).unwrap();
    let server = &config.postgres[0];
    assert_eq!((&*server.name, server.user.as_str(), server.databases.len()), ("db:5433", "u", 2));
    assert!(matches!(&server.password, PasswordSource::Given(password) if password.expose() == "@:/#'& x"));

    let one = "[[postgres]]\nname = \"main\"\nhost = \"file\"\nuser = \"of_file\"\n";
    let config = load(one, &[("POSTGRES_USER", "of_variable")], &[]).unwrap();
    assert_eq!((&*config.postgres[0].name, config.postgres[0].user.as_str()), ("main", "of_variable"));
    assert_eq!(origin(&config, "postgres.main.user"), "POSTGRES_USER");
    assert_eq!(origin(&config, "postgres.main.host"), "agent.toml:3");

    let two = format!("{one}[[postgres]]\nname = \"other\"\nhost = \"x\"\n");
    let error = load(&two, &[("POSTGRES_USER", "u")], &[]).unwrap_err().to_string();
    assert!(error.starts_with("POSTGRES_USER: the settings file has 2 servers"), "{error}");
    assert_eq!(load("", &[("PGHOST", "libpq")], &[]).unwrap().postgres.len(), 1);
    assert!(load("", &[], &[]).unwrap().postgres.is_empty());
}

#[test]
fn servers_on_the_command_line_replace_those_of_the_file() {
    let file = "[[postgres]]\nname = \"main\"\nhost = \"file\"\n";
    let url = |text: &str| Secret::new(text.to_owned());
    let mut flags = Flags { file: Some("agent.toml".into()), ..Flags::default() };
    flags.postgres = vec![url("postgres://u@a/x"), url("postgres://u@b/x")];
    let config = load_with(file, &[("POSTGRES_PASSWORD", "shared")], &flags).unwrap();
    assert_eq!(config.postgres.iter().map(|server| &*server.name).collect::<Vec<_>>(), ["a:5432", "b:5432"]);
    assert!(config.postgres.iter().all(|server| matches!(&server.password, PasswordSource::Given(_))));
    flags.postgres = vec![url("postgres://u@a/x"), url("postgres://u@a/x")];
    let error = load_with("", &[], &flags).unwrap_err().to_string();
    assert!(error.contains("two servers a:5432; give each a name of its own"), "{error}");
}

#[test]
fn intervals_of_measurements_groups_and_all() {
    let file = "[collector]\ninterval = 30\n[sysstat]\ninterval = 15\n[sysstat_net]\nenabled = false\n[pg_up]\ninterval = 0.5\n";
    let config = load(file, &[], &[]).unwrap();
    let interval = |name: &str| {
        config.plan.interval_of(Catalog::builtin().get(name).unwrap()).map(|interval| interval.as_millis())
    };
    assert_eq!(interval("disk_usage"), Some(30_000), "the standard interval");
    assert_eq!(
        (interval("sysstat"), interval("sysstat_disk"), interval("sysstat_net")),
        (Some(15_000), Some(15_000), None)
    );
    assert_eq!(interval("pg_up"), Some(500));
    let unset = load("", &[], &[]).unwrap();
    assert_eq!(unset.plan.interval_of(Catalog::builtin().get("pg_up").unwrap()), Some(Duration::from_secs(10)));
}

#[test]
fn catalog_files_of_the_user_are_taken_and_bad_ones_named() {
    let folder = tempfile::tempdir().unwrap();
    let good = "name = \"app_orders\"\nscope = \"database\"\n[[query]]\nsql = \"select 1::int8 as n\"\n[[column]]\nname = \"n\"\nkind = \"gauge\"\ntype = \"int\"\n";
    std::fs::write(folder.path().join("good.toml"), good).unwrap();
    std::fs::write(folder.path().join("bad.toml"), "name = \"Bad\"\n").unwrap();
    let file = format!("[collector]\ncatalog_dir = {:?}\n[app_orders]\ninterval = 5\n", folder.path());
    let config = load(&file, &[], &[]).unwrap();
    let orders = config.catalog.get("app_orders").unwrap();
    assert_eq!(config.plan.interval_of(orders), Some(Duration::from_secs(5)));
    assert_eq!(config.catalog_errors.len(), 1);
    assert!(config.catalog_errors[0].to_string().contains("bad.toml:1: name: "), "{:?}", config.catalog_errors);
}

#[test]
fn origins_are_compared_not_only_printed() {
    let config = load("", &[], &[]).unwrap();
    assert!(config.settings().iter().all(|setting| setting.origin == Origin::Default));
}

#[test]
fn poolers_and_backups_are_lists_of_their_own() {
    let file = "[[pgbouncer]]\nname = \"front\"\nhost = \"p1\"\nuser = \"m\"\npassword = \"hush\"\n\
                [[pgbouncer]]\nhost = \"p2\"\nport = 7000\n[[pgbackrest]]\nstanza = \"main\"\n";
    let config = load(file, &[("PGHOST", ""), ("PGPASSWORD", "of the server")], &[]).unwrap();
    let addresses: Vec<_> = config.pgbouncer.iter().map(PostgresConfig::address).collect();
    assert_eq!(addresses, ["p1:6432", "p2:7000"]);
    assert_eq!(origin(&config, "pgbouncer.front.host"), "agent.toml:3");
    assert_eq!(origin(&config, "pgbackrest.this host.timeout"), "default");
    assert!(!format!("{config:?} {:?}", config.settings()).contains("hush"));
    let names: Vec<_> = config.others().iter().map(|other| other.name().to_owned()).collect();
    assert_eq!(names[..2], ["pgbouncer front", "pgbouncer p2:7000"]);
    assert!(names[2].starts_with("pgbackrest "), "{names:?}");

    for (file, words) in [
        ("[[pgbouncer]]\nhots = \"x\"\n", "agent.toml:2: pgbouncer"),
        ("[[pgbouncer]]\ndatabases = [\"a\"]\n", "pgbouncer.databases: "),
        ("[pgbouncer]\nhost = \"x\"\n", "it is a list; write [[pgbouncer]]"),
        ("[[pgbouncer]]\nname = \"a\"\n[[pgbouncer]]\nname = \"a\"\n", "there are two poolers a"),
        ("[[pgbackrest]]\n[[pgbackrest]]\n", "there are two [[pgbackrest]] of this host"),
        ("[[pgbackrest]]\ncommand = \"pgbackrest\"\n", "pgbackrest"),
        ("[[pgbackrest]]\ntimeout = 0\n", "pgbackrest.timeout: "),
        ("[[pgbounced]]\n", "did you mean pgbouncer?"),
    ] {
        let error = error(file);
        assert!(error.contains(words), "{error}");
    }
}

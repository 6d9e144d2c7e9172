#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{collections::HashMap, io, path::Path};

use super::{
    config::{Host, PasswordSource, PostgresConfig, SslMode},
    *,
};

const CANARY: &str = "c4n4ry-Pa55";

fn password(config: &PostgresConfig) -> &str {
    match &config.password {
        PasswordSource::Given(password) => password.expose(),
        other => panic!("no password but {other:?}"),
    }
}

fn resolved(url: &str) -> PostgresConfig {
    PostgresSettings::from_url(url).unwrap().resolve(&Environment::empty()).unwrap()
}

fn with(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Environment<'static> {
    let own = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let (variables, files) = (own(variables), own(files));
    Environment::new(
        move |name| variables.get(name).cloned(),
        move |path: &Path| files.get(path.to_str().unwrap()).cloned().ok_or_else(|| io::ErrorKind::NotFound.into()),
    )
}

#[test]
fn a_url_with_everything() {
    let config =
        resolved("postgresql://mon:pw@db1:5433,db2/app?sslmode=verify-full&connect_timeout=3&application_name=x%20y");
    let host = |name: &str, port| Host { name: name.into(), port };
    assert_eq!(config.hosts, [host("db1", 5433), host("db2", 5432)]);
    assert_eq!((config.user.as_str(), password(&config), config.database.as_str()), ("mon", "pw", "app"));
    assert_eq!(config.sslmode, SslMode::VerifyFull);
    assert_eq!(config.connect_timeout.as_secs(), 3);
    assert_eq!(config.application_name, "x y");
    assert_eq!(&*config.name, "db1:5433,db2:5432");
    assert!(config.databases.is_empty());
}

#[test]
fn defaults_are_the_promised_ones() {
    let config = resolved("postgres://mon@db1");
    assert_eq!(config.address(), "db1:5432");
    assert_eq!((config.database.as_str(), config.application_name.as_str()), ("postgres", "pganalytics-agent"));
    assert_eq!((config.connect_timeout.as_millis(), config.statement_timeout.as_millis()), (5000, 10_000));
    assert_eq!((config.lock_timeout.as_millis(), config.max_connections), (100, 3));
    assert_eq!(config.sslmode, SslMode::Prefer);
}

#[test]
fn every_awkward_character_works_in_a_password() {
    let raw = "a@b:c/d#e'f&g %?\\=";
    let encoded: String = raw.bytes().map(|b| format!("%{b:02X}")).collect();
    let config = resolved(&format!("postgres://mon:{encoded}@db1:5433/app?sslmode=disable"));
    assert_eq!(password(&config), raw);
    assert_eq!(config.address(), "db1:5433");
    let quoted = raw.replace('\\', "\\\\").replace('\'', "\\'");
    assert_eq!(password(&resolved(&format!("host=db1 user=mon password='{quoted}' dbname=app"))), raw);
    // Also as they are, where a person would see what is meant.
    for raw in ["a@b", "a:b", "a/b", "a#b", "a'b", "a&b", "a b", "@:/#'&", "x?y"] {
        let config = resolved(&format!("postgres://mon:{raw}@db1:5433/app"));
        assert_eq!((password(&config), config.address().as_str()), (raw, "db1:5433"), "{raw}");
    }
    assert_eq!(password(&resolved("postgres://mon@db1/app?password=a%26b@c")), "a&b@c");
}

#[test]
fn sockets_and_ipv6() {
    let config = resolved("postgres://mon@%2Fvar%2Frun%2Fpostgresql/app");
    assert!(config.hosts[0].is_socket());
    assert_eq!(config.address(), "/var/run/postgresql/.s.PGSQL.5432");
    assert_eq!(resolved("postgres://mon@[::1]:5433/app").address(), "[::1]:5433");
    assert_eq!(resolved("host=/tmp port=5433 user=mon").address(), "/tmp/.s.PGSQL.5433");
    assert_eq!(resolved("postgres:///app?host=/tmp&user=mon").address(), "/tmp/.s.PGSQL.5432");
}

#[test]
fn the_nearer_place_wins() {
    let environment = with(
        &[
            ("HOME", "/home/mon"),
            ("PGUSER", "envuser"),
            ("PGHOST", "envhost"),
            ("PGPORT", "6000"),
            ("PGPASSWORD", "envpw"),
            ("PGSERVICE", "prod"),
            ("PGSSLMODE", "require"),
        ],
        &[(
            "/home/mon/.pg_service.conf",
            "# services\n[other]\nhost=no\n[prod]\nhost=svchost\nport=7000\ndbname=svcdb\n[last]\nuser=no\n",
        )],
    );
    let config = PostgresSettings::from_url("postgres://urluser@/").unwrap().resolve(&environment).unwrap();
    assert_eq!((config.user.as_str(), config.address().as_str()), ("urluser", "svchost:7000"));
    assert_eq!((config.database.as_str(), password(&config)), ("svcdb", "envpw"));
    assert_eq!(config.sslmode, SslMode::Require);
    // A host of one's own is not given somebody else's port.
    let config = PostgresSettings::from_url("postgres://mon@mine/").unwrap().resolve(&environment).unwrap();
    assert_eq!(config.address(), "mine:5432");
}

#[test]
fn a_missing_service_says_where_it_was_looked_for() {
    let environment = with(&[("HOME", "/home/mon"), ("USER", "mon")], &[]);
    let settings = PostgresSettings { service: Some("prod".into()), ..PostgresSettings::default() };
    let error = settings.resolve(&environment).unwrap_err().to_string();
    assert!(error.contains("/home/mon/.pg_service.conf") && error.contains("\"prod\""), "{error}");
}

#[test]
fn the_password_file_is_looked_up_as_libpq_does() {
    let text =
        "# comment\nother:*:*:*:no\ndb1:5433:app:mon:wi\\:th\\\\colon:s\n*:*:*:mon:any\nlocalhost:*:*:sock:local\n";
    let host = |name: &str, port| Host { name: name.into(), port };
    assert_eq!(password_from(text, &host("db1", 5433), "app", "mon").as_deref(), Some("wi:th\\colon:s"));
    assert_eq!(password_from(text, &host("db1", 5432), "app", "mon").as_deref(), Some("any"));
    assert_eq!(password_from(text, &host("/tmp", 5432), "app", "sock").as_deref(), Some("local"));
    assert_eq!(password_from(text, &host("db1", 5432), "app", "you"), None);
}

#[test]
fn a_table_is_read_and_unknown_keys_are_refused() {
    let settings: PostgresSettings = toml::from_str(
        "name = 'main'\nhost = 'a,b'\nport = [5432, 5433]\nuser = 'mon'\npassword_file = '/run/pw'\ndatabases = ['app', 'shop']\n\
         exclude_databases = ['old']\nlock_timeout = '50ms'\nstatement_timeout = 20\nmax_connections = 2\n",
    )
    .unwrap();
    let config = settings.resolve(&Environment::empty()).unwrap();
    assert_eq!((&*config.name, config.address().as_str(), config.database.as_str()), ("main", "a:5432,b:5433", "app"));
    assert_eq!((config.lock_timeout.as_millis(), config.statement_timeout.as_secs()), (50, 20));
    assert!(matches!(config.password, PasswordSource::File(_)));
    let error = toml::from_str::<PostgresSettings>("hots = 'a'").unwrap_err().to_string();
    assert!(error.contains("hots") && error.contains("host"), "{error}");
}

#[test]
fn no_error_shows_a_password() {
    let broken = [
        format!("postgres://mon:{CANARY}%zz@db1/app"),
        format!("postgres://mon:{CANARY}%@db1/app"),
        format!("postgres://mon:p?{CANARY}"),
        format!("postgres://mon:{CANARY}"),
        format!("postgres://mon:x{CANARY}/db1:99999"),
        format!("postgres://mon:ok@db1:{CANARY}/app"),
        format!("postgres://mon@db1/app?{CANARY}"),
        format!("postgres://mon@db1/app?{CANARY}=1"),
        format!("postgres://mon@db1/app?password={CANARY}%G0"),
        format!("http://mon:{CANARY}@db1"),
        format!("host=db1 password={CANARY} {CANARY}"),
        format!("host=db1 password='{CANARY}"),
        format!("host=db1 pass {CANARY}=1"),
        format!("host=db1 {CANARY}=1"),
        CANARY.to_owned(),
    ];
    for url in &broken {
        let error = PostgresSettings::from_url(url).unwrap_err().to_string();
        assert!(!error.contains(CANARY) && !error.contains("c4n4ry"), "{url}: {error}");
    }
    let config = resolved(&format!("postgres://mon:{CANARY}@db1/app"));
    assert!(!format!("{config:?}").contains(CANARY));
    for bad in ["password = 4711", "password = 47.11", "password = [4711]"] {
        let error = toml::from_str::<PostgresSettings>(bad).unwrap_err();
        assert!(!error.message().contains("47"), "{error}");
    }
}

#[test]
fn wrong_settings_say_what_to_do() {
    for (url, part) in [
        ("postgres://mon@db1?sslmode=maybe", "verify-full"),
        ("postgres://mon@db1?sslcert=a", "sslkey"),
        ("postgres://mon@db1:0/app", "1 to 65535"),
        ("postgres://db1/app", "pg_monitor"),
        ("host=a,b port=1,2,3 user=x", "one for each host"),
    ] {
        let error =
            PostgresSettings::from_url(url).and_then(|s| s.resolve(&Environment::empty())).unwrap_err().to_string();
        assert!(error.contains(part) && error.starts_with("postgres."), "{url}: {error}");
    }
}

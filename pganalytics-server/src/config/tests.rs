#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{Config, Environment, Gathered, KEYS, Origin, read::Flags};

fn gather(flags: &[(&'static str, &str)], environment: &[(&str, &str)], file: &str) -> Result<Gathered, String> {
    let flags: Flags = flags.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect();
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let file = (!file.is_empty()).then(|| (PathBuf::from("server.toml"), file.to_owned()));
    Gathered::read(&flags, &|name| environment.get(name).cloned(), file.as_ref()).map_err(|error| error.to_string())
}

fn config(flags: &[(&'static str, &str)], environment: &[(&str, &str)], file: &str) -> Result<Config, String> {
    Config::build(&gather(flags, environment, file)?).map_err(|error| error.to_string())
}

#[test]
fn flag_over_environment_over_file_over_default() {
    let port = |flags: &[(&'static str, &str)], environment: &[(&str, &str)], file: &str| {
        let gathered = gather(flags, environment, file).unwrap();
        (gathered.get("port").unwrap().to_owned(), gathered.origin("port"))
    };
    assert_eq!(port(&[], &[], ""), ("8080".to_owned(), Origin::Default));
    assert_eq!(port(&[], &[], "port = 1"), ("1".to_owned(), Origin::File("server.toml".into())));
    assert_eq!(port(&[], &[("PORT", "2")], "port = 1"), ("2".to_owned(), Origin::Environment("PORT")));
    assert_eq!(port(&[("port", "3")], &[("PORT", "2")], "port = 1"), ("3".to_owned(), Origin::Flag));
    assert_eq!(port(&[], &[("PORT", "")], ""), ("8080".to_owned(), Origin::Default));
}

#[test]
fn every_setting_has_a_name_of_its_own() {
    let mut names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let mut variables: Vec<&str> = KEYS.iter().flat_map(|key| key.env).copied().collect();
    let (count, variable_count) = (names.len(), variables.len());
    names.sort_unstable();
    names.dedup();
    variables.sort_unstable();
    variables.dedup();
    assert_eq!((names.len(), variables.len()), (count, variable_count));
}

#[test]
fn the_defaults_are_the_librarys_own() {
    let made = config(&[], &[], "").unwrap();
    let own = crate::Settings::default();
    assert_eq!(made.settings.rate_limits, own.rate_limits);
    assert_eq!(made.settings.access_lifetime, own.access_lifetime);
    assert_eq!(made.settings.max_collectors, own.max_collectors);
    assert_eq!(made.settings.ingest, own.ingest);
    assert_eq!(made.settings.query.timeout, own.query.timeout);
    assert_eq!(made.settings.query.at_once, own.query.at_once);
    assert_eq!(made.settings.query.answer_bytes, own.query.answer_bytes);
    assert_eq!(made.settings.drain_timeout, own.drain_timeout);
    assert_eq!(made.settings.default_retention, own.default_retention);
    assert_eq!(made.settings.connections, own.connections);
    assert_eq!(made.settings.proxies, own.proxies);
    assert_eq!((made.settings.https, made.settings.local_access), (own.https, own.local_access));
    assert!(made.listen.ip().is_loopback());
}

#[test]
fn mistakes_say_what_where_and_what_to_do() {
    type Case = (&'static [(&'static str, &'static str)], &'static str, &'static str);
    let cases: &[Case] = &[
        (&[], "prot = 8080", "server.toml: prot: there is no such setting"),
        (&[], "port = [1]", "server.toml: port: it must be a text"),
        (&[], "port = ", "server.toml"),
        (&[("PORT", "99999")], "", "PORT (from environment PORT): \"99999\" is no whole number"),
        (&[("TLS_ENABLED", "true")], "", "TLS_CERT names no file"),
        (&[("TLS_ENABLED", "true"), ("TLS_CERT_PATH", "a.pem")], "", "TLS_KEY names no file"),
        (&[("TLS_CERT", "a.pem")], "", "TLS_ENABLED is not true"),
        (&[("TLS_ENABLED", "maybe")], "", "neither true nor false"),
        (&[("PGANALYTICS_LISTEN", "0.0.0.0")], "", "plain HTTP is served to this machine only"),
        (&[("PGANALYTICS_LISTEN", "example.com")], "", "is no IP address"),
        (&[("DATABASE_URL", "postgres://u:hunter2@h/d")], "", "not built in this version"),
        (&[("TIMESCALE_URL", "postgres://u:hunter2@h/d")], "", "not built in this version"),
        (&[("JWT_SECRET", "short")], "", "JWT_SECRET (from environment JWT_SECRET): it must have at least 32"),
        (&[("ENVIRONMENT", "produktion")], "", "neither development nor production"),
        (&[("CORS_ALLOWED_ORIGINS", "*")], "", "is no origin"),
        (&[("PGANALYTICS_TRUSTED_PROXIES", "10.0.0.1, proxy.example")], "", "\"proxy.example\" is no address"),
        (&[("PGANALYTICS_TRUSTED_PROXIES", "0.0.0.0/0")], "", "is everybody"),
        (&[("PGANALYTICS_PROXY_HEADER", "x-real-ip")], "", "neither x-forwarded-for nor forwarded"),
        (&[("PGANALYTICS_SETUP_TOKEN", "hunter2")], "", "at least 16 characters"),
        (&[("PGANALYTICS_SETUP_TOKEN_FILE", "/nowhere/token")], "", "/nowhere/token: "),
        (&[("PGANALYTICS_WRITE_TIMEOUT", "0")], "", "at least 1 second"),
        (&[("PGANALYTICS_LOCAL_ACCESS", "maybe")], "", "neither true nor false"),
        (&[("JWT_EXPIRATION", "0")], "", "at least 1 second"),
        (&[("PGANALYTICS_SQL_WORKER_MEMORY", "1000")], "", "a worker needs at least 33554432 bytes"),
        (
            &[("ENVIRONMENT", "production"), ("JWT_SECRET", "change-me-change-me-change-me-change-me")],
            "",
            "production refuses it",
        ),
        (
            &[
                ("ENVIRONMENT", "production"),
                ("PGANALYTICS_LISTEN", "0.0.0.0"),
                ("PGANALYTICS_INSECURE_LISTEN", "true"),
            ],
            "",
            "production refuses plain HTTP",
        ),
    ];
    for (environment, file, expected) in cases {
        let error = config(&[], environment, file).unwrap_err();
        assert!(error.contains(expected), "{environment:?} {file:?}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn good_settings_arrive() {
    let environment = [
        ("ENVIRONMENT", "production"),
        ("JWT_SECRET", "q8ZkV2hT0mB4xW6nR1yLc9JdPfGs3UaE"),
        ("TLS_ENABLED", "true"),
        ("TLS_CERT_PATH", "cert.pem"),
        ("TLS_KEY_PATH", "key.pem"),
        ("PGANALYTICS_LISTEN", "::"),
        ("CORS_ALLOWED_ORIGINS", "https://a.example, https://b.example:8443"),
        ("PGANALYTICS_MONITOR", "postgres://a/x postgres://b/y"),
        ("COLLECTION_INTERVAL", "10"),
        ("PGANALYTICS_RATE_LIMIT_PUBLIC", "7"),
        ("PGANALYTICS_TRUSTED_PROXIES", "10.0.0.0/8, loopback"),
        ("PGANALYTICS_MAX_CONNECTION_AGE", "0"),
    ];
    let made = config(&[], &environment, "").unwrap();
    assert_eq!(made.environment, Environment::Production);
    assert_eq!(made.tls, Some(("cert.pem".into(), "key.pem".into())));
    assert_eq!(made.settings.cors_allowed_origins, ["https://a.example", "https://b.example:8443"]);
    assert_eq!(made.monitors.len(), 2);
    assert_eq!(made.settings.collection_interval, Duration::from_secs(10));
    assert_eq!(made.settings.rate_limits.public, 7);
    assert!(made.settings.https && !made.settings.local_access);
    assert!(made.settings.proxies.trusts([10, 1, 1, 1].into()) && made.settings.proxies.trusts([127, 0, 0, 1].into()));
    assert!(made.settings.connections.max_age.is_zero());
}

#[test]
fn secrets_are_not_shown() {
    let gathered = gather(&[], &[("JWT_SECRET", "hunter2hunter2hunter2hunter2hunter2"), ("PORT", "81")], "").unwrap();
    let shown: Vec<String> =
        gathered.show().map(|(key, value, origin)| format!("{} = {value} {origin}", key.name)).collect();
    let text = shown.join("\n");
    assert!(!text.contains("hunter2") && !format!("{gathered:?}").contains("hunter2"), "{text}");
    assert!(text.contains("jwt_secret = *** environment JWT_SECRET"));
    assert!(text.contains("port = 81 environment PORT"));
}

fn secret_file(text: &str, mode: u32) -> (tempfile::TempDir, String) {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

#[test]
fn every_secret_can_be_in_a_file() {
    let (_folder, path) = secret_file("q8ZkV2hT0mB4xW6nR1yLc9JdPfGs3UaE\r\n", 0o400);
    for key in KEYS.iter().filter(|key| key.secret) {
        let variable = format!("{}_FILE", key.env[0]);
        let from_environment = gather(&[], &[(&variable, &path)], "").unwrap();
        assert_eq!(from_environment.get(key.name), Some("q8ZkV2hT0mB4xW6nR1yLc9JdPfGs3UaE"), "{variable}");
        let origin = Origin::SecretFile { path: path.clone().into(), named_by: variable };
        assert_eq!(from_environment.origin(key.name), origin);
        let line = format!("{} = \"{path}\"", key.file_name());
        assert!(gather(&[], &[], &line).unwrap().get(key.name).is_some(), "{line}");
        let flags = Flags::from([(key.file_name(), vec![path.clone()])]);
        assert!(Gathered::read(&flags, &|_| None, None).unwrap().get(key.name).is_some());
    }
}

#[test]
fn a_secret_and_its_file_are_one_too_many_but_layers_win_over_each_other() {
    let (_folder, path) = secret_file("from-a-file", 0o400);
    let environment = [("BACKUP_KEY_FILE", path.as_str())];
    let both = [("BACKUP_KEY_FILE", path.as_str()), ("BACKUP_KEY", "hunter2")];
    let error = gather(&[], &both, "").unwrap_err();
    assert!(error.contains("BACKUP_KEY_FILE") && error.contains("choose one") && !error.contains("hunter2"), "{error}");
    assert_eq!(gather(&[("backup_key", "flag")], &environment, "").unwrap().get("backup_key"), Some("flag"));
    assert_eq!(gather(&[], &environment, "backup_key = \"file\"").unwrap().get("backup_key"), Some("from-a-file"));
    let half = [("BACKUP_KEY_FILE", path.as_str()), ("BACKUP_KEY", "")];
    assert_eq!(gather(&[], &half, "").unwrap().get("backup_key"), Some("from-a-file"));
}

#[test]
fn files_that_hold_no_secret_say_what_is_wrong() {
    let huge = "x".repeat(70_000);
    for (text, expected) in [("", "is empty"), ("\n", "is empty"), (huge.as_str(), "no secret")] {
        let (_folder, path) = secret_file(text, 0o400);
        let error = gather(&[], &[("JWT_SECRET_FILE", path.as_str())], "").unwrap_err();
        assert!(error.contains("JWT_SECRET_FILE") && error.contains(expected), "{error}");
    }
    let error = gather(&[], &[("JWT_SECRET_FILE", "/nowhere/jwt")], "").unwrap_err();
    assert!(error.contains("/nowhere/jwt") && error.contains("secrets init"), "{error}");
    assert!(gather(&[], &[("JWT_SECRET_FILE", "/tmp")], "").unwrap_err().contains("is a folder"));
}

#[test]
fn a_secret_that_all_can_read_is_warned_of_and_refused_in_production() {
    let (_folder, path) = secret_file("q8ZkV2hT0mB4xW6nR1yLc9JdPfGs3UaE", 0o444);
    let made = config(&[], &[("JWT_SECRET_FILE", &path)], "").unwrap();
    assert!(
        made.warnings.iter().any(|warning| warning.contains(&path) && warning.contains("chmod")),
        "{:?}",
        made.warnings
    );
    let error = config(&[], &[("JWT_SECRET_FILE", &path), ("ENVIRONMENT", "production")], "").unwrap_err();
    assert!(error.contains("every user"), "{error}");
}

#[test]
fn certificate_and_key_alone_switch_tls_on() {
    let files = [("TLS_CERT", "c.pem"), ("TLS_KEY", "k.pem")];
    assert!(config(&[], &files, "").unwrap().tls.is_some());
    let off = [("TLS_ENABLED", "false"), ("TLS_CERT", "c.pem"), ("TLS_KEY", "k.pem")];
    assert!(config(&[], &off, "").unwrap_err().contains("TLS_ENABLED is not true"));
}

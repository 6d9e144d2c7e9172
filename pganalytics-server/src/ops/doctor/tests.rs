#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;
use crate::{config::read::Flags, ops::certs};

/// The check, what is changed, and how it comes out then.
type Planted<'a> = (&'a str, &'a [(&'a str, &'a str)], Outcome);

/// Settings with which all that needs no running server is green.
fn good(folder: &Path) -> BTreeMap<String, String> {
    let authority = folder.join("ca");
    certs::make_ca(&authority, "Test CA", false).unwrap();
    let request = certs::Request::server("server", &["metrics.example.com", "127.0.0.1"]);
    certs::issue(&authority, &folder.join("tls"), &request).unwrap();
    crate::ops::secrets::init(&folder.join("secrets"), &["server".to_owned()], None).unwrap();
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    let backups = folder.join("backups");
    fs::create_dir(&backups).unwrap();
    for end in ["", ".verified"] {
        fs::write(backups.join(format!("pganalytics-20260131T120000Z.backup{end}")), "").unwrap();
    }
    let file = |name: &str| folder.join(name).display().to_string();
    [
        ("PGANALYTICS_BACKUP_DIR", backups.display().to_string()),
        ("ENVIRONMENT", "production".to_owned()),
        ("JWT_SECRET_FILE", file("secrets/server/jwt_secret")),
        ("REGISTRATION_SECRET_FILE", file("secrets/server/registration_secret")),
        ("TLS_CERT", file("tls/server.crt")),
        ("TLS_KEY", file("tls/server.key")),
        ("PGANALYTICS_LISTEN", "0.0.0.0".to_owned()),
        ("PORT", "1".to_owned()),
        ("PGANALYTICS_DATA_DIR", data.display().to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn outcomes(environment: &BTreeMap<String, String>, flags: &Flags) -> BTreeMap<&'static str, (Outcome, String)> {
    let gathered = Gathered::read(flags, &|name| environment.get(name).cloned(), None).unwrap();
    let config = Config::build(&gathered);
    let patient = Patient { gathered: &gathered, config: &config, production: true, host: Some("metrics.example.com") };
    examine(&patient, None).into_iter().map(|finding| (finding.id, (finding.outcome, finding.seen))).collect()
}

#[test]
fn a_good_installation_is_green_and_nothing_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let found = outcomes(&good(folder.path()), &Flags::new());
    // Nobody runs a server here; tests run as any user, on any disk, in any container.
    let apart = ["live.ready", "container.root", "container.limits", "store.space", "backup.elsewhere"];
    for (id, (outcome, seen)) in &found {
        assert!(apart.contains(id) || *outcome <= Outcome::Skip, "{id}: {seen}");
    }
    assert_eq!(found["live.ready"].0, Outcome::Fail);
    assert_eq!(found["backup.elsewhere"].0, Outcome::Warn);
    let ids: Vec<_> = CHECKS.iter().map(|check| check.id).collect();
    assert!(ids.iter().all(|id| found.contains_key(id)), "{ids:?}");
    assert_eq!(found.len(), ids.len());
}

#[test]
fn each_planted_fault_is_found_by_its_check() {
    let folder = tempfile::tempdir().unwrap();
    let good = good(folder.path());
    let open = folder.path().join("open");
    fs::write(&open, "q8ZkV2hT0mB4xW6nR1yLc9JdPfGs3UaE").unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let other_key = folder.path().join("ca/ca.key").display().to_string();
    let loose = folder.path().join("loose");
    fs::create_dir(&loose).unwrap();
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o755)).unwrap();
    let old = folder.path().join("old");
    fs::create_dir(&old).unwrap();
    for (name, days) in [("pganalytics-20260101T120000Z.backup", 2), ("pganalytics-20251201T120000Z.backup", 9)] {
        let file = fs::File::create(old.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(days * 24)).unwrap();
    }
    fs::write(old.join("pganalytics-20251201T120000Z.backup.verified"), "").unwrap();
    let old = old.to_str().unwrap();
    let strong = "q8ZkV2hT0mB4xW6nR1yLc9JdPfGs3UaE";
    let long_word = "abababababababababababababababababab";
    let planted: &[Planted<'_>] = &[
        ("settings.valid", &[("PORT", "many")], Outcome::Fail),
        ("secret.length", &[("PGANALYTICS_SCRAPE_TOKEN", "short-but-16-chars")], Outcome::Fail),
        ("secret.length", &[("PGANALYTICS_SCRAPE_TOKEN", long_word)], Outcome::Fail),
        ("secret.placeholder", &[("PGANALYTICS_SCRAPE_TOKEN", "your_strong_token_here_1234567890")], Outcome::Fail),
        ("secret.reuse", &[("PGANALYTICS_SCRAPE_TOKEN", strong), ("BACKUP_KEY", strong)], Outcome::Fail),
        ("secret.source", &[("BACKUP_KEY", strong)], Outcome::Warn),
        ("secret.mode", &[("ENVIRONMENT", "development"), ("BACKUP_KEY_FILE", open.to_str().unwrap())], Outcome::Fail),
        ("env.production", &[("ENVIRONMENT", "development")], Outcome::Fail),
        ("env.loglevel", &[("LOG_LEVEL", "debug")], Outcome::Warn),
        (
            "tls.on",
            &[
                ("ENVIRONMENT", "development"),
                ("TLS_CERT", ""),
                ("TLS_KEY", ""),
                ("PGANALYTICS_INSECURE_LISTEN", "true"),
            ],
            Outcome::Fail,
        ),
        ("tls.chain", &[("TLS_KEY", &other_key)], Outcome::Fail),
        ("store.owner", &[("PGANALYTICS_DATA_DIR", loose.to_str().unwrap())], Outcome::Fail),
        ("store.space", &[("PGANALYTICS_DATA_DIR", "/nowhere/at/all")], Outcome::Fail),
        ("store.fs", &[("PGANALYTICS_DATA_DIR", "/nowhere/at/all")], Outcome::Skip),
        ("backup.age", &[("PGANALYTICS_BACKUP_DIR", "")], Outcome::Fail),
        ("backup.age", &[("PGANALYTICS_BACKUP_DIR", "/nowhere/at/all")], Outcome::Fail),
        ("backup.age", &[("PGANALYTICS_BACKUP_DIR", loose.to_str().unwrap())], Outcome::Fail),
        ("backup.age", &[("PGANALYTICS_BACKUP_DIR", old)], Outcome::Fail),
        ("backup.verified", &[("PGANALYTICS_BACKUP_DIR", old)], Outcome::Warn),
        ("backup.verified", &[("PGANALYTICS_BACKUP_DIR", loose.to_str().unwrap())], Outcome::Fail),
        ("auth.jwt_life", &[("JWT_EXPIRATION", "7200")], Outcome::Warn),
        ("edge.ratelimit", &[("PGANALYTICS_RATE_LIMIT_LOGIN", "0")], Outcome::Fail),
        ("edge.cors", &[("CORS_ALLOWED_ORIGINS", "http://pages.example")], Outcome::Fail),
        ("edge.proxy", &[("PGANALYTICS_TRUSTED_PROXIES", "192.0.0.0/8")], Outcome::Fail),
    ];
    for (id, changes, expected) in planted {
        let mut environment = good.clone();
        environment.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let found = outcomes(&environment, &Flags::new());
        let (outcome, seen) = &found[id];
        assert_eq!(outcome, expected, "{id} with {changes:?}: {seen}");
        assert!(!seen.contains(strong), "{id} shows a secret");
    }
    let flags = Flags::from([("backup_key".to_owned(), vec![strong.to_owned()])]);
    assert_eq!(outcomes(&good, &flags)["secret.source"].0, Outcome::Fail);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut environment = good.clone();
    environment.insert("PGANALYTICS_LISTEN".to_owned(), "127.0.0.1".to_owned());
    environment.insert("PORT".to_owned(), taken.local_addr().unwrap().port().to_string());
    let found = outcomes(&environment, &Flags::new());
    assert_eq!((found["listen.port"].0, found["live.ready"].0), (Outcome::Fail, Outcome::Fail));
}

#[test]
fn one_check_or_one_group_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let environment = good(folder.path());
    let gathered = Gathered::read(&Flags::new(), &|name| environment.get(name).cloned(), None).unwrap();
    let config = Config::build(&gathered);
    let patient = Patient { gathered: &gathered, config: &config, production: false, host: None };
    assert_eq!(examine(&patient, Some("tls.expiry")).len(), 1);
    assert!(examine(&patient, Some("secret")).len() > 3);
    assert_eq!(examine(&patient, Some("nothing")), []);
}

/// `UPDATE_DOCS=1` writes it anew.
#[test]
fn the_page_of_checks_is_true() {
    let mut page = String::from(
        "# doctor\n\n`pganalytics-server doctor` looks at settings, certificates, disk and the running server, changes\n\
         nothing, and ends with 1 when a check fails. `--production` also fails what production demands,\n\
         `--only tls` looks at one group, `--host NAME` says what clients call the server, `--json` is for\n\
         programs. This page is generated from the program.\n\n\
         | check | fails when (warns when) | then |\n|---|---|---|\n",
    );
    for check in CHECKS {
        page += &format!("| `{}` | {} | {} |\n", check.id, check.fails_when, check.todo);
    }
    page += "\nChecks that need a database of ours, or two servers, come with those: stores in PostgreSQL and\n\
             TimescaleDB are not in this version.\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), page, "run with UPDATE_DOCS=1");
}

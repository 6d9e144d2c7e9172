//! TLS to the watched server, as libpq does it.

use std::path::PathBuf;

use pganalytics_collect::postgres::{PasswordSource, PostgresConfig, SslMode};
use pganalytics_core::Value;
use pganalytics_testkit::{Cluster, versions};

use crate::watch::{Watch, batches, config, failure, only, own_sql, value};

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "tls", name].iter().collect()
}

/// A cluster with TLS, certified as `localhost`. PostgreSQL wants its key to be
/// its own, so it writes the files itself.
async fn encrypted(version: u16) -> Cluster {
    let cluster = Cluster::start(version).await.unwrap();
    for name in ["ca.pem", "server.pem", "server.key"] {
        let text = std::fs::read_to_string(file(name)).unwrap();
        let write = format!("umask 077 && cat > {}", cluster.data_dir().join(name).display());
        let rows = text.lines().map(|line| format!("('{line}')")).collect::<Vec<_>>().join(",");
        cluster.sql("postgres", &format!("copy (values {rows}) to program '{write}'")).await.unwrap();
    }
    for (name, setting) in
        [("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key"), ("ssl_ca_file", "ca.pem"), ("ssl", "on")]
    {
        cluster.sql("postgres", &format!("alter system set {name} = '{setting}'")).await.unwrap();
    }
    cluster.restart().await.unwrap();
    cluster
}

/// Whether a visit went well and its session was encrypted, or why it failed.
async fn visit(config: PostgresConfig) -> Result<bool, String> {
    let sql = "select ssl::int4 as n from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()";
    let measurements = only(&["pg_up"]).into_iter().chain([own_sql("encrypted", sql)]).collect();
    let collected = Watch::with(config, measurements).visit().await;
    match batches(&collected, "encrypted").next() {
        Some(batch) => Ok(value(batch, 0, "n") == Value::Int(1)),
        None => Err(failure(&collected, "encrypted").to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_means_what_it_means_to_libpq() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = encrypted(version).await;
    let with = |mode: SslMode, host: &str, authority: Option<&str>| {
        let mut config = config(&cluster.monitor_url("postgres"));
        config.sslmode = mode;
        config.hosts[0].name = host.to_owned();
        config.sslrootcert = authority.map(file);
        visit(config)
    };
    assert_eq!(with(SslMode::Disable, "127.0.0.1", None).await, Ok(false));
    assert_eq!(with(SslMode::Prefer, "127.0.0.1", None).await, Ok(true));
    assert_eq!(with(SslMode::Require, "127.0.0.1", None).await, Ok(true));
    assert_eq!(with(SslMode::VerifyCa, "127.0.0.1", Some("ca.pem")).await, Ok(true));
    assert_eq!(with(SslMode::VerifyFull, "localhost", Some("ca.pem")).await, Ok(true));

    let error = with(SslMode::VerifyFull, "127.0.0.1", Some("ca.pem")).await.unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
    let error = with(SslMode::VerifyCa, "localhost", Some("other-ca.pem")).await.unwrap_err();
    assert!(error.contains("sslrootcert"), "{error}");
    let error = with(SslMode::VerifyFull, "localhost", Some("no-such.pem")).await.unwrap_err();
    assert!(error.contains("no-such.pem"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_enough_to_log_in() {
    let Some(version) = versions().last().copied() else { return };
    let cluster = encrypted(version).await;
    let hba = cluster.data_dir().join("pg_hba.conf");
    let others = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, format!("hostssl all monitor 127.0.0.1/32 cert\n{others}")).unwrap();
    cluster.sql("postgres", "select pg_reload_conf()").await.unwrap();

    let mut with = config(&cluster.monitor_url("postgres"));
    with.hosts[0].name = String::from("localhost");
    with.password = PasswordSource::None;
    with.sslmode = SslMode::VerifyFull;
    with.sslrootcert = Some(file("ca.pem"));
    let without = with.clone();
    with.sslcert = Some(file("client.pem"));
    with.sslkey = Some(file("client.key"));
    assert_eq!(visit(with).await, Ok(true));
    let error = visit(without).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
}

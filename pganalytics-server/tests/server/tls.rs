//! TLS as the program offers it, over a real socket.

use std::path::Path;

use reqwest::{Certificate, StatusCode, tls::Version};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    fixture::read,
    process::{Process, program},
    wire::{connect, until_closed},
};

/// The program with a certificate of its own for `localhost`, which this gives too.
fn with_certificate(folder: &Path) -> (Command, Certificate) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut command = program(&folder.join("data"));
    command.arg("--tls-enabled").arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
    (command, Certificate::from_pem(made.cert.pem().as_bytes()).unwrap())
}

fn client(trusted: Option<Certificate>, version: Version) -> reqwest::Client {
    let builder = reqwest::Client::builder().min_tls_version(version).max_tls_version(version);
    builder.tls_certs_only(trusted).build().unwrap()
}

fn port(base: &str) -> u16 {
    base.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_speaks_tls_1_3_and_nothing_older_or_plain() {
    let folder = tempfile::tempdir().unwrap();
    let (command, certificate) = with_certificate(folder.path());
    let server = Process::start(command).await;
    assert!(server.base.starts_with("https://"), "{}", server.base);
    let health = format!("https://localhost:{}/api/v1/health", port(&server.base));

    let newest = client(Some(certificate.clone()), Version::TLS_1_3).get(&health).send().await.unwrap();
    assert!(newest.headers().contains_key("strict-transport-security"));
    assert_eq!(read(newest, StatusCode::OK).await["status"], "healthy");

    let older = client(Some(certificate), Version::TLS_1_2).get(&health).send().await.unwrap_err();
    assert!(older.is_connect(), "{older:?}");
    let unknown = client(None, Version::TLS_1_3).get(&health).send().await.unwrap_err();
    assert!(unknown.is_connect(), "{unknown:?}");
    let plain = reqwest::get(health.replace("https", "http")).await;
    assert!(plain.is_err(), "{plain:?}");
    assert!(server.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_does_not_go_on_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (mut command, certificate) = with_certificate(folder.path());
    command.env("PGANALYTICS_FIRST_BYTES_TIMEOUT", "1");
    let mut server = Process::start(command).await;
    let port = port(&server.base);
    // Nothing; the head of a record whose rest never comes.
    for bytes in [&b""[..], &[0x16, 3, 1, 2, 0, 1]] {
        let mut stream = connect(([127, 0, 0, 1], port).into()).await;
        stream.write_all(bytes).await.unwrap();
        until_closed(&mut stream).await;
    }
    server.base = format!("https://localhost:{port}");
    let http = client(Some(certificate), Version::TLS_1_3);
    let token = server.token(&http).await;
    let page = http.get(format!("{}/metrics", server.base)).bearer_auth(token).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("pganalytics_connections_ended_total{limit=\"tls_handshake_timeout\"} 2\n"), "{page}");
}

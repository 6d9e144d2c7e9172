//! What operators and supervisors do with the program: health checks, secrets,
//! certificates, signals, systemd.

use std::{os::unix::net::UnixDatagram, path::Path, time::Duration};

use reqwest::{Certificate, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    fixture::read,
    process::{Process, program, run},
};

/// Longest wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

async fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let output = run(program(folder).args(arguments)).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn signal(process: &Process, signal: Signal) {
    let pid = i32::try_from(process.child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// An authority and a certificate for this machine in `folder/tls`.
async fn certify(folder: &Path) {
    let (ca, tls) = (folder.join("ca"), folder.join("tls"));
    let (ca, tls) = (ca.to_str().unwrap(), tls.to_str().unwrap());
    if !folder.join("ca/ca.crt").exists() {
        succeeds(folder, &["certs", "ca", "--dir", ca]).await;
    }
    let hosts = ["--host", "localhost", "--host", "127.0.0.1", "--renew"];
    succeeds(folder, &[&["certs", "issue", "--ca", ca, "--dir", tls], &hosts[..]].concat()).await;
}

fn over_tls(folder: &Path) -> tokio::process::Command {
    let mut command = program(&folder.join("data"));
    command.env("TLS_CERT", folder.join("tls/server.crt")).env("TLS_KEY", folder.join("tls/server.key"));
    command
}

fn port(process: &Process) -> String {
    process.base.rsplit_once(':').unwrap().1.to_owned()
}

#[tokio::test]
async fn health_finds_the_server_of_its_settings_and_takes_no_other_certificate() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path()).await;
    let server = Process::start(over_tls(folder.path())).await;
    let port = port(&server);
    let ask = async |arguments: &[&str]| {
        let output = run(over_tls(folder.path()).env("PORT", &port).args(arguments)).await;
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for arguments in [&["health"][..], &["health", "--ready"]] {
        assert_eq!(ask(arguments).await, (0, String::new()), "{arguments:?}");
    }
    let (code, why) = ask(&["health", "--url", &format!("https://127.0.0.1:{port}/nowhere")]).await;
    assert!(code == 1 && why.contains("404"), "{code} {why}");
    // The settings name another certificate than the server shows.
    certify(folder.path()).await;
    let (code, why) = ask(&["health"]).await;
    assert!(code == 1 && why.contains("certificate"), "{code} {why}");
    assert!(server.terminate().await.success());
    let (code, why) = ask(&["health"]).await;
    assert!(code == 1 && why.contains("does the server run?"), "{code} {why}");
}

#[tokio::test]
async fn health_is_not_fooled_by_strangers_that_ask_too_often() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(program(folder.path())).await;
    let http = reqwest::Client::new();
    let health = format!("{}/api/v1/health", server.base);
    while http.get(&health).send().await.unwrap().status() != StatusCode::TOO_MANY_REQUESTS {}
    let output = run(program(folder.path()).env("PORT", port(&server)).arg("health")).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_new_certificate_is_shown_after_sighup_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path()).await;
    let server = Process::start(over_tls(folder.path())).await;
    let health = format!("https://localhost:{}/api/v1/health/live", port(&server));
    let shown = async || {
        let client = reqwest::Client::builder().tls_info(true);
        let ca = Certificate::from_pem(&std::fs::read(folder.path().join("ca/ca.crt")).unwrap()).unwrap();
        let client = client.tls_certs_only([ca]).build().unwrap();
        let answer = client.get(&health).send().await.unwrap();
        answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
    };
    let first = shown().await;
    std::fs::write(folder.path().join("tls/server.crt"), "no certificate").unwrap();
    signal(&server, Signal::HUP);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(shown().await, first);
    certify(folder.path()).await;
    signal(&server, Signal::HUP);
    tokio::time::timeout(PATIENCE, async {
        while shown().await == first {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the new certificate is shown");
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_rate_limit_that_was_changed_holds_after_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("server.toml");
    std::fs::write(&settings, "rate_limit_health = 0\n").unwrap();
    let mut command = program(&folder.path().join("data"));
    command.arg("--config").arg(&settings);
    let server = Process::start(command).await;
    let health = format!("{}/api/v1/health", server.base);
    let http = reqwest::Client::new();
    for _ in 0..3 {
        assert_eq!(http.get(&health).send().await.unwrap().status(), StatusCode::OK);
    }
    std::fs::write(&settings, "rate_limit_health = 1\ndata_dir = \"/elsewhere\"\n").unwrap();
    signal(&server, Signal::HUP);
    tokio::time::timeout(PATIENCE, async {
        while http.get(&health).send().await.unwrap().status() != StatusCode::TOO_MANY_REQUESTS {}
    })
    .await
    .expect("the new limit holds");
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn while_it_drains_it_answers_and_says_that_it_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path());
    command.env("PGANALYTICS_DRAIN_DELAY", "2");
    let mut server = Process::start(command).await;
    let http = reqwest::Client::new();
    let ask = async |path: &str| http.get(format!("{}/api/v1/health/{path}", server.base)).send().await.unwrap();
    assert_eq!(ask("ready").await.status(), StatusCode::OK);
    signal(&server, Signal::TERM);
    tokio::time::timeout(PATIENCE, async { while ask("ready").await.status() == StatusCode::OK {} })
        .await
        .expect("it says that it drains");
    assert_eq!(read(ask("ready").await, StatusCode::SERVICE_UNAVAILABLE).await["status"], "draining");
    assert_eq!(ask("live").await.status(), StatusCode::OK);
    assert!(tokio::time::timeout(PATIENCE, server.child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_hears_of_start_life_reload_and_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = |word: &str| {
        let mut buffer = [0; 1024];
        loop {
            let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {word}: {error}"));
            if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == word) {
                break;
            }
        }
    };
    // As systemd does, which names the process that it means.
    let plain = program(&folder.path().join("data"));
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", "WATCHDOG_PID=$$ exec \"$0\""]).arg(plain.as_std().get_program()).env_clear();
    command.envs(plain.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    command.stdout(std::process::Stdio::piped()).kill_on_drop(true);
    let server = Process::start(command).await;
    tokio::task::block_in_place(|| {
        hear("READY=1");
        hear("WATCHDOG=1");
        hear("WATCHDOG=1");
        signal(&server, Signal::HUP);
        hear("RELOADING=1");
        hear("READY=1");
        signal(&server, Signal::TERM);
        hear("STOPPING=1");
    });
}

#[tokio::test]
async fn secrets_are_made_once_and_the_server_reads_them_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    let dir = secrets.to_str().unwrap();
    let made = succeeds(folder.path(), &["secrets", "init", "--dir", dir, "--for", "server"]).await;
    let admin = succeeds(folder.path(), &["secrets", "show", "admin", "--dir", dir]).await;
    assert!(made.contains("server/admin_password") && !made.contains(admin.trim()), "{made}");
    let again = succeeds(folder.path(), &["secrets", "init", "--dir", dir]).await;
    assert!(again.contains("was there  server/jwt_secret") && again.contains("made      grafana/"), "{again}");
    let file = |name: &str| secrets.join("server").join(name);
    let mut command = program(&folder.path().join("data"));
    command
        .env("JWT_SECRET_FILE", file("jwt_secret"))
        .env("REGISTRATION_SECRET_FILE", file("registration_secret"))
        .env("PGANALYTICS_ADMIN_PASSWORD_FILE", file("admin_password"))
        .env("ENVIRONMENT", "production");
    let server = Process::start(command).await;
    assert!(!server.welcome.contains(admin.trim()) && server.first_admin().is_none(), "{}", server.welcome);
    let login = serde_json::json!({"username": "admin", "password": admin.trim()});
    let answer = reqwest::Client::new().post(format!("{}/api/v1/auth/login", server.base)).json(&login);
    read(answer.send().await.unwrap(), StatusCode::OK).await;
}

#[tokio::test]
async fn doctor_looks_at_the_running_server_and_fails_when_something_has_to_be_mended() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(program(folder.path())).await;
    let port = port(&server);
    let doctor = async |arguments: &[&str]| {
        let output = run(program(folder.path()).env("PORT", &port).arg("doctor").args(arguments)).await;
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (_, text) = doctor(&["--json"]).await;
    let report: Value = serde_json::from_str(&text).unwrap();
    let outcome = |id: &str| {
        let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == id);
        found.unwrap_or_else(|| panic!("no {id}"))["outcome"].clone()
    };
    for id in ["live.ready", "listen.port", "edge.headers", "self.latency", "edge.proxy"] {
        assert_eq!(outcome(id), "pass", "{id}: {text}");
    }
    assert_eq!(outcome("flow.any"), "warn");
    let (code, text) = doctor(&["--production", "--only", "env.production"]).await;
    assert!(code == 1 && text.contains("-> ENVIRONMENT=production"), "{code} {text}");
    assert_eq!(doctor(&["--only", "live"]).await.0, 0);
    assert_eq!(doctor(&["--only", "weather"]).await.0, 2);
    assert!(server.terminate().await.success());
    assert_eq!(doctor(&["--only", "live"]).await.0, 1);
}

/// Settings of an agent that may register at `base`.
fn agent_settings(folder: &Path, base: &str, secret: &str) -> pganalytics_collect::Config {
    let file = folder.join("registration");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let text = format!(
        "[collector]\nname = \"new\"\ndata_dir = \"{}\"\n[backend]\nurl = \"{base}\"\nregistration_secret_file = \"{}\"\n",
        folder.join("agent").display(),
        file.display()
    );
    let path = folder.join("agent.toml");
    std::fs::write(&path, text).unwrap();
    let flags = pganalytics_collect::config::Flags { file: Some(path), ..Default::default() };
    let nobody = pganalytics_collect::postgres::Environment::process();
    pganalytics_collect::Config::load(&flags, &nobody).unwrap()
}

#[tokio::test]
async fn an_agent_registers_once_and_keeps_its_token_for_itself() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(&folder.path().join("data"));
    command.env("REGISTRATION_SECRET", "a secret to register with");
    let server = Process::start(command).await;

    let wrong = agent_settings(folder.path(), &server.base, "another secret");
    let refused = pganalytics_collect::enrol::register(&wrong).await.unwrap_err();
    assert!(!refused.is_passing() && !refused.to_string().contains("another"), "{refused}");
    assert!(wrong.must_register());

    let config = agent_settings(folder.path(), &server.base, "a secret to register with");
    let registered = pganalytics_collect::enrol::register(&config).await.unwrap();
    assert!(!config.must_register());
    assert_eq!(config.own_token().unwrap(), registered.token_file);
    assert_eq!(std::fs::metadata(&registered.token_file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&registered.token_file).unwrap();
    let push = reqwest::Client::new().post(format!("{}/api/v1/metrics/push", server.base)).bearer_auth(token.trim());
    let push =
        push.json(&serde_json::json!({"collector_id": registered.collector_id, "metrics": []})).send().await.unwrap();
    read(push, StatusCode::OK).await;

    let base = server.base.clone();
    assert!(server.terminate().await.success());
    std::fs::remove_dir_all(folder.path().join("agent")).unwrap();
    let away = agent_settings(folder.path(), &base, "a secret to register with");
    let error = pganalytics_collect::enrol::register(&away).await.unwrap_err();
    assert!(error.is_passing(), "{error}");
}

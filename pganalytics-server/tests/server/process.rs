//! The program as it is started: what it prints, and how it ends.

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::fixture::read;

const PATIENCE: Duration = Duration::from_secs(30);

/// The program, apart from the settings of whoever runs the tests.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pganalytics-server"));
    command
        .env_clear()
        .env("PGANALYTICS_DATA_DIR", folder)
        .env("PORT", "0")
        .env("UI_PORT", "0")
        .env("LOG_LEVEL", "warn");
    for name in ["PATH", "HOME", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// A server in a process of its own.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) base: String,
    /// What it printed at the start.
    pub(crate) welcome: String,
}

impl Process {
    pub(crate) async fn start(mut command: Command) -> Self {
        command.stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut welcome = String::new();
        let base = loop {
            let line = timeout(PATIENCE, lines.next_line()).await.expect("it starts in time").unwrap();
            let line = line.unwrap_or_else(|| panic!("it ended at once: {welcome}"));
            welcome += &format!("{line}\n");
            if let Some((_, url)) = line.split_once(" is at ") {
                break url.trim_end_matches('/').to_owned();
            }
        };
        // The rest of the welcome comes in one write with its first line.
        while let Ok(Ok(Some(line))) = timeout(Duration::from_millis(100), lines.next_line()).await {
            welcome += &format!("{line}\n");
        }
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, base, welcome }
    }

    /// User and password of the first admin.
    pub(crate) fn first_admin(&self) -> Option<(String, String)> {
        let word = |label: &str| {
            let line = self.welcome.lines().find_map(|line| line.trim().strip_prefix(label))?;
            Some(line.trim().to_owned())
        };
        Some((word("Log in as")?, word("Password")?))
    }

    pub(crate) async fn token(&self, http: &reqwest::Client) -> String {
        let (username, password) = self.first_admin().expect("it made an admin");
        let login = json!({"username": username, "password": password});
        let answer = http.post(format!("{}/api/v1/auth/login", self.base)).json(&login).send().await.unwrap();
        read(answer, StatusCode::OK).await["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn terminate(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        timeout(PATIENCE, self.child.wait()).await.expect("it ends in time").unwrap()
    }
}

pub(crate) async fn run(command: &mut Command) -> Output {
    timeout(PATIENCE, command.output()).await.expect("it ends by itself").unwrap()
}

/// A token for `push` and `read`, of a user that is made in this folder; no server may run.
pub(crate) async fn push_token(folder: &Path) -> String {
    let made = run(program(folder).args(["user", "add", "pusher", "--role", "user"])).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let words = ["token", "add", "test", "--user", "pusher", "--scope", "push", "--scope", "read"];
    let token = run(program(folder).args(words)).await;
    assert!(token.status.success(), "{}", String::from_utf8_lossy(&token.stderr));
    String::from_utf8(token.stdout).unwrap().trim().to_owned()
}

/// Code and complaint of a start that must fail.
async fn fails(command: &mut Command) -> (i32, String) {
    let output = run(command).await;
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn the_first_password_is_shown_once_and_can_be_set_again() {
    let folder = tempfile::tempdir().unwrap();
    let http = reqwest::Client::new();
    let first = Process::start(program(folder.path())).await;
    let token = first.token(&http).await;
    let page = http.get(&first.base).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("pgAnalytics"));
    let me = http.get(format!("{}/api/v1/auth/me", first.base)).bearer_auth(&token).send().await.unwrap();
    assert_eq!(read(me, StatusCode::OK).await["role"], "admin");

    // One store, one server.
    let (code, message) = fails(&mut program(folder.path())).await;
    assert_eq!(code, 1);
    assert!(message.contains("open for writing already"), "{message}");
    assert_eq!(first.terminate().await.code(), Some(0));

    let again = Process::start(program(folder.path())).await;
    assert!(again.first_admin().is_none(), "{}", again.welcome);
    // The key of tokens is the store's: who was logged in still is.
    let me = http.get(format!("{}/api/v1/auth/me", again.base)).bearer_auth(&token).send().await.unwrap();
    assert_eq!(me.status(), StatusCode::OK);
    again.terminate().await;

    let reset = run(program(folder.path()).args(["user", "reset-password", "admin"])).await;
    assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
    let password = String::from_utf8(reset.stdout).unwrap().trim().to_owned();
    let last = Process::start(program(folder.path())).await;
    let login = json!({"username": "admin", "password": password});
    let answer = http.post(format!("{}/api/v1/auth/login", last.base)).json(&login).send().await.unwrap();
    read(answer, StatusCode::OK).await;
}

#[tokio::test]
async fn the_set_up_token_is_printed_until_there_is_an_admin() {
    let folder = tempfile::tempdir().unwrap();
    let http = reqwest::Client::new();
    let start = async |set: Option<&str>| {
        let mut command = program(folder.path());
        command.env("PGANALYTICS_SETUP", "true");
        if let Some(token) = set {
            let file = folder.path().join("token");
            std::fs::write(&file, format!("{token}\n")).unwrap();
            command.env("PGANALYTICS_SETUP_TOKEN_FILE", file);
        }
        Process::start(command).await
    };
    let printed = |process: &Process| {
        let line = process.welcome.lines().find_map(|line| line.trim().strip_prefix("Setup token"))?;
        Some(line.trim().to_owned())
    };
    let set_up = async |process: &Process, token: &str| {
        let admin = json!({"token": token, "username": "root", "password": "some words in a row"});
        http.post(format!("{}/api/v1/auth/setup", process.base)).json(&admin).send().await.unwrap()
    };
    let first = start(None).await;
    let token = printed(&first).unwrap();
    assert!(token.len() >= 43 && first.first_admin().is_none(), "{}", first.welcome);
    assert_eq!(set_up(&first, "guess").await.status(), StatusCode::FORBIDDEN);
    first.terminate().await;
    // One that was given is not repeated; the one of the last start is worth nothing.
    let given = start(Some("from a file of mine")).await;
    assert!(!given.welcome.contains("from a file") && printed(&given).is_some(), "{}", given.welcome);
    assert_eq!(set_up(&given, &token).await.status(), StatusCode::FORBIDDEN);
    read(set_up(&given, "from a file of mine").await, StatusCode::OK).await;
    given.terminate().await;
    let last = start(None).await;
    assert_eq!(printed(&last), None);
    assert_eq!(set_up(&last, "from a file of mine").await.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn what_is_wrong_at_the_start_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, message) = fails(program(folder.path()).env("PORT", &port)).await;
    assert_eq!(code, 1);
    assert!(message.contains(&port) && message.contains("another program") && message.contains("--port"), "{message}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "no password was made and lost");

    let file = folder.path().join("a file");
    std::fs::write(&file, "").unwrap();
    let (code, message) = fails(&mut program(&file.join("data"))).await;
    assert_eq!(code, 1);
    assert!(message.contains("a file") && message.contains("PGANALYTICS_DATA_DIR"), "{message}");

    let settings = folder.path().join("server.toml");
    std::fs::write(&settings, "prot = 8080\n").unwrap();
    let (code, message) = fails(program(folder.path()).arg("--config").arg(&settings)).await;
    assert_eq!(code, 2);
    assert!(message.contains("server.toml") && message.contains("prot"), "{message}");
    for (arguments, expected) in [
        (vec!["--config", "/nowhere/server.toml"], "/nowhere/server.toml"),
        (vec!["--prot", "1"], "--prot"),
        (vec!["sreve"], "sreve"),
        (vec!["serve", "--port", "many"], "PORT"),
        (vec!["--monitor", "mysql://u:hunter2@h/d"], "--monitor"),
        (vec!["--listen", "0.0.0.0"], "--insecure-listen"),
        (vec!["--log-level", "a=b=c"], "LOG_LEVEL"),
        (vec!["--tls-enabled", "--tls-cert", "/nowhere/c.pem", "--tls-key", "/nowhere/k.pem"], "/nowhere/c.pem"),
    ] {
        let (code, message) = fails(program(folder.path()).args(&arguments)).await;
        assert_eq!(code, 2, "{arguments:?}: {message}");
        assert!(message.contains(expected) && !message.contains("hunter2"), "{arguments:?}: {message}");
    }
    let (code, message) = fails(program(folder.path()).args(["user", "reset-password", "nobody"])).await;
    assert_eq!(code, 1);
    assert!(message.contains("nobody"), "{message}");
}

#[tokio::test]
async fn its_settings_and_its_api_can_be_printed() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = program(folder.path());
    config.env("JWT_SECRET", "hunter2hunter2hunter2hunter2hunter2x").args(["config", "--json", "--query-timeout", "5"]);
    let output = run(&mut config).await;
    let settings: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(settings["query_timeout"], json!({"value": "5", "from": "flag"}));
    assert_eq!(settings["port"], json!({"value": "0", "from": "environment PORT"}));
    assert_eq!(settings["jwt_secret"]["value"], "***");
    let table = run(program(folder.path()).arg("config")).await;
    assert!(String::from_utf8(table.stdout).unwrap().contains("environment PORT"));
    let document = run(program(folder.path()).arg("openapi")).await;
    let document: Value = serde_json::from_slice(&document.stdout).unwrap();
    assert!(document["paths"]["/api/v1/metrics/push"]["post"].is_object());
    let help = run(program(folder.path()).arg("--help")).await;
    assert!(String::from_utf8(help.stdout).unwrap().contains("Exit codes"));
}

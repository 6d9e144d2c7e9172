//! Runs every example as its own process against a real PostgreSQL.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader, Lines},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::LazyLock,
};

use pganalytics_testkit::{Cluster, versions};

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Runtime::new().expect("a runtime"));

fn cluster() -> Cluster {
    let newest = versions().into_iter().max().expect("a PostgreSQL");
    RUNTIME.block_on(Cluster::start(newest)).expect("cluster starts")
}

fn command(example: &str) -> Command {
    // target/debug/deps/examples-… stands beside target/debug/examples/.
    let me = std::env::current_exe().expect("own path");
    let program: PathBuf = me.parent().and_then(|deps| deps.parent()).expect("target").join("examples").join(example);
    assert!(
        program.exists(),
        "{} is not built; run `cargo test -p pganalytics-examples` without --test, which builds examples too",
        program.display()
    );
    Command::new(program)
}

fn output(example: &str, url: Option<String>) -> String {
    let mut command = command(example);
    command.envs(url.map(|url| ("PG_URL", url)));
    let output = command.output().expect("example starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{example} ended with {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// A program that listens until it is interrupted.
struct Service {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Service {
    fn start(example: &str, url: Option<String>) -> (Self, Vec<String>, String) {
        Self::start_with(example, &url.map(|url| ("PG_URL", url)).into_iter().collect::<Vec<_>>())
    }

    fn start_with(example: &str, variables: &[(&str, String)]) -> (Self, Vec<String>, String) {
        let mut command = command(example);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("example starts");
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        // From here on it is stopped also when the test fails.
        let mut service = Self { child, lines };
        let mut before = Vec::new();
        loop {
            let line = service.lines.next().expect("example says where it listens").expect("text");
            if let Some(address) = line.strip_prefix("listening on ") {
                return (service, before, address.to_owned());
            }
            before.push(line);
        }
    }

    fn interrupt(mut self) -> Vec<String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signal");
        let rest = self.lines.by_ref().map_while(Result::ok).collect();
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "ended with {status}");
        rest
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(url: String) -> (u16, String) {
    try_get(url).expect("answer")
}

fn try_get(url: String) -> reqwest::Result<(u16, String)> {
    RUNTIME.block_on(async {
        let answer = reqwest::get(url).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    })
}

#[test]
fn embed_agent_answers_with_what_it_saw() {
    let cluster = cluster();
    let (service, _, address) = Service::start("embed_agent", Some(cluster.monitor_url("postgres")));
    let seen = loop {
        let (status, text) = get(format!("{address}/databases"));
        assert_eq!(status, 200);
        let seen: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if seen["postgres"].as_i64().is_some_and(|commits| commits > 0) {
            break seen;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    assert!(seen["template1"].is_i64(), "{seen}");
    let last = service.interrupt();
    assert!(last.iter().any(|line| line.starts_with("delivered ")), "{last:?}");
}

#[test]
fn custom_collector_brings_its_figures() {
    let out = output("custom_collector", None);
    assert!(out.contains("Keyframe") && out.contains("Delta"), "{out}");
    assert!(out.contains(r#"Text("mail") waiting Int(3)"#), "{out}");
}

#[test]
fn custom_sink_writes_lines_of_json() {
    let cluster = cluster();
    let out = output("custom_sink", Some(cluster.monitor_url("postgres")));
    let metrics: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert!(metrics.len() >= 12, "{} lines", metrics.len());
    let databases = metrics.iter().find(|metric| metric["type"] == "pg_stat_database").expect("pg_stat_database");
    assert!(databases["rows"].as_array().is_some_and(|rows| rows.len() >= 2), "{databases}");
}

#[test]
fn own_sql_is_a_measurement_like_any_other() {
    let cluster = cluster();
    let out = output("own_sql", Some(cluster.monitor_url("postgres")));
    assert!(out.contains("app_schema_tables of "), "{out}");
    assert!(out.contains(r#"Text("pg_catalog") Int("#), "{out}");
}

#[test]
fn own_sql_folder_takes_a_file_that_comes_and_tells_of_one_that_is_wrong() {
    let cluster = cluster();
    let out = output("own_sql_folder", Some(cluster.monitor_url("postgres")));
    assert!(out.contains(r#"Text("pganalytics-agent") has Int("#), "{out}");
    assert!(out.lines().any(|line| line.contains("broken.toml") && line.contains("name")), "{out}");
}

#[test]
fn spool_keeps_what_waits_for_the_next_process() {
    let out = output("spool", None);
    let number = |line: &str| line.split(' ').find_map(|word| word.parse::<u64>().ok());
    let mut lines = out.lines();
    let waited = lines.next().filter(|line| line.starts_with("stopped with ")).and_then(number).expect("frames");
    let last = lines.next().expect("a second line");
    let delivered = last.strip_prefix("delivered ").and_then(number).expect("frames");
    assert!(waited >= 3 && delivered > waited && last.ends_with(" 0 are left"), "{out}");
}

#[test]
fn exporter_answers_prometheus() {
    let cluster = cluster();
    // Free a moment ago.
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port");
    let variables = [("PG_URL", cluster.monitor_url("postgres")), ("LISTEN", free.to_string())];
    let (service, _, address) = Service::start_with("exporter", &variables);
    let page = loop {
        if let Ok((200, page)) = try_get(format!("{address}/metrics")) {
            break page;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    assert!(page.contains("\npg_up 1\n") && page.contains("pg_stat_database_xact_commit"), "{page}");
    service.interrupt();
}

#[test]
fn health_tells_how_the_agent_is_and_ends_it_in_order() {
    let (service, _, address) = Service::start("health", None);
    let (status, text) = get(format!("{address}/health"));
    assert!(status == 200 && text.contains(" visits, "), "{status} {text}");
    let last = service.interrupt();
    assert!(last.iter().any(|line| line.starts_with("flushed: true; ") && line.ends_with(" 0 are left")), "{last:?}");
}

#[test]
fn nest_server_serves_under_its_path() {
    let (service, before, address) = Service::start("nest_server", None);
    assert!(before.iter().any(|line| line.starts_with("log in as admin with ")), "{before:?}");
    assert_eq!(get(format!("{address}/")), (200, "the application's own page".to_owned()));
    let (status, health) = get(format!("{address}/monitoring/api/v1/health"));
    assert_eq!(status, 200, "{health}");
    assert!(health.contains(r#""status":"healthy""#), "{health}");
    let (status, refusal) = get(format!("{address}/monitoring/api/v1/servers"));
    assert_eq!(status, 401, "{refusal}");
    let (status, page) = get(format!("{address}/monitoring/"));
    assert!(status == 200 && page.contains("<html"), "{status} {page}");
    service.interrupt();
}

#[test]
fn query_store_answers_sql() {
    let cluster = cluster();
    let out = output("query_store", Some(cluster.monitor_url("postgres")));
    let mut lines = out.lines().skip_while(|line| !line.starts_with("datname,"));
    assert_eq!(lines.next(), Some("datname,commits,blocks_hit,quality"), "{out}");
    let postgres = lines.find(|line| line.starts_with("postgres,")).unwrap_or_else(|| panic!("no row: {out}"));
    let commits: i64 = postgres.split(',').nth(1).and_then(|text| text.parse().ok()).expect("a number");
    assert!(commits > 0, "{out}");
}

//! `check`: tries everything and says what works, what does not, what to do.

use std::{fmt::Write, process::ExitCode, time::Duration};

use futures::{future::join_all, join};
use pganalytics_collect::{
    CollectContext, Collector, Config, FrameGroup, Sink, SinkError,
    check::{MeasurementCheck, Section, State},
    clock::{Clock, SystemClock},
    postgres::{PostgresServer, ServerCheck},
};
use pganalytics_core::StreamId;
use serde_json::json;
use tokio::time::Instant;

use super::{
    FAILED, say, say_json,
    table::{Table, wrapped},
};

/// Time for what is not a PostgreSQL server; a dead mount takes all of it.
const LIMIT: Duration = Duration::from_secs(10);

pub(crate) async fn check(config: &Config, as_json: bool) -> ExitCode {
    let servers = config.servers();
    let mut host = config.host();
    let mut others = config.others();
    let (checks, host, mut others, backend) = join!(
        join_all(servers.iter().map(PostgresServer::check)),
        tried(config, &mut host, "host", "this host"),
        join_all(others.iter_mut().map(|collector| {
            let name = collector.name().to_owned();
            async move { tried(config, collector.as_mut(), "collector", &name).await }
        })),
        backend(config)
    );
    others.extend(files(config));
    let failed = checks.iter().any(ServerCheck::failed)
        || host.failed()
        || others.iter().any(Section::failed)
        || backend.as_ref().is_some_and(Result::is_err);
    if as_json {
        let backend = backend.as_ref().map(|result| match result {
            Ok(url) => json!({ "url": url, "state": "works" }),
            Err(message) => json!({ "state": "off", "why": message }),
        });
        let files: Vec<_> = config.catalog_errors.iter().map(ToString::to_string).collect();
        say_json(&json!({
            "servers": checks, "host": host.measurements, "others": others, "backend": backend,
            "catalog_errors": files, "ok": !failed,
        }));
    } else {
        let mut text = String::new();
        if checks.is_empty() {
            text.push_str("servers: none set; name one with --postgres, POSTGRES_HOST or [[postgres]]\n\n");
        }
        for section in checks.iter().map(ServerCheck::section).chain([host]).chain(others) {
            text.push_str(&as_text(&section));
            text.push('\n');
        }
        let _ = match backend {
            None => writeln!(text, "backend: none set; run needs --backend-url, BACKEND_URL or [backend] url"),
            Some(Ok(url)) => writeln!(text, "backend: {url} works"),
            Some(Err(message)) => writeln!(text, "backend: off: {message}"),
        };
        say(&text);
    }
    if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

/// What a collector brings of that which the settings want.
async fn tried(config: &Config, collector: &mut dyn Collector, kind: &'static str, name: &str) -> Section {
    let measurements = collector.measurements();
    let wanted = measurements.iter().filter(|measurement| config.plan.interval_of(measurement).is_some());
    let cx = CollectContext {
        due: wanted.map(|measurement| measurement.name().clone()).collect(),
        now: SystemClock.now(),
        deadline: Instant::now() + LIMIT,
        only_visit: true,
    };
    let mut section = Section::new(kind, name);
    match collector.collect(&cx).await {
        Ok(collected) => section.report(collected.reports),
        Err(error) => section.find("connection", State::Off, error.to_string(), None),
    }
    section
}

/// The folder of catalog files, if there is one.
fn files(config: &Config) -> Option<Section> {
    let folder = config.catalog_folder()?;
    let mut section = Section::new("catalog", "files of your own");
    section.address = Some(folder.path().display().to_string());
    let good = folder.files().iter().filter(|file| file.error.is_none()).count();
    section.find("files", State::Works, format!("{good} are good"), None);
    for error in &config.catalog_errors {
        section.find("file", State::Off, error.to_string(), None);
    }
    Some(section)
}

/// Pushes nothing to the server: whether it can be reached and lets us in.
async fn backend(config: &Config) -> Option<Result<String, String>> {
    let sink = match config.http_sink() {
        Ok(sink) => sink?,
        Err(error) => return Some(Err(error.to_string())),
    };
    let url = config.backend.as_ref().map(|backend| backend.url.clone()).unwrap_or_default();
    let nothing = FrameGroup { stream: StreamId::random(), frames: Vec::new() };
    Some(match sink.deliver(nothing).await {
        // It read the body, so it had let us in.
        Ok(_) | Err(SinkError::Unreadable { .. }) => Ok(url),
        Err(error) => Err(error.to_string()),
    })
}

/// Findings, a table of what is there, and what is wrong with it: once for all
/// that share a reason.
fn as_text(section: &Section) -> String {
    let mut text = section.name.clone();
    if let Some(address) = &section.address {
        let _ = write!(text, " at {address}");
    }
    let _ = writeln!(text, ": {}", section.worst().as_str());
    for finding in &section.findings {
        let line = format!("{:9} {}: {}", finding.state.as_str(), finding.about, finding.message);
        text.push_str(&wrapped(&line, "  ", "            "));
        text.push_str(&fix(finding.fix.as_deref(), "            "));
    }
    let (absent, there): (Vec<_>, Vec<_>) = section.measurements.iter().partition(|check| check.out_of_reach());
    if !there.is_empty() {
        text.push('\n');
        text.push_str(&table_of(&there));
    }
    let troubles = there.iter().filter(|check| check.why.is_some()).copied();
    for (about, measurements) in grouped(troubles, |check| (check.state, check.why.clone(), check.fix.clone())) {
        let (state, why, mend) = about;
        text.push('\n');
        let line = format!("{}: {}", state.as_str(), measurements.join(", "));
        text.push_str(&wrapped(&line, "  ", "    "));
        text.push_str(&wrapped(&why.unwrap_or_default(), "    ", "    "));
        text.push_str(&fix(mend.as_deref(), "    "));
    }
    if !absent.is_empty() {
        text.push_str("\n  not to be had here:\n");
        for (why, measurements) in grouped(absent.into_iter(), |check| check.why.clone().unwrap_or_default()) {
            text.push_str(&wrapped(&format!("{}: {why}", measurements.join(", ")), "    ", "      "));
        }
    }
    text
}

/// A fix of one line stands behind its word, a script below it.
fn fix(fix: Option<&str>, indent: &str) -> String {
    match fix {
        None => String::new(),
        Some(line) if !line.contains('\n') => format!("{indent}fix: {line}\n"),
        Some(script) => {
            let lines = script.lines().fold(String::new(), |text, line| text + indent + "  " + line + "\n");
            format!("{indent}fix:\n{lines}")
        }
    }
}

/// Measurements by something that they share, in the order of the first of each.
fn grouped<'a, K: PartialEq>(
    checks: impl Iterator<Item = &'a MeasurementCheck>,
    key: impl Fn(&MeasurementCheck) -> K,
) -> Vec<(K, Vec<String>)> {
    let mut groups: Vec<(K, Vec<String>)> = Vec::new();
    for check in checks {
        let key = key(check);
        let name = match &check.database {
            Some(database) => format!("{} in {database}", check.measurement),
            None => check.measurement.clone(),
        };
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
            None => groups.push((key, vec![name])),
        }
    }
    groups
}

fn table_of(checks: &[&MeasurementCheck]) -> String {
    let mut table = Table::new(["  measurement", "database", "state", "rows", "ms"].map(str::to_owned));
    for check in checks {
        table.row([
            format!("  {}", check.measurement),
            check.database.clone().unwrap_or_default(),
            check.state.as_str().to_owned(),
            check.rows.to_string(),
            format!("{:.1}", check.elapsed.as_secs_f64() * 1000.0),
        ]);
    }
    table.to_string()
}

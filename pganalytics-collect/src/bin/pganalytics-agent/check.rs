//! `check`: tries everything and says what works, what does not, what to do.

use std::{fmt::Write, process::ExitCode, time::Duration};

use futures::{future::join_all, join};
use pganalytics_collect::{
    CollectContext, Collector, Config, FrameGroup, Sink, SinkError,
    clock::{Clock, SystemClock},
    postgres::{MeasurementCheck, PostgresServer, ServerCheck, State},
};
use pganalytics_core::StreamId;
use serde_json::json;
use tokio::time::Instant;

use super::{FAILED, say, say_json, table::Table};

/// Time for what is no server; a dead mount of the host takes all of it.
const VISIT: Duration = Duration::from_secs(10);

pub(crate) async fn check(config: &Config, as_json: bool) -> ExitCode {
    let servers = config.servers();
    let mut host: Box<dyn Collector> = Box::new(config.host());
    let mut others = config.others();
    let (checks, host, others, backend) = join!(
        join_all(servers.iter().map(PostgresServer::check)),
        visit(config, &mut *host),
        join_all(others.iter_mut().map(|other| of_collector(config, &mut **other))),
        backend(config)
    );
    let failed = checks.iter().any(ServerCheck::failed)
        || host.iter().chain(others.iter().flat_map(|(_, checks)| checks)).any(|check| check.failed)
        || backend.as_ref().is_some_and(Result::is_err)
        || !config.catalog_errors.is_empty();
    if as_json {
        let backend = backend.as_ref().map(|result| match result {
            Ok(url) => json!({ "url": url, "state": "works" }),
            Err(message) => json!({ "state": "off", "why": message }),
        });
        let files: Vec<_> = config.catalog_errors.iter().map(ToString::to_string).collect();
        say_json(&json!({
            "servers": checks, "host": host, "others": others.iter().map(as_json_of).collect::<Vec<_>>(), "backend": backend, "catalog_errors": files, "ok": !failed,
        }));
    } else {
        let mut text: String = checks.iter().map(as_text).collect();
        if checks.is_empty() {
            text.push_str("servers: none set; name one with --postgres, POSTGRES_HOST or [[postgres]]\n\n");
        }
        let _ = writeln!(text, "this host\n{}", table_of(&host));
        for (name, checks) in &others {
            let _ = writeln!(text, "{name}\n{}", table_of(checks));
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

/// A pooler, or backups: its name and how its measurements went.
async fn of_collector(config: &Config, collector: &mut dyn Collector) -> (String, Vec<MeasurementCheck>) {
    let name = collector.name().to_owned();
    (name, visit(config, collector).await)
}

fn as_json_of((name, checks): &(String, Vec<MeasurementCheck>)) -> serde_json::Value {
    json!({ "name": name, "measurements": checks })
}

/// What a collector brings, of that what the settings want.
async fn visit(config: &Config, collector: &mut dyn Collector) -> Vec<MeasurementCheck> {
    let wanted = collector.measurements().into_iter();
    let wanted = wanted.filter(|measurement| config.plan.interval_of(measurement).is_some());
    let cx = CollectContext {
        due: wanted.map(|measurement| measurement.name().clone()).collect(),
        now: SystemClock.now(),
        deadline: Instant::now() + VISIT,
    };
    // What goes wrong is in the reports.
    let reports = collector.collect(&cx).await.map(|collected| collected.reports).unwrap_or_default();
    reports.into_iter().map(MeasurementCheck::from).collect()
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

fn as_text(check: &ServerCheck) -> String {
    let mut text = check.server.clone();
    if check.address != check.server {
        let _ = write!(text, " at {}", check.address);
    }
    let _ = writeln!(text, ": {}", word(check.worst()));
    for finding in &check.findings {
        let _ = writeln!(text, "  {:9} {}: {}", word(finding.state), finding.about, finding.message);
        if let Some(fix) = &finding.fix {
            let _ = writeln!(text, "            fix: {fix}");
        }
    }
    if !check.measurements.is_empty() {
        text.push_str(&table_of(&check.measurements));
    }
    text.push('\n');
    text
}

fn table_of(checks: &[MeasurementCheck]) -> String {
    let mut table = Table::new(["  measurement", "database", "state", "rows", "ms", "why"].map(str::to_owned));
    for check in checks {
        table.long_row([
            format!("  {}", check.measurement),
            check.database.clone().unwrap_or_default(),
            word(check.state).to_owned(),
            check.rows.to_string(),
            format!("{:.1}", check.elapsed.as_secs_f64() * 1000.0),
            check.why.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}

fn word(state: State) -> &'static str {
    match state {
        State::Works => "works",
        State::Degraded => "degraded",
        State::Off => "off",
    }
}

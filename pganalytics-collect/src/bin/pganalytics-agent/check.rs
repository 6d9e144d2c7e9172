//! `check`: tries everything and says what works, what does not, what to do.

use std::{fmt::Write, process::ExitCode};

use futures::future::join_all;
use pganalytics_collect::{
    Config, FrameGroup, Sink, SinkError,
    postgres::{ServerCheck, State},
};
use pganalytics_core::StreamId;
use serde_json::json;

use super::{FAILED, MISUSED, complain, say, say_json, table::Table};

pub(crate) async fn check(config: &Config, as_json: bool) -> ExitCode {
    // A server that can't be reached is a finding; no server at all a mistake.
    if let Err(error) = config.agent().build() {
        return complain(&error, MISUSED);
    }
    let servers = config.servers();
    let checks = join_all(servers.iter().map(pganalytics_collect::postgres::PostgresServer::check)).await;
    let backend = backend(config).await;
    let fine =
        |check: &ServerCheck| check.reached() && check.findings.iter().all(|finding| finding.state != State::Off);
    let all_fine =
        checks.iter().all(fine) && backend.as_ref().is_none_or(Result::is_ok) && config.catalog_errors.is_empty();
    if as_json {
        let backend = backend.as_ref().map(|result| match result {
            Ok(url) => json!({ "url": url, "state": "works" }),
            Err(message) => json!({ "state": "off", "why": message }),
        });
        let files: Vec<_> = config.catalog_errors.iter().map(ToString::to_string).collect();
        say_json(&json!({ "servers": checks, "backend": backend, "catalog_errors": files, "ok": all_fine }));
    } else {
        let mut text: String = checks.iter().map(as_text).collect();
        let _ = match backend {
            None => writeln!(text, "backend: none set (BACKEND_URL); only once and check will do"),
            Some(Ok(url)) => writeln!(text, "backend {url}: works"),
            Some(Err(message)) => writeln!(text, "backend: off: {message}"),
        };
        say(&text);
    }
    if all_fine { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
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
    let mut text = format!("{} ({}): {}\n", check.server, check.address, word(check.worst()));
    for finding in &check.findings {
        let _ = writeln!(text, "  {:9} {}: {}", word(finding.state), finding.about, finding.message);
        if let Some(fix) = &finding.fix {
            let _ = writeln!(text, "            fix: {fix}");
        }
    }
    if !check.measurements.is_empty() {
        let mut table = Table::new(["  measurement", "database", "state", "rows", "ms", "why"].map(str::to_owned));
        for found in &check.measurements {
            table.long_row([
                format!("  {}", found.measurement),
                found.database.clone().unwrap_or_default(),
                word(found.state).to_owned(),
                found.rows.to_string(),
                format!("{:.1}", found.elapsed.as_secs_f64() * 1000.0),
                found.why.clone().unwrap_or_default(),
            ]);
        }
        text.push_str(&table.to_string());
    }
    text.push('\n');
    text
}

fn word(state: State) -> &'static str {
    match state {
        State::Works => "works",
        State::Degraded => "degraded",
        State::Off => "off",
    }
}

//! `once`: collects once and prints what was found.

use std::{fmt::Write, process::ExitCode};

use pganalytics_collect::{Config, Outcome, Report};
use pganalytics_core::{Batch, Source, Timestamp, Value, json::to_metric};
use serde_json::json;

use super::{FAILED, MISUSED, complain, say, say_json, table::Table};

/// Rows of a measurement that are printed as a table.
const SHOWN: usize = 20;

pub(crate) async fn once(config: &Config, as_json: bool) -> ExitCode {
    let mut agent = match config.agent().build() {
        Ok(agent) => agent,
        Err(error) => return complain(&error, MISUSED),
    };
    let mut batches = Vec::new();
    let mut reports = Vec::new();
    let mut errors = Vec::new();
    for visit in agent.once().await {
        match visit.collected {
            Ok(collected) => {
                batches.extend(collected.batches);
                reports.extend(collected.reports);
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    let failed = !config.catalog_errors.is_empty()
        || !errors.is_empty()
        || reports.iter().any(|report| matches!(report.outcome, Outcome::Failed { .. }));
    if as_json {
        let metrics: Vec<_> = batches.iter().map(to_metric).collect();
        let reports: Vec<_> = reports.iter().map(report_as_json).collect();
        say_json(&json!({ "metrics": metrics, "reports": reports, "errors": errors }));
    } else {
        say(&as_text(&batches, &reports, &errors));
    }
    if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

fn as_text(batches: &[Batch], reports: &[Report], errors: &[String]) -> String {
    let width = terminal_width();
    let mut text = String::new();
    for batch in batches {
        let (name, place, rows) = (batch.schema.measurement(), place(Some(&batch.source)), batch.rows.len());
        let _ = writeln!(text, "{name} of {place}: {rows} {}", if rows == 1 { "row" } else { "rows" });
        match rows {
            0 => {}
            1 => text.push_str(&upright(batch)),
            _ => text.push_str(&table_of(batch, width)),
        }
        text.push('\n');
    }
    text.push_str(&account(reports));
    for error in errors {
        let _ = writeln!(text, "failed: {error}");
    }
    text
}

/// The only row of a batch, a line for each value that there is.
fn upright(batch: &Batch) -> String {
    let mut table = Table::new(["  column", "value"].map(str::to_owned));
    for (at, column) in batch.schema.columns().iter().enumerate() {
        let value = batch.rows.get(0, at);
        if value != Value::Null {
            table.long_row([format!("  {}", column.name), format!("{} {}", shown(value), column.unit)]);
        }
    }
    table.to_string()
}

/// The first rows of a batch, without columns that are empty in all of them.
fn table_of(batch: &Batch, width: usize) -> String {
    let rows = 0..batch.rows.len().min(SHOWN);
    let columns = batch.schema.columns().iter().enumerate();
    let (places, names): (Vec<usize>, Vec<String>) = columns
        .filter(|(at, _)| rows.clone().any(|row| batch.rows.get(row, *at) != Value::Null))
        .map(|(at, column)| (at, column.name.clone()))
        .unzip();
    let indented = |cells: Vec<String>| {
        let mut cells = cells.into_iter();
        let first = cells.next().map(|cell| format!("  {cell}"));
        first.into_iter().chain(cells)
    };
    let mut table = Table::new(indented(names));
    for row in rows {
        table.row(indented(places.iter().map(|&at| shown(batch.rows.get(row, at))).collect()));
    }
    let narrow = table.fit(width);
    let mut text = table.to_string();
    let more = [(batch.rows.len().saturating_sub(SHOWN), "rows"), (narrow, "columns")];
    let more: Vec<_> =
        more.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} more {what}")).collect();
    if !more.is_empty() {
        let _ = writeln!(text, "  … {} (--json shows all)", more.join(" and "));
    }
    text
}

/// How it went. What went wrong for one reason at one place is one line.
fn account(reports: &[Report]) -> String {
    let mut table = Table::new(["measurement", "of", "status", "ms", "why"].map(str::to_owned));
    let fate = |report: &Report| (report.source.clone(), report.outcome.clone());
    for same in reports.chunk_by(|a, b| !words(&a.outcome).1.is_empty() && fate(a) == fate(b)) {
        let Some((report, others)) = same.split_first() else { continue };
        let (status, why) = words(&report.outcome);
        let name = match others.len() {
            0 => report.measurement.to_string(),
            more => format!("{} and {more} more", report.measurement),
        };
        let millis = format!("{:.1}", report.elapsed.as_secs_f64() * 1000.0);
        table.long_row([name, place(report.source.as_ref()), status.to_owned(), millis, why.to_owned()]);
    }
    table.to_string()
}

/// Whoever reads on a terminal can't scroll sideways; a file or a pager can.
fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or(usize::MAX / 2, |size| usize::from(size.ws_col).max(80))
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::Null => String::new(),
        Value::Int(value) => value.to_string(),
        // What an eye can use; --json has every digit.
        Value::Float(value) => ((value * 1e6).round() / 1e6).to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Timestamp(micros) => Timestamp::from_micros(micros).to_string(),
        Value::Text(text) => text.to_owned(),
    }
}

fn place(source: Option<&Source>) -> String {
    match source {
        None => String::from("?"),
        Some(Source { server, database: None, .. }) => server.to_string(),
        Some(Source { server, database: Some(database), .. }) => format!("{server}/{database}"),
    }
}

fn words(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Collected { .. } => ("ok", ""),
        Outcome::Unsupported { reason } => ("unsupported", reason),
        Outcome::Skipped { reason } => ("skipped", reason),
        Outcome::Failed { message } => ("failed", message),
        _ => ("?", ""),
    }
}

fn report_as_json(report: &Report) -> serde_json::Value {
    let (status, why) = words(&report.outcome);
    let source = report.source.as_ref();
    json!({
        "measurement": report.measurement.as_str(),
        "server": source.map(|source| &*source.server),
        "database": source.and_then(|source| source.database.as_deref()),
        "status": status,
        "why": Some(why).filter(|why| !why.is_empty()),
        "duration_ms": report.elapsed.as_secs_f64() * 1000.0,
    })
}

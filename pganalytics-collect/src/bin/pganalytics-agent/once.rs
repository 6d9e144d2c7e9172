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
    let failed = !errors.is_empty() || reports.iter().any(|report| matches!(report.outcome, Outcome::Failed { .. }));
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
    let mut text = String::new();
    for batch in batches {
        let schema = &batch.schema;
        let _ =
            writeln!(text, "\n{} of {}: {} rows", schema.measurement(), place(Some(&batch.source)), batch.rows.len());
        let mut table = Table::new(schema.columns().iter().map(|column| column.name.clone()));
        for row in 0..batch.rows.len().min(SHOWN) {
            table.row((0..schema.columns().len()).map(|column| shown(batch.rows.get(row, column))));
        }
        text.push_str(&table.to_string());
        if batch.rows.len() > SHOWN {
            let _ = writeln!(text, "… {} more (--json shows all)", batch.rows.len() - SHOWN);
        }
    }
    let mut table = Table::new(["measurement", "of", "status", "ms", "why"].map(str::to_owned));
    for report in reports {
        let (status, why) = words(&report.outcome);
        let millis = format!("{:.1}", report.elapsed.as_secs_f64() * 1000.0);
        table.long_row([
            report.measurement.to_string(),
            place(report.source.as_ref()),
            status.to_owned(),
            millis,
            why.to_owned(),
        ]);
    }
    let _ = write!(text, "\n{table}");
    for error in errors {
        let _ = writeln!(text, "failed: {error}");
    }
    text
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::Null => String::new(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
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

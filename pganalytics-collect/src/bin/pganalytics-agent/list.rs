//! `config` and `measurements`: what holds and what there is.

use std::{fmt::Write, process::ExitCode};

use pganalytics_collect::{Config, reference::to_markdown};
use serde_json::json;

use super::{say, say_json, table::Table};

pub(crate) fn config(config: &Config, as_json: bool) -> ExitCode {
    if as_json {
        let settings = config
            .settings()
            .iter()
            .map(|setting| json!({ "key": setting.key, "value": setting.value, "origin": setting.origin.to_string() }));
        say_json(&settings.collect());
        return ExitCode::SUCCESS;
    }
    let mut settings: Vec<_> = config.settings().iter().collect();
    settings.sort_by_key(|setting| &setting.key);
    let width = settings.iter().map(|setting| setting.key.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for setting in settings {
        let value = if setting.value.is_empty() { "(not set)" } else { setting.value.as_str() };
        let _ = writeln!(text, "{:width$} = {value}  # {}", setting.key, setting.origin);
    }
    say(&text);
    ExitCode::SUCCESS
}

/// The reference page, the user's own measurements among the others.
pub(crate) fn page(config: &Config) -> ExitCode {
    say(&to_markdown(&config.catalog));
    ExitCode::SUCCESS
}

pub(crate) fn measurements(config: &Config, as_json: bool) -> ExitCode {
    let interval = |measurement| config.plan.interval_of(measurement).map(|interval| interval.as_secs_f64());
    if as_json {
        let all = config.catalog.iter().map(|measurement| {
            json!({
                "name": measurement.name().as_str(),
                "title": measurement.title(),
                "doc": measurement.doc(),
                "scope": measurement.scope().as_str(),
                "interval": interval(measurement),
                "columns": measurement.columns().iter().map(|column| &column.name).collect::<Vec<_>>(),
            })
        });
        say_json(&all.collect());
        return ExitCode::SUCCESS;
    }
    let mut table = Table::new(["measurement", "scope", "every", "columns", "what"].map(str::to_owned));
    for measurement in &config.catalog {
        table.row([
            measurement.name().to_string(),
            measurement.scope().as_str().to_owned(),
            interval(measurement).map_or_else(|| String::from("off"), |seconds| format!("{seconds} s")),
            measurement.columns().len().to_string(),
            measurement.title().to_owned(),
        ]);
    }
    say(&table.to_string());
    ExitCode::SUCCESS
}

//! `tune`: settings for a PostgreSQL server of this size. Prints; applies nothing.

use std::{env, fmt::Write, path::Path, process::ExitCode, str::FromStr};

use clap::{Args, ValueEnum};
use pganalytics_collect::resources::detect;
use pganalytics_core::autoconfig::{
    AdviseError, CpuSource, Inputs, MemorySource, PrimaryLimits, Profile, Setting, Storage, Workload, advise, log_line,
    parse_memory,
};
use serde_json::json;

use super::{FAILED, MISUSED, say, say_error, say_json};

#[derive(Args, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tune {
    /// guide looks at memory and processors, newer at workload and storage too
    #[arg(long, default_value = "guide", value_parser = Profile::from_str)]
    profile: Profile,
    /// Memory in MB, or POSTGRES_MEMORY; otherwise the limit of the container, or all there is
    #[arg(long, value_name = "MB", value_parser = parse_memory)]
    memory: Option<u64>,
    /// Processors; otherwise the quota of the container, or all there are
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    cpus: Option<u64>,
    /// web, oltp, dw or mixed, or POSTGRES_WORKLOAD_TYPE; mixed otherwise
    #[arg(long, value_parser = Workload::from_str)]
    workload: Option<Workload>,
    /// ssd, san or hdd, or POSTGRES_STORAGE_TYPE; ssd otherwise
    #[arg(long, value_parser = Storage::from_str)]
    storage: Option<Storage>,
    /// The server is a standby; these are the limits of its primary, as pg_controldata tells
    /// them: max_connections=120,max_worker_processes=8,max_wal_senders=10,
    /// max_prepared_transactions=0,max_locks_per_transaction=64
    #[arg(long, value_name = "NAME=VALUE,…", value_parser = parse_primary, verbatim_doc_comment)]
    primary: Option<PrimaryLimits>,
    /// Major version of PostgreSQL
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u32).range(14..=18))]
    pg: u32,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Conf)]
    format: Format,
    /// Print the line for the server's log first
    #[arg(long)]
    log: bool,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Lines for postgresql.conf
    Conf,
    /// Arguments for postgres, in one line
    Flags,
    /// Statements
    AlterSystem,
    /// With context, rule and note of each
    Json,
}

fn parse_primary(text: &str) -> Result<PrimaryLimits, String> {
    let find = |name: &str| {
        let value = text.split(',').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.trim().parse().ok()).ok_or_else(|| format!("{name}=NUMBER is missing"))
    };
    Ok(PrimaryLimits {
        max_connections: find("max_connections")?,
        max_worker_processes: find("max_worker_processes")?,
        max_wal_senders: find("max_wal_senders")?,
        max_prepared_transactions: find("max_prepared_transactions")?,
        max_locks_per_transaction: find("max_locks_per_transaction")?,
    })
}

/// A variable that is set to nothing, as compose files do, is not set.
fn variable<T>(name: &str, parse: fn(&str) -> Result<T, AdviseError>) -> Result<Option<T>, String> {
    let text = env::var_os(name).unwrap_or_default();
    let text = text.to_string_lossy();
    if text.is_empty() {
        return Ok(None);
    }
    parse(&text).map(Some).map_err(|error| format!("{name}: {error}"))
}

fn inputs(tune: &Tune) -> Result<Inputs, String> {
    let found = detect(Path::new("/"));
    let memory = match tune.memory {
        Some(memory) => Some(memory),
        None => variable("POSTGRES_MEMORY", parse_memory)?,
    };
    let workload = match tune.workload {
        Some(workload) => Some(workload),
        None => variable("POSTGRES_WORKLOAD_TYPE", Workload::from_str)?,
    };
    let storage = match tune.storage {
        Some(storage) => Some(storage),
        None => variable("POSTGRES_STORAGE_TYPE", Storage::from_str)?,
    };
    let (memory_mb, memory_source) =
        memory.map_or((found.memory_mb, found.memory_source), |memory| (memory, MemorySource::Manual));
    let (cpus, cpu_source) = tune.cpus.map_or((found.cpus, found.cpu_source), |cpus| (cpus, CpuSource::Manual));
    Ok(Inputs {
        profile: tune.profile,
        memory_mb,
        memory_source,
        cpus,
        cpu_source,
        workload: workload.unwrap_or(Workload::Mixed),
        storage: storage.unwrap_or(Storage::Ssd),
        postgres: tune.pg,
        primary: tune.primary,
    })
}

pub(crate) fn tune(tune: &Tune, as_json: bool) -> ExitCode {
    let inputs = match inputs(tune) {
        Ok(inputs) => inputs,
        Err(message) => {
            say_error(&message);
            return ExitCode::from(MISUSED);
        }
    };
    let settings = match advise(&inputs) {
        Ok(settings) => settings,
        Err(error) => {
            say_error(&error.to_string());
            return ExitCode::from(FAILED);
        }
    };
    if matches!(inputs.memory_source, MemorySource::Meminfo | MemorySource::Default) {
        say_error(
            "no memory limit was found, so this is advice for a server that has the machine to itself; otherwise give --memory",
        );
    }
    if tune.log {
        say(&format!("{}\n", log_line(&inputs, &settings)));
    }
    match if as_json { Format::Json } else { tune.format } {
        Format::Json => say_json(&settings.iter().map(json).collect()),
        Format::Conf => say(&settings.iter().fold(String::new(), |mut text, setting| {
            if let Some(note) = &setting.note {
                let _ = writeln!(text, "# {note}");
            }
            let _ = writeln!(text, "{} = {}", setting.name, setting.text());
            text
        })),
        Format::Flags => {
            let flags: Vec<_> =
                settings.iter().map(|setting| format!("-c {}={}", setting.name, setting.text())).collect();
            say(&format!("{}\n", flags.join(" ")));
        }
        Format::AlterSystem => say(&settings.iter().fold(String::new(), |mut text, setting| {
            let _ = writeln!(text, "ALTER SYSTEM SET {} = '{}';", setting.name, setting.text());
            text
        })),
    }
    ExitCode::SUCCESS
}

fn json(setting: &Setting) -> serde_json::Value {
    json!({
        "name": setting.name,
        "value": setting.text(),
        "context": setting.context.as_str(),
        "rule": setting.rule,
        "note": setting.note,
    })
}

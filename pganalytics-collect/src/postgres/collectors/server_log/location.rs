//! Where a server's log is, by its settings.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use pganalytics_core::Timestamp;

use crate::{
    logs::{Format, Options, Prefix, Zone, pattern::Pattern, tail::LogLocation},
    postgres::{
        session::Session,
        settings::{Host, PostgresConfig},
    },
};

const SETTINGS: &str = "
select name::text, setting::text from pg_catalog.pg_settings
where name in ('data_directory', 'log_destination', 'logging_collector', 'log_directory',
               'log_filename', 'log_line_prefix', 'log_timezone')";

/// What a server says of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    values: HashMap<String, String>,
    /// Why they could not be read.
    fault: Option<String>,
}

/// Asks a server.
pub(super) async fn read(session: &mut Session, config: &PostgresConfig) -> Settings {
    let mut values = HashMap::new();
    let mut fault = session.begin().await.err();
    if fault.is_none() {
        let read = session.read(SETTINGS, None, |row| {
            if let (Ok(name), Ok(value)) = (row.try_get(0), row.try_get(1)) {
                values.insert(name, value);
            }
            Ok(())
        });
        fault = read.await.err();
        let _ = session.end().await;
    }
    let mut fault = fault.map(|fault| fault.to_string());
    if fault.is_none() && !values.contains_key("log_directory") {
        fault = Some(format!("{} may not see where the log is: GRANT pg_monitor TO {0}", config.user));
    }
    Settings { values, fault }
}

impl Settings {
    fn value(&self, name: &str) -> &str {
        self.values.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Its prefix.
    pub(super) fn prefix(&self) -> Prefix {
        Prefix::new(self.value("log_line_prefix"))
    }

    /// Its `log_timezone`.
    pub(super) fn zone(&self) -> Zone {
        Zone::named(self.value("log_timezone"))
    }

    /// What makes it write a log that can be read, where a setting does.
    pub(super) fn fix(&self) -> Option<String> {
        let off = self.fault.is_none() && self.value("logging_collector") != "on";
        off.then(|| String::from("ALTER SYSTEM SET logging_collector = on;\n-- restart PostgreSQL"))
    }

    /// Whether it is read through the server.
    pub(super) fn is_over_sql(&self, config: &PostgresConfig) -> bool {
        let local = config.hosts.iter().all(Host::is_local);
        config.log.paths.is_empty() && (config.log.over_sql || !local)
    }

    /// Where the log is and how it is written, or why it can't be read.
    /// `elsewhere`: the folder is not on this host.
    pub(super) fn location(
        &self,
        config: &PostgresConfig,
        now: Timestamp,
        elsewhere: bool,
    ) -> Result<LogLocation, String> {
        let options = Options::default().zone(self.zone()).now(now);
        let prefix = || self.prefix();
        let from_start = config.log.from_start;
        let given: Vec<Pattern> = config.log.paths.iter().filter_map(|path| Pattern::new(path)).collect();
        if let Some(first) = given.first() {
            let format = match first.name() {
                name if name.ends_with(".csv") => Format::Csv,
                name if name.ends_with(".json") => Format::Json,
                "syslog" | "messages" => Format::Syslog(prefix()),
                _ => Format::Stderr(prefix()),
            };
            return Ok(LogLocation { patterns: given, format, options, from_start, only_visit: false });
        }
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let over_sql = elsewhere || self.is_over_sql(config);
        let written: Vec<&str> = self.value("log_destination").split(',').map(str::trim).collect();
        if self.value("logging_collector") != "on" {
            return Err(String::from(if over_sql {
                "logging_collector is off, so its log can't be read over SQL; set logging_collector = on and restart \
                 PostgreSQL, or run an agent on its host"
            } else {
                "logging_collector is off, so the server does not say where its log is; name its files in log_path of \
                 its [[postgres]] (Debian: /var/log/postgresql/*.log), or set logging_collector = on"
            }));
        }
        let (format, ending) = if written.contains(&"jsonlog") {
            (Format::Json, Some(".json"))
        } else if written.contains(&"csvlog") {
            (Format::Csv, Some(".csv"))
        } else if written.contains(&"stderr") {
            (Format::Stderr(prefix()), None)
        } else {
            return Err(format!(
                "log_destination is {}; name the file that the syslog daemon writes in log_path of its settings",
                self.value("log_destination")
            ));
        };
        let folder = PathBuf::from(self.value("log_directory"));
        // The server itself may read below its data directory by relative names.
        let folder = if over_sql { folder } else { PathBuf::from(self.value("data_directory")).join(folder) };
        let pattern = Pattern::of_settings(folder, self.value("log_filename"), ending);
        Ok(LogLocation { patterns: vec![pattern], format, options, from_start, only_visit: false })
    }
}

/// What to do when the system refuses a file or folder.
pub(super) fn advice(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "{path}: permission denied; let the agent's user read it: add it to the group of the files (Debian: usermod \
             -aG adm <user>, elsewhere the group postgres) and set log_file_mode = 0640; for a log_directory inside the \
             data directory also group access (chmod g+rX, as initdb --allow-group-access does), or move log_directory \
             out of it; or set log_over_sql = true in its [[postgres]]"
        ),
        io::ErrorKind::NotFound => format!(
            "{path}: there is no such folder on this host; when the server runs elsewhere or in a container, name its \
             files as they are seen from here in log_path of its [[postgres]]"
        ),
        _ => format!("{path}: {error}"),
    }
}

/// Nothing is there that a log could be.
pub(super) fn no_file(location: &LogLocation) -> String {
    let names: Vec<_> =
        location.patterns.iter().map(|pattern| pattern.folder().join(pattern.name()).display().to_string()).collect();
    format!("{}: there is no such file on this host; see log_path in its settings", names.join(", "))
}

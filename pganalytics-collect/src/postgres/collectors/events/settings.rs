//! Settings that were changed.
//!
//! What the server keeps secret is hidden already in the batches (see the
//! measurement `pg_settings`), so that of such a setting an event can tell no
//! more than that it was set or emptied.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use pganalytics_core::{Batch, InstanceId, Value};

use super::{Event, Watcher};

/// Where values come from that are not the server's own: from this session, or
/// from what the server does just now.
const PASSING: &[&str] = &["client", "session", "interactive", "override"];

/// Remembers the settings of each server.
#[derive(Default)]
pub(super) struct SettingsWatcher {
    servers: BTreeMap<InstanceId, Settings>,
}

#[derive(Default)]
struct Settings {
    version: String,
    values: HashMap<String, Setting>,
}

#[derive(PartialEq, Eq)]
struct Setting {
    value: String,
    pending_restart: bool,
}

/// Reads the rows of `pg_settings`.
struct Reader<'a> {
    batch: &'a Batch,
}

impl<'a> Reader<'a> {
    fn value(&self, row: usize, column: &str) -> Value<'a> {
        self.batch.schema.position(column).map_or(Value::Null, |at| self.batch.rows.get(row, at))
    }

    fn text(&self, row: usize, column: &str) -> &'a str {
        match self.value(row, column) {
            Value::Text(text) => text,
            _ => "",
        }
    }

    /// As people read it: bytes and seconds, whatever PostgreSQL counts in.
    fn shown(&self, row: usize) -> Cow<'a, str> {
        let setting = self.text(row, "setting");
        let unit = match self.text(row, "value_unit") {
            "bytes" => "bytes",
            "seconds" => "s",
            _ => return Cow::Borrowed(setting),
        };
        match self.value(row, "value") {
            // What is below 0 has a meaning of its own.
            Value::Float(value) if value >= 0.0 => Cow::Owned(format!("{value} {unit}")),
            _ => Cow::Borrowed(setting),
        }
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        for row in 0..self.batch.rows.len() {
            let name = self.text(row, "name");
            if name == "server_version" {
                self.text(row, "setting").clone_into(&mut settings.version);
            }
            if self.text(row, "context") == "internal" || PASSING.contains(&self.text(row, "source")) {
                continue;
            }
            let pending_restart = self.value(row, "pending_restart") == Value::Bool(true);
            settings.values.insert(name.to_owned(), Setting { value: self.shown(row).into_owned(), pending_restart });
        }
        settings
    }
}

impl Settings {
    /// What changed. Settings that came or went did so with an extension, and
    /// those of another version have other defaults: nobody changed them.
    fn until(&self, now: &Self) -> Vec<Event> {
        if self.version != now.version {
            return Vec::new();
        }
        let mut events = Vec::new();
        for (name, now) in &now.values {
            let Some(before) = self.values.get(name) else { continue };
            let event = |kind, old: &str, new: &str| Event {
                kind,
                object: name.clone(),
                old: Some(old.to_owned()),
                new: Some(new.to_owned()),
            };
            if before.value != now.value {
                events.push(event("setting", &before.value, &now.value));
            }
            if before.pending_restart != now.pending_restart {
                let word = |pending| if pending { "restart needed" } else { "no restart needed" };
                events.push(event("setting_pending", word(before.pending_restart), word(now.pending_restart)));
            }
        }
        events.sort_by(|a, b| a.object.cmp(&b.object));
        events
    }
}

impl Watcher for SettingsWatcher {
    fn measurement(&self) -> &'static str {
        "pg_settings"
    }

    fn see(&mut self, batch: &Batch) -> Vec<Event> {
        let now = Reader { batch }.settings();
        // An empty answer is none.
        if now.values.is_empty() {
            return Vec::new();
        }
        let before = self.servers.insert(batch.source.instance_id, now);
        let now = self.servers.get(&batch.source.instance_id);
        before.zip(now).map_or_else(Vec::new, |(before, now)| before.until(now))
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn settings(version: &str, values: &[(&str, &str, bool)]) -> Settings {
        let setting = |&(name, value, pending_restart): &(&str, &str, bool)| {
            (name.to_owned(), Setting { value: value.to_owned(), pending_restart })
        };
        Settings { version: version.to_owned(), values: values.iter().map(setting).collect() }
    }

    #[test]
    fn only_what_somebody_changed_is_told() {
        let before =
            settings("16.4", &[("work_mem", "4", false), ("max_connections", "100", false), ("gone", "1", false)]);
        let now = settings("16.4", &[("work_mem", "8", false), ("max_connections", "100", true), ("come", "1", false)]);
        let events = before.until(&now);
        let told: Vec<_> = events.iter().map(|event| (event.kind, event.object.as_str())).collect();
        assert_eq!(told, [("setting_pending", "max_connections"), ("setting", "work_mem")]);
        assert_eq!((events[1].old.as_deref(), events[1].new.as_deref()), (Some("4"), Some("8")));
    }

    #[test]
    fn another_version_has_other_defaults() {
        let before = settings("16.4", &[("work_mem", "4", false)]);
        assert_eq!(before.until(&settings("16.5", &[("work_mem", "8", false)])), []);
    }
}

//! What a server is: its role, its version, its timeline, and since when it runs.

use std::collections::BTreeMap;

use pganalytics_core::{Batch, InstanceId, Timestamp, Value};

use super::{Event, Watcher};

/// Remembers each server as it was last.
#[derive(Default)]
pub(super) struct ServerWatcher {
    servers: BTreeMap<InstanceId, Server>,
}

/// What may change; NULL where the server did not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Server {
    in_recovery: Option<bool>,
    version: Option<i64>,
    timeline: Option<i64>,
    started: Option<Timestamp>,
}

impl Server {
    fn of(batch: &Batch) -> Option<Self> {
        if batch.rows.is_empty() {
            return None;
        }
        let value = |name| batch.schema.position(name).map_or(Value::Null, |at| batch.rows.get(0, at));
        let int = |name| match value(name) {
            Value::Int(value) => Some(value),
            _ => None,
        };
        Some(Self {
            in_recovery: match value("in_recovery") {
                Value::Bool(value) => Some(value),
                _ => None,
            },
            version: int("server_version_num"),
            timeline: int("timeline"),
            started: match value("start_time") {
                Value::Timestamp(micros) => Some(Timestamp::from_micros(micros)),
                _ => None,
            },
        })
    }

    /// What became of it. What it does not say now stays as it was known.
    fn until(self, now: Self) -> (Self, Vec<Event>) {
        let events = [
            change("restart", self.started, now.started, |time| time.to_string()),
            change("version", self.version, now.version, version),
            change("role", self.in_recovery, now.in_recovery, role),
            change("timeline", self.timeline, now.timeline, |timeline| timeline.to_string()),
        ];
        let now = Self {
            in_recovery: now.in_recovery.or(self.in_recovery),
            version: now.version.or(self.version),
            timeline: now.timeline.or(self.timeline),
            started: now.started.or(self.started),
        };
        (now, events.into_iter().flatten().collect())
    }
}

/// An event where both are known and differ.
fn change<T: PartialEq>(
    kind: &'static str,
    before: Option<T>,
    now: Option<T>,
    words: impl Fn(T) -> String,
) -> Option<Event> {
    let (before, now) = before.zip(now).filter(|(before, now)| before != now)?;
    Some(Event { kind, object: String::new(), old: Some(words(before)), new: Some(words(now)) })
}

fn role(in_recovery: bool) -> String {
    String::from(if in_recovery { "standby" } else { "primary" })
}

/// 16.4 for 160004.
fn version(number: i64) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

impl Watcher for ServerWatcher {
    fn measurement(&self) -> &'static str {
        "pg_server"
    }

    fn see(&mut self, batch: &Batch) -> Vec<Event> {
        let Some(now) = Server::of(batch) else { return Vec::new() };
        let id = batch.source.instance_id;
        let (known, events) = match self.servers.get(&id) {
            Some(before) => before.until(now),
            None => (now, Vec::new()),
        };
        self.servers.insert(id, known);
        events
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn server(version: i64, timeline: i64, started: i64) -> Server {
        Server {
            in_recovery: Some(false),
            version: Some(version),
            timeline: Some(timeline),
            started: Some(Timestamp::from_secs(started)),
        }
    }

    #[test]
    fn an_upgrade_is_a_restart_and_a_version() {
        let (known, events) = server(160_004, 1, 10).until(server(160_010, 1, 20));
        let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, ["restart", "version"]);
        assert_eq!((events[1].old.as_deref(), events[1].new.as_deref()), (Some("16.4"), Some("16.10")));
        assert_eq!(known, server(160_010, 1, 20));
        assert_eq!(known.until(known).1, []);
    }

    #[test]
    fn what_is_not_said_for_a_while_is_not_forgotten() {
        let silent = Server { in_recovery: None, version: None, timeline: None, started: None };
        let (known, events) = server(160_004, 1, 10).until(silent);
        assert_eq!(events, []);
        assert_eq!(known.until(server(160_004, 2, 10)).1.len(), 1);
    }
}

//! How many connections there are of each kind, instead of a list of them.

use std::collections::HashMap;

use pganalytics_core::Value;

use super::shape::{Record, wait};

/// Kinds that are told apart; applications beyond them are counted together.
const MOST: usize = 5_000;
/// What those are called.
const OTHERS: &str = "(others)";

/// What tells connections apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
struct Group {
    database: String,
    user: String,
    /// Of the server; empty for clients, whose own are no kind.
    addr: String,
    port: String,
    application_name: String,
    state: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Figures {
    connections: i64,
    tls_connections: i64,
    max_wait: f64,
}

/// Sums up the rows of `SHOW CLIENTS` or `SHOW SERVERS`.
pub(super) struct Summary {
    by_server: bool,
    most: usize,
    groups: HashMap<Group, Figures>,
}

/// A row of `pgbouncer_clients` or `pgbouncer_servers`.
pub(super) struct SummaryRow(Group, Figures);

impl Summary {
    pub(super) fn of_clients() -> Self {
        Self { by_server: false, most: MOST, groups: HashMap::new() }
    }

    pub(super) fn of_servers() -> Self {
        Self { by_server: true, ..Self::of_clients() }
    }

    pub(super) fn add(&mut self, record: &impl Record) {
        let text = |column| record.text(column).unwrap_or_default();
        let owned = |column| text(column).to_owned();
        let mut group = Group {
            database: owned("database"),
            user: owned("user"),
            addr: if self.by_server { owned("addr") } else { String::new() },
            port: if self.by_server { owned("port") } else { String::new() },
            application_name: application(text("application_name"), text("addr"), text("port")).to_owned(),
            state: owned("state"),
        };
        if self.groups.len() >= self.most && !self.groups.contains_key(&group) {
            OTHERS.clone_into(&mut group.application_name);
        }
        let waits = group.state.starts_with("waiting");
        let figures = self.groups.entry(group).or_default();
        figures.connections += 1;
        figures.tls_connections += i64::from(!text("tls").is_empty());
        if waits {
            // Of a client that is served it is how long it has been served.
            figures.max_wait = figures.max_wait.max(wait(record, &["wait", "wait_us"]).unwrap_or_default());
        }
    }

    /// The rows in an order that stays.
    pub(super) fn rows(self) -> Vec<SummaryRow> {
        let mut rows: Vec<_> = self.groups.into_iter().map(|(group, figures)| SummaryRow(group, figures)).collect();
        rows.sort_by(|SummaryRow(a, _), SummaryRow(b, _)| a.cmp(b));
        rows
    }
}

impl SummaryRow {
    pub(super) fn value(&self, column: &str) -> Option<Value<'_>> {
        let Self(group, figures) = self;
        Some(match column {
            "database" => Value::Text(&group.database),
            "user" => Value::Text(&group.user),
            "addr" => Value::Text(&group.addr),
            "port" => Value::Text(&group.port),
            "application_name" => Value::Text(&group.application_name),
            "state" => Value::Text(&group.state),
            "connections" => Value::Int(figures.connections),
            "tls_connections" => Value::Int(figures.tls_connections),
            "max_wait" => Value::Float(figures.max_wait),
            _ => return None,
        })
    }
}

/// The name without what `application_name_add_host` appends: ` - addr:port`,
/// which would make a kind of each connection.
fn application<'a>(name: &'a str, addr: &str, port: &str) -> &'a str {
    match name.rsplit_once(" - ") {
        Some((name, host)) if host.ends_with(&format!(":{port}")) && (addr.is_empty() || host.contains(addr)) => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    struct Client(&'static str, &'static str, &'static str);

    impl Record for Client {
        fn text(&self, column: &str) -> Option<&str> {
            Some(match column {
                "application_name" => self.0,
                "state" => self.1,
                "port" => self.2,
                "addr" => "10.0.0.1",
                "wait" => "2",
                "wait_us" => "500000",
                "tls" if self.2 == "1" => "TLSv1.3/x",
                "tls" => "",
                _ => "app",
            })
        }
    }

    #[test]
    fn clients_of_a_kind_are_one_row() {
        let mut summary = Summary::of_clients();
        for client in [
            Client("web - 10.0.0.1:1", "active", "1"),
            Client("web - 10.0.0.1:2", "active", "2"),
            Client("web - 10.0.0.1:3", "waiting", "3"),
            Client("a - b", "active", "4"),
        ] {
            summary.add(&client);
        }
        let rows = summary.rows();
        let figures: Vec<_> = rows
            .iter()
            .map(|SummaryRow(group, figures)| {
                (
                    &*group.application_name,
                    &*group.state,
                    figures.connections,
                    figures.tls_connections,
                    figures.max_wait,
                )
            })
            .collect();
        assert_eq!(
            figures,
            [("a - b", "active", 1, 0, 0.0), ("web", "active", 2, 1, 0.0), ("web", "waiting", 1, 0, 2.5)]
        );
        assert!(rows.iter().all(|row| row.value("addr") == Some(Value::Text(""))));
    }

    #[test]
    fn names_without_end_are_counted_together() {
        let mut summary = Summary { most: 1, ..Summary::of_servers() };
        for name in ["one", "two", "three", "one"] {
            summary.add(&Client(name, "active", "5432"));
        }
        let counts: Vec<_> = summary
            .rows()
            .iter()
            .map(|SummaryRow(group, figures)| (group.application_name.clone(), figures.connections))
            .collect();
        assert_eq!(counts, [(OTHERS.to_owned(), 2), ("one".to_owned(), 2)]);
    }
}

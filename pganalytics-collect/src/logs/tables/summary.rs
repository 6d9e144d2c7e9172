//! Counts of entries.

use std::collections::{BTreeMap, HashMap};

use pganalytics_core::{Batch, ModelError, Source, Timestamp, Value, catalog::Measurement};

use crate::{
    logs::{
        class::Class,
        entry::{Entry, Severity},
    },
    scrape::full_scrape,
};

/// Databases that are counted apart; entries name databases that do not exist,
/// too.
const MOST_DATABASES: usize = 500;
/// All further ones together.
const OTHERS: &str = "(others)";

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    entries: i64,
    bytes: i64,
}

#[derive(Debug)]
pub(super) struct Summary {
    started: Timestamp,
    databases: HashMap<String, BTreeMap<(Class, Severity), Count>>,
}

impl Summary {
    pub(super) fn new(started: Timestamp) -> Self {
        Self { started, databases: HashMap::new() }
    }

    pub(super) fn count(&mut self, class: Class, entry: &Entry<'_>) {
        let mut database = entry.database.unwrap_or_default();
        if self.databases.len() >= MOST_DATABASES && !self.databases.contains_key(database) {
            database = OTHERS;
        }
        if !self.databases.contains_key(database) {
            self.databases.insert(database.to_owned(), BTreeMap::new());
        }
        let Some(counts) = self.databases.get_mut(database) else { return };
        let count = counts.entry((class, entry.severity)).or_default();
        count.entries += 1;
        count.bytes = count.bytes.saturating_add(i64::try_from(entry.bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn batch(&self, measurement: &Measurement, source: &Source, at: Timestamp) -> Result<Batch, ModelError> {
        let counts = |(database, counts)| -> Vec<_> {
            let counts: &BTreeMap<(Class, Severity), Count> = counts;
            let database: &String = database;
            counts.iter().map(|(key, count)| (database.as_str(), *key, *count)).collect()
        };
        let mut rows: Vec<(&str, (Class, Severity), Count)> = self.databases.iter().flat_map(counts).collect();
        rows.sort_unstable_by_key(|(database, key, _)| (*database, *key));
        full_scrape(measurement, source.clone(), at, &rows, |(database, (class, severity), count), column| {
            Some(match column {
                "class" => Value::Text(class.as_str()),
                "severity" => Value::Text(severity.as_str()),
                "datname" => Value::Text(database),
                "started_at" => Value::Timestamp(self.started.as_micros()),
                "entries" => Value::Int(count.entries),
                "bytes" => Value::Int(count.bytes),
                _ => {
                    debug_assert!(false, "pg_log_summary has a column that nobody fills: {column}");
                    return None;
                }
            })
        })
    }
}

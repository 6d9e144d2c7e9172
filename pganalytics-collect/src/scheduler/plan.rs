//! What is collected, and how often.

use std::{collections::BTreeMap, time::Duration};

use pganalytics_core::catalog::{Measurement, Scope};

/// The interval that catalog files have when nothing speaks for another.
const STANDARD: Duration = Duration::from_secs(60);

/// Measurements that settings can name together. `pg_log` comes with reading
/// logs; a setting for it is no mistake.
const GROUPS: &[&str] = &["pg_stats", "sysstat", "disk_usage", "pg_log"];

fn is_in(measurement: &Measurement, group: &str) -> bool {
    let name = measurement.name().as_str();
    match group {
        "pg_stats" => measurement.scope().is_postgres(),
        "sysstat" => measurement.scope() == Scope::Host && name.starts_with("sysstat"),
        group => name == group,
    }
}

/// What is collected and how often, beside what the catalog says. The most
/// particular setting wins: measurement, then group, then the standard interval
/// (for measurements that the catalog takes every 60 s), then the catalog.
///
/// ```
/// use std::time::Duration;
/// use pganalytics_collect::Plan;
/// use pganalytics_core::catalog::Catalog;
///
/// let activity = Catalog::builtin().get("pg_up").unwrap();
/// let mut plan = Plan::default();
/// plan.set_interval("pg_up", Duration::from_secs(5));
/// assert_eq!(plan.interval_of(activity), Some(Duration::from_secs(5)));
/// plan.set_enabled("pg_up", false);
/// assert_eq!(plan.interval_of(activity), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    standard: Option<Duration>,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Entry {
    enabled: Option<bool>,
    interval: Option<Duration>,
}

impl Plan {
    /// Names of the groups that settings know.
    pub fn groups() -> impl Iterator<Item = &'static str> {
        GROUPS.iter().copied()
    }

    /// The interval of measurements that the catalog takes every 60 s.
    pub fn set_standard_interval(&mut self, interval: Duration) {
        self.standard = Some(interval);
    }

    /// Switches a measurement or group on or off.
    pub fn set_enabled(&mut self, name: &str, enabled: bool) {
        self.entries.entry(name.to_owned()).or_default().enabled = Some(enabled);
    }

    /// How often a measurement or group is taken.
    pub fn set_interval(&mut self, name: &str, interval: Duration) {
        self.entries.entry(name.to_owned()).or_default().interval = Some(interval);
    }

    /// How often to take a measurement; `None`: not at all.
    #[must_use]
    pub fn interval_of(&self, measurement: &Measurement) -> Option<Duration> {
        let own = self.entries.get(measurement.name().as_str());
        let groups = GROUPS.iter().filter(|group| is_in(measurement, group)).map(|group| self.entries.get(*group));
        let entries: Vec<&Entry> = std::iter::once(own).chain(groups).flatten().collect();
        let enabled = entries.iter().find_map(|entry| entry.enabled);
        if !enabled.unwrap_or_else(|| measurement.enabled_by_default()) {
            return None;
        }
        let set = entries.iter().find_map(|entry| entry.interval);
        let standard = self.standard.filter(|_| measurement.interval() == STANDARD);
        Some(set.or(standard).unwrap_or_else(|| measurement.interval()))
    }
}

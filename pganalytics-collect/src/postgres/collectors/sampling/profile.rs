//! What was found so far, by what it is.
//!
//! Counts go up for as long as the agent runs. Rows that nobody saw for
//! [`KEEP`] are forgotten; one that comes back has a new `since`, which is its
//! row stamp, so readers don't take its count for a fall. No more than [`MOST`]
//! rows are told apart: what is new beyond that counts as `other`, by type of
//! wait.

use std::{collections::HashMap, sync::Arc, time::Duration};

use pganalytics_core::{Timestamp, Value};
use tokio::time::Instant;

/// Rows that are told apart.
const MOST: usize = 2_000;

/// A row that was not seen for so long is forgotten.
const KEEP: Duration = Duration::from_secs(3600);

/// What is told apart. Empty where there is nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) datname: Arc<str>,
    pub(super) usename: Arc<str>,
    pub(super) application_name: Box<str>,
    pub(super) backend_type: Box<str>,
    pub(super) state: Box<str>,
    pub(super) wait_event_type: Box<str>,
    pub(super) wait_event: Box<str>,
    pub(super) query_id: Option<i64>,
    pub(super) blocker_state: Box<str>,
    pub(super) blocker_query_id: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Count {
    samples: i64,
    sampled: Duration,
    since: Timestamp,
    seen: Instant,
}

/// Counts by key.
#[derive(Debug, Default)]
pub(super) struct Profile {
    counts: HashMap<Key, Count>,
    /// Sessions that were counted as `other`.
    pub(super) overflow: i64,
}

impl Profile {
    /// Counts a session that was found in a sample which stands for `slot`.
    pub(super) fn count(&mut self, key: Key, slot: Duration, at: Timestamp, now: Instant) {
        let key = if self.counts.len() < MOST || self.counts.contains_key(&key) {
            key
        } else {
            self.overflow += 1;
            Key { wait_event_type: key.wait_event_type, backend_type: "other".into(), ..Key::default() }
        };
        let fresh = || Count { samples: 0, sampled: Duration::ZERO, since: at, seen: now };
        let count = self.counts.entry(key).or_insert_with(fresh);
        count.samples += 1;
        count.sampled += slot;
        count.seen = now;
    }

    /// Forgets what nobody has seen for long.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.counts.retain(|_, count| now.saturating_duration_since(count.seen) < KEEP);
    }

    /// All rows.
    pub(super) fn rows(&self) -> Vec<(&Key, &Count)> {
        self.counts.iter().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }
}

/// The value of a column of `pg_wait_sampling`.
pub(super) fn value<'a>((key, count): &'a (&'a Key, &'a Count), column: &str) -> Option<Value<'a>> {
    Some(match column {
        "datname" => Value::Text(&key.datname),
        "usename" => Value::Text(&key.usename),
        "application_name" => Value::Text(&key.application_name),
        "backend_type" => Value::Text(&key.backend_type),
        "state" => Value::Text(&key.state),
        "wait_event_type" => Value::Text(&key.wait_event_type),
        "wait_event" => Value::Text(&key.wait_event),
        "query_id" => Value::Int(key.query_id?),
        "blocker_state" => Value::Text(&key.blocker_state),
        "blocker_query_id" => Value::Int(key.blocker_query_id?),
        "since" => Value::Timestamp(count.since.as_micros()),
        "samples" => Value::Int(count.samples),
        "sampled_time" => Value::Float(count.sampled.as_secs_f64()),
        _ => {
            debug_assert!(false, "pg_wait_sampling has a column that nobody fills: {column}");
            return None;
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    const SLOT: Duration = Duration::from_secs(1);

    fn of_query(id: i64) -> Key {
        Key { query_id: Some(id), wait_event_type: "IO".into(), ..Key::default() }
    }

    #[test]
    fn counts_go_up_and_what_is_new_begins_at_its_moment() {
        let (mut profile, now) = (Profile::default(), Instant::now());
        for second in 0..3 {
            profile.count(of_query(1), SLOT, Timestamp::from_secs(second), now);
        }
        let rows = profile.rows();
        assert_eq!(rows.len(), 1);
        assert_eq!(value(&rows[0], "samples"), Some(Value::Int(3)));
        assert_eq!(value(&rows[0], "sampled_time"), Some(Value::Float(3.0)));
        assert_eq!(value(&rows[0], "since"), Some(Value::Timestamp(0)));
    }

    #[test]
    fn too_many_different_rows_count_as_other_and_none_is_lost() {
        let (mut profile, now) = (Profile::default(), Instant::now());
        let many = i64::try_from(MOST).unwrap() + 500;
        for id in 0..many {
            profile.count(of_query(id), SLOT, Timestamp::from_secs(0), now);
            profile.count(of_query(0), SLOT, Timestamp::from_secs(0), now);
        }
        assert_eq!((profile.len(), profile.overflow), (MOST + 1, 500));
        let samples: i64 = profile.rows().iter().map(|(_, count)| count.samples).sum();
        assert_eq!(samples, 2 * many);
        let rows = profile.rows();
        let other = rows.iter().find(|row| value(row, "backend_type") == Some(Value::Text("other"))).unwrap();
        assert_eq!(value(other, "wait_event_type"), Some(Value::Text("IO")));
        assert_eq!(value(other, "samples"), Some(Value::Int(500)));
    }

    #[test]
    fn a_row_that_comes_back_after_long_begins_anew() {
        let (mut profile, now) = (Profile::default(), Instant::now());
        profile.count(of_query(1), SLOT, Timestamp::from_secs(0), now);
        profile.count(of_query(2), SLOT, Timestamp::from_secs(0), now + KEEP);
        profile.tidy(now + KEEP);
        assert_eq!(profile.len(), 1);
        profile.count(of_query(1), SLOT, Timestamp::from_secs(3600), now + KEEP);
        let rows = profile.rows();
        let back = rows.iter().find(|row| value(row, "query_id") == Some(Value::Int(1))).unwrap();
        assert_eq!(value(back, "samples"), Some(Value::Int(1)));
        assert_eq!(value(back, "since"), Some(Value::Timestamp(3_600_000_000)));
    }
}

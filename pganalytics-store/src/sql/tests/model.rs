//! What the three tables must hold, computed the slow and plain way from whole
//! scrapes: no frames, no deltas, no blocks.
//!
//! One rule is copied and not derived: a row is in `m_delta` when its counters
//! and gauges differ from its last row. One that began anew and has counted to
//! the very same values is thus left out; nothing is known of it but that.

use std::collections::BTreeMap;

use pganalytics_core::{
    CounterFamily, Epoch, Timestamp,
    increase::{Before, Now, Quality, Rule, judge, of_float, of_int},
};
use serde_json::{Value as Json, json};

use super::fixture::shown;
use crate::sql::GONE_MEMORY;

/// What a key measures at one scrape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) calls: i64,
    pub(super) ms: Option<f64>,
    pub(super) size: Option<i64>,
    /// A column that only newer schemas have.
    pub(super) extra: Option<i64>,
    pub(super) note: String,
}

/// Everything that is there at one scrape of one source.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) time: Timestamp,
    pub(super) epoch: Epoch,
    pub(super) rows: BTreeMap<i64, Row>,
}

/// Where rows come from, as the tables' first columns name it.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) server: String,
    pub(super) database: Option<String>,
}

/// A row of an answer: time, server, database, key, values…
pub(super) type Line = Vec<Json>;

fn line(origin: &Origin, time: Timestamp, key: i64, row: &Row) -> Line {
    let Row { calls, ms, size, extra, note } = row;
    let (server, database) = (&origin.server, &origin.database);
    vec![
        shown(time),
        json!(server),
        json!(database),
        json!(key),
        json!(calls),
        json!(ms),
        json!(size),
        json!(extra),
        json!(note),
    ]
}

/// The table `m`.
pub(super) fn samples(origin: &Origin, moments: &[Moment]) -> Vec<(Timestamp, i64, Line)> {
    let mut lines = Vec::new();
    for moment in moments {
        for (key, row) in &moment.rows {
            lines.push((moment.time, *key, line(origin, moment.time, *key, row)));
        }
    }
    lines
}

/// The table `m_latest`.
pub(super) fn latest(origin: &Origin, moments: &[Moment]) -> Vec<Line> {
    let Some(last) = moments.last() else { return Vec::new() };
    last.rows.iter().map(|(key, row)| line(origin, last.time, *key, row)).collect()
}

/// The table `m_delta`.
pub(super) fn increases(origin: &Origin, family: CounterFamily, moments: &[Moment]) -> Vec<(Timestamp, i64, Line)> {
    let mut lines = Vec::new();
    // The last row of each key, and since when it is gone.
    let mut known: BTreeMap<i64, (Row, Option<Timestamp>)> = BTreeMap::new();
    let mut previous: Option<&Moment> = None;
    for moment in moments {
        let time = moment.time;
        known.retain(|_, (_, gone)| {
            gone.is_none_or(|gone| u128::try_from(time.micros_since(gone)).unwrap() <= GONE_MEMORY.as_micros())
        });
        for (key, row) in &moment.rows {
            let before = known.insert(*key, (row.clone(), None));
            let (rule, quality) = match (previous, &before) {
                (None, _) => (Rule::Unknown, Quality::Unknown),
                (Some(previous), before) => {
                    let same = |was: &Row| {
                        (was.calls, was.ms, was.size, was.extra) == (row.calls, row.ms, row.size, row.extra)
                    };
                    if before.as_ref().is_some_and(|(was, _)| same(was)) {
                        continue;
                    }
                    let fell = || {
                        let (was, _) = before.as_ref().unwrap();
                        row.calls < was.calls || was.ms.zip(row.ms).is_some_and(|(was, now)| now < was)
                    };
                    let now = Now { row_stamp: None, previous_scrape: previous.time };
                    let seen = match before {
                        Some((_, gone)) => Before::Row { stamp: None, was_gone: gone.is_some() },
                        None => Before::Absent,
                    };
                    let verdict = judge(family, previous.epoch.until(&moment.epoch, family), seen, now, fell);
                    (verdict.rule, verdict.quality)
                }
            };
            let was = before.map(|(was, _)| was);
            let mut line = line(origin, time, *key, row);
            line[4] = json!(of_int(rule, was.as_ref().map(|was| was.calls), Some(row.calls)));
            line[5] = json!(of_float(rule, was.as_ref().and_then(|was| was.ms), row.ms));
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            line.push(json!(previous.map(|previous| time.micros_since(previous.time) as f64 / 1e6)));
            line.push(json!(quality.as_str()));
            lines.push((time, *key, line));
        }
        for (key, (_, gone)) in &mut known {
            if !moment.rows.contains_key(key) {
                gone.get_or_insert(time);
            }
        }
        previous = Some(moment);
    }
    lines
}

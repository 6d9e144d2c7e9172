//! Counters that were lost: a backend crashed, or the server was stopped at once.

use std::collections::BTreeMap;

use pganalytics_core::{Batch, CounterFamily, Epoch, InstanceId, epoch::Continuity};

use super::{Event, Watcher};

/// Remembers the epoch of each server's cumulative counters.
#[derive(Default)]
pub(super) struct CrashWatcher {
    epochs: BTreeMap<InstanceId, Epoch>,
}

impl Watcher for CrashWatcher {
    /// One of those whose epoch is that of the cluster.
    fn measurement(&self) -> &'static str {
        "pg_stat_database"
    }

    fn see(&mut self, batch: &Batch) -> Vec<Event> {
        let now = batch.scrape.epoch;
        let Some(before) = self.epochs.insert(batch.source.instance_id, now) else { return Vec::new() };
        if before.until(&now, CounterFamily::Cumulative) != Continuity::BeganAnew {
            return Vec::new();
        }
        let words = |epoch: Epoch| epoch.started.map(|time| time.to_string());
        vec![Event { kind: "crash", object: String::new(), old: words(before), new: words(now) }]
    }
}

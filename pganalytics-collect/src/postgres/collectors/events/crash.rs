//! Counters that were lost: a backend crashed, or the server was stopped at once.

use pganalytics_core::{CounterFamily, Epoch, Source, epoch::Continuity};

use super::Event;

/// Remembers the epoch of a server's cumulative counters.
#[derive(Default)]
pub(super) struct CrashWatcher {
    last: Option<(Source, Epoch)>,
}

impl CrashWatcher {
    /// What the epoch that a visit has read tells.
    pub(super) fn see(&mut self, source: &Source, now: Epoch) -> Option<Event> {
        let (of, before) = self.last.replace((source.clone(), now))?;
        if of.instance_id != source.instance_id
            || before.until(&now, CounterFamily::Cumulative) != Continuity::BeganAnew
        {
            return None;
        }
        let words = |epoch: Epoch| epoch.started.map(|time| time.to_string());
        Some(Event { kind: "crash", object: String::new(), old: words(before), new: words(now) })
    }
}

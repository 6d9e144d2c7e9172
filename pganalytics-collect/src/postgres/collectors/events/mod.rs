//! What changed between two scrapes and is worth telling (`pg_event`).
//!
//! A [`Watcher`] sees each batch of the measurement that it names and compares
//! it with what it remembers. It is silent about what it sees first: the agent
//! may have been away for long.

mod crash;
mod schema;
mod server;
mod settings;

use std::{collections::BTreeMap, sync::Arc};

use pganalytics_core::{Batch, Epoch, Source, Timestamp, Value, catalog::Measurement};

use crate::{collector::Collected, scrape::full_scrape};

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// What kind of thing: `role`, `setting`…
    pub(crate) kind: &'static str,
    /// What it happened to; empty for the server itself.
    pub(crate) object: String,
    pub(crate) old: Option<String>,
    pub(crate) new: Option<String>,
}

/// Finds events in the batches of one measurement.
pub(crate) trait Watcher: Send {
    /// The measurement whose batches it wants to see.
    fn measurement(&self) -> &'static str;

    /// What changed since it saw this source last.
    fn see(&mut self, batch: &Batch) -> Vec<Event>;

    /// A database that is gone, or not watched any more.
    fn forget(&mut self, _source: &Source) {}
}

/// Events that are logged one by one; of more at once only the number is.
const LOGGED: usize = 20;

/// The watchers of a collector.
pub(crate) struct Events {
    measurement: Option<Arc<Measurement>>,
    watchers: Vec<Box<dyn Watcher>>,
    crash: crash::CrashWatcher,
}

/// The epoch of a cluster's cumulative counters, as a visit has read it.
#[derive(Debug, Clone)]
pub(crate) struct SeenEpoch {
    pub(crate) source: Source,
    pub(crate) at: Timestamp,
    pub(crate) epoch: Epoch,
}

impl Events {
    /// Those of what a cluster has once. `None`: nobody wants events.
    pub(crate) fn of_cluster(measurement: Option<Arc<Measurement>>) -> Self {
        let watchers: Vec<Box<dyn Watcher>> =
            vec![Box::<server::ServerWatcher>::default(), Box::<settings::SettingsWatcher>::default()];
        Self { measurement, watchers, crash: crash::CrashWatcher::default() }
    }

    /// Those of what each database has. `schema`: the measurement of it, where it is taken.
    pub(crate) fn of_databases(measurement: Option<Arc<Measurement>>, schema: Option<&Measurement>) -> Self {
        let watcher =
            |schema: &Measurement| -> Box<dyn Watcher> { Box::new(schema::SchemaWatcher::new(schema.max_rows())) };
        // What nobody hears of need not be remembered.
        let schema = schema.filter(|_| measurement.is_some());
        let watchers = schema.map(watcher).into_iter().collect();
        Self { measurement, watchers, crash: crash::CrashWatcher::default() }
    }

    /// A database that is gone, or not watched any more.
    pub(crate) fn forget(&mut self, source: &Source) {
        self.watchers.iter_mut().for_each(|watcher| watcher.forget(source));
    }

    /// Looks through what a visit brought, and at the epoch of the cluster, which is read at
    /// each visit, and adds the events to it.
    pub(crate) fn look(&mut self, collected: &mut Collected, epoch: Option<SeenEpoch>) {
        let Some(measurement) = &self.measurement else { return };
        let mut found: BTreeMap<Source, (Timestamp, Vec<Event>)> = BTreeMap::new();
        if let Some(SeenEpoch { source, at, epoch }) = epoch
            && let Some(event) = self.crash.see(&source, epoch)
        {
            found.insert(source, (at, vec![event]));
        }
        for batch in &collected.batches {
            let watchers =
                self.watchers.iter_mut().filter(|watcher| watcher.measurement() == batch.schema.measurement().as_str());
            let events: Vec<_> = watchers.flat_map(|watcher| watcher.see(batch)).collect();
            if !events.is_empty() {
                let (_, all) =
                    found.entry(batch.source.clone()).or_insert_with(|| (batch.scrape.collected_at, Vec::new()));
                all.extend(events);
            }
        }
        for (source, (at, events)) in found {
            let database = source.database.as_deref().unwrap_or_default();
            if events.len() > LOGGED {
                tracing::info!(server = %source.server, database, events = events.len(), "changed in many ways; see pg_event");
            }
            for Event { kind, object, old, new } in events.iter().filter(|_| events.len() <= LOGGED) {
                let (old, new) = (old.as_deref(), new.as_deref());
                tracing::info!(server = %source.server, database, kind, object, old, new, "changed");
            }
            let batch = full_scrape(measurement, source, at, &events, |event, column| match column {
                "kind" => Some(Value::Text(event.kind)),
                "object" => Some(Value::Text(&event.object)),
                "old" => event.old.as_deref().map(Value::Text),
                "new" => event.new.as_deref().map(Value::Text),
                _ => None,
            });
            match batch {
                Ok(batch) => collected.batches.push(batch),
                Err(error) => tracing::error!(%error, "events are lost"),
            }
        }
    }
}

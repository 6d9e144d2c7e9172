//! The trait of everything that collects.

use std::{fmt::Display, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use pganalytics_core::{Batch, MeasurementName, Source, Timestamp, catalog::Measurement};
use tokio::time::Instant;

use crate::{delivery::Loss, error::CollectError, own_sql::CatalogChange};

/// What a scheduler asks of a collector.
#[derive(Debug, Clone)]
pub struct CollectContext {
    /// The measurements whose time has come; always some that the collector
    /// named in [`Collector::measurements`].
    pub due: Vec<MeasurementName>,
    /// The wall clock, for `collected_at`. Samples of one visit share it.
    pub now: Timestamp,
    /// When the scheduler gives up waiting.
    pub deadline: Instant,
    /// Whether no other visit will follow, as with [`Agent::once`](crate::Agent::once): what might
    /// become more complete later is brought as it is.
    pub only_visit: bool,
}

impl CollectContext {
    /// Whether a measurement is due.
    #[must_use]
    pub fn is_due(&self, measurement: &str) -> bool {
        self.due.iter().any(|due| due.as_str() == measurement)
    }
}

/// How a visit for one measurement at one source went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It brought rows.
    Collected {
        /// Number of rows read, before any filter.
        rows: usize,
    },
    /// This server can't have it: too old, extension missing…
    Unsupported {
        /// Why, and what to do where something can be done.
        reason: String,
    },
    /// It was left out this time: locks held, budget spent…
    Skipped {
        /// Why.
        reason: String,
    },
    /// It went wrong. Other measurements are not affected.
    Failed {
        /// What is wrong, where, what to do. Never a secret, never a literal.
        message: String,
    },
}

impl Outcome {
    /// It went wrong with this error, whose words must hold no secret and no literal.
    #[must_use]
    pub fn failed(error: impl Display) -> Self {
        Self::Failed { message: error.to_string() }
    }
}

/// A line of a visit's account; the scheduler makes samples of it
/// (`agent_scrape`), so a failure is data like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The measurement.
    pub measurement: MeasurementName,
    /// Where; `None` when not even that could be found out.
    pub source: Option<Source>,
    /// How it went.
    pub outcome: Outcome,
    /// How long it took, waiting counted.
    pub elapsed: Duration,
}

/// What a visit brought.
#[derive(Debug, Default)]
pub struct Collected {
    /// Full scrapes: all rows of each. The scheduler's change filter makes
    /// deltas of them, a collector never does.
    pub batches: Vec<Batch>,
    /// One line for each due measurement and source.
    pub reports: Vec<Report>,
    /// Places that are not there any more, as a database that was dropped: the scheduler
    /// says of each that its rows are gone, and forgets it. One that is only out of reach
    /// is not gone.
    pub gone: Vec<Source>,
    /// What to remember together with the batches: it lasts if, and only if,
    /// they do, and comes back in [`Collector::resume`]. For collectors that
    /// read on where they stopped; `None` leaves what was remembered before.
    pub state: Option<Bytes>,
}

impl Collected {
    /// Adds what one measurement brought at a source, and a report of it: the
    /// batch with all its rows, or why there is none.
    ///
    /// The front page of this crate shows a collector that uses it.
    pub fn add(
        &mut self,
        measurement: &Measurement,
        source: &Source,
        elapsed: Duration,
        found: Result<Batch, Outcome>,
    ) {
        let outcome = match found {
            Ok(batch) => {
                let rows = batch.rows.len();
                self.batches.push(batch);
                Outcome::Collected { rows }
            }
            Err(outcome) => outcome,
        };
        self.report(measurement, source, elapsed, outcome);
    }

    /// Adds a report alone: there is no batch, or it has been added already.
    pub fn report(&mut self, measurement: &Measurement, source: &Source, elapsed: Duration, outcome: Outcome) {
        let (measurement, source) = (measurement.name().clone(), Some(source.clone()));
        self.reports.push(Report { measurement, source, outcome, elapsed });
    }
}

/// Collects some measurements from one place.
///
/// The scheduler runs each collector in a task of its own, never two visits at
/// once, and measures them apart: one that hangs costs no other its rhythm.
/// Implement it to bring your own figures; the crate's front page has one.
#[async_trait]
pub trait Collector: Send {
    /// A short name for logs and reports, as `postgres main`.
    fn name(&self) -> &str;

    /// What it can collect. Asked before the first visit, and again after
    /// [`adopt`](Self::adopt).
    fn measurements(&self) -> Vec<Arc<Measurement>>;

    /// The catalog of the running agent has changed
    /// ([`LiveCatalog`](crate::own_sql::LiveCatalog)): a collector that takes its
    /// measurements from there takes in what concerns it. Never called during a
    /// visit. What ends need not be reported: the scheduler says that its rows
    /// are gone. By default nothing changes.
    fn adopt(&mut self, _change: &CatalogChange) {}

    /// Where to go on: the last [`Collected::state`] that was kept, `None` where
    /// there is none. Called before the first visit and after a panic.
    fn resume(&mut self, _state: Option<&[u8]>) {}

    /// Frames were lost on their way, perhaps some of this collector
    /// ([`Loss::concerns`]). The scheduler makes the next batch of each series a
    /// keyframe; a collector that tells something only once, as texts, tells it again.
    /// Called between two visits. By default nothing is done.
    fn lost(&mut self, _loss: &Loss) {}

    /// What is wrong with the whole place, in the words in which the collector has
    /// logged it at its last visit; the scheduler does not log it again for each
    /// measurement that failed with these words.
    fn already_logged(&self) -> Option<String> {
        None
    }

    /// Collects what is due. What goes wrong with one measurement belongs in
    /// the reports; an error means that the whole visit brought nothing (the
    /// server could not be reached).
    ///
    /// Not cancel-safe by duty: the scheduler lets a visit run out and skips
    /// the ticks that it overran. It is dropped only when the agent stops.
    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError>;
}

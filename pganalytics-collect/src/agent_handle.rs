//! What an embedder holds of a running agent.

use std::{fmt, sync::Arc, time::Duration};

use pganalytics_core::StreamId;
use tokio::{
    sync::{Notify, broadcast},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::Summary,
    delivery::{Loss, Outbox, OutboxStats, SenderStats},
    error::CollectError,
    scheduler::SchedulerStats,
};

/// How often a flush looks whether something still waits.
const LOOK: Duration = Duration::from_millis(20);

/// How an agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentStatus {
    /// The stream whose numbers its frames have.
    pub stream: StreamId,
    /// What waits, and what became of the rest.
    pub outbox: OutboxStats,
    /// Why the last delivery failed; `None` when it did not.
    pub delivery_fault: Option<String>,
    /// Deliveries that failed since the last one that worked.
    pub failing: usize,
    /// Visits to collectors.
    pub visits: u64,
    /// Measurements that failed at a source.
    pub scrape_failures: u64,
    /// How often a collector, the sink or the outbox panicked.
    pub panics: u64,
}

impl AgentStatus {
    /// Whether what is collected arrives and lasts until it does.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.delivery_fault.is_none() && self.outbox.fault.is_none()
    }
}

/// What is looked at while an agent runs.
#[derive(Clone)]
pub(crate) struct Gauges {
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) sender: Arc<SenderStats>,
    pub(crate) scheduler: Arc<SchedulerStats>,
    pub(crate) hurry: Arc<Notify>,
}

/// A running agent; from [`Agent::start`](crate::Agent::start). It stops when this
/// is dropped: in order, though nobody waits for it then.
pub struct AgentHandle {
    gauges: Gauges,
    stop: CancellationToken,
    running: Option<JoinHandle<Result<Summary, CollectError>>>,
}

impl fmt::Debug for AgentHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentHandle").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl AgentHandle {
    pub(crate) fn new(
        gauges: Gauges,
        stop: CancellationToken,
        running: JoinHandle<Result<Summary, CollectError>>,
    ) -> Self {
        Self { gauges, stop, running: Some(running) }
    }

    /// How it is now. Waits for nothing.
    #[must_use]
    pub fn status(&self) -> AgentStatus {
        let Gauges { outbox, sender, scheduler, .. } = &self.gauges;
        AgentStatus {
            stream: outbox.stream(),
            outbox: outbox.stats(),
            delivery_fault: sender.fault(),
            failing: sender.failing(),
            visits: scheduler.visits(),
            scrape_failures: scheduler.failures(),
            panics: scheduler.panics() + sender.panics(),
        }
    }

    /// Delivers what waits without further delay, a pause after a failure counted;
    /// whether nothing waits any more. Cancel-safe.
    pub async fn flush(&self, within: Duration) -> bool {
        let empty = async {
            while self.gauges.outbox.stats().queued_frames > 0 {
                self.gauges.hurry.notify_one();
                sleep(LOOK).await;
            }
        };
        timeout(within, empty).await.is_ok()
    }

    /// Losses from now on: frames that were dropped, damaged or refused.
    #[must_use]
    pub fn losses(&self) -> broadcast::Receiver<Loss> {
        self.gauges.outbox.losses()
    }

    /// Whether it has ended, by itself or because it was stopped.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.running.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends collection, delivers what waits for at most the flush timeout, and says
    /// how it ended. When this is dropped before it returns the agent still stops.
    ///
    /// # Errors
    /// Those of [`Agent::run`](crate::Agent::run).
    pub async fn stop(mut self) -> Result<Summary, CollectError> {
        self.stop.cancel();
        let Some(running) = self.running.take() else { return Ok(self.summary()) };
        match running.await {
            Ok(ended) => ended,
            // It was aborted with the runtime: what it holds is all there is to tell.
            Err(_) => Ok(self.summary()),
        }
    }

    fn summary(&self) -> Summary {
        Summary { outbox: self.gauges.outbox.stats() }
    }
}

impl Drop for AgentHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

//! The agent's own figures (`agent_stats`).

use std::sync::Arc;

use async_trait::async_trait;
use pganalytics_core::{
    Batch, ModelError, Source, Timestamp, Value,
    catalog::{Catalog, Measurement},
};
use tokio::time::Instant;

use crate::{
    collector::{CollectContext, Collected, Collector},
    delivery::{Outbox, SenderStats},
    error::CollectError,
    host::process,
    scheduler::{SchedulerStats, Time},
    scrape::full_scrape,
};

/// Reports what the agent costs and how its delivery goes.
pub(crate) struct AgentStats {
    pub(crate) agent: Arc<str>,
    pub(crate) source: Source,
    pub(crate) started: Timestamp,
    pub(crate) clock: Time,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) sender: Arc<SenderStats>,
    pub(crate) scheduler: Arc<SchedulerStats>,
}

impl AgentStats {
    fn batch(&self, measurement: &Measurement, now: Timestamp) -> Result<Batch, ModelError> {
        let outbox = self.outbox.stats();
        let stream = self.outbox.stream().to_string();
        let gap = outbox.last_gap.as_ref();
        let reason = gap.map(|gap| gap.reason.to_string());
        let usage = process::usage();
        let offset = self.clock.offset().map(|micros| micros as f64 / 1e6);
        let count = |count: u64| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
        let row = [()];
        full_scrape(measurement, self.source.clone(), now, &row, |(), column| {
            Some(match column {
                "agent" => Value::Text(&self.agent),
                "version" => Value::Text(env!("CARGO_PKG_VERSION")),
                "started_at" => Value::Timestamp(self.started.as_micros()),
                "stream" => Value::Text(&stream),
                "cpu" => usage.cpu.map_or(Value::Null, Value::Float),
                "rss" => usage.rss.map_or(Value::Null, count),
                "visits" => count(self.scheduler.visits()),
                "ticks_skipped" => count(self.scheduler.skipped()),
                "scrape_failures" => count(self.scheduler.failures()),
                "panics" => count(self.scheduler.panics() + self.sender.panics()),
                "duplicate_rows" => count(self.scheduler.duplicates()),
                "frames" => count(outbox.produced),
                "delivered_frames" => count(outbox.delivered),
                "delivered_bytes" => count(outbox.delivered_bytes),
                "dropped_frames" => count(outbox.dropped),
                "rejected_frames" => count(outbox.rejected),
                "queue_frames" => count(outbox.queued_frames as u64),
                "queue_bytes" => count(outbox.queued_bytes as u64),
                "queue_age" => Value::Float(outbox.oldest.map_or(0.0, |age| age.as_secs_f64())),
                "pushes" => count(self.sender.pushes()),
                "push_failures" => count(self.sender.failures()),
                "clock_offset" => offset.map_or(Value::Null, Value::Float),
                "gap_first" => gap.map_or(Value::Null, |gap| count(gap.first.0)),
                "gap_last" => gap.map_or(Value::Null, |gap| count(gap.last.0)),
                "gap_reason" => reason.as_deref().map_or(Value::Null, Value::Text),
                _ => {
                    debug_assert!(false, "agent_stats has a column that nobody fills: {column}");
                    return None;
                }
            })
        })
    }
}

#[async_trait]
impl Collector for AgentStats {
    fn name(&self) -> &'static str {
        "agent"
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        Catalog::builtin().get("agent_stats").cloned().into_iter().collect()
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let started = Instant::now();
        let mut collected = Collected::default();
        for measurement in self.measurements() {
            let batch = self.batch(&measurement, cx.now)?;
            collected.add(&measurement, &self.source, started.elapsed(), Ok(batch));
        }
        Ok(collected)
    }
}

//! Collectors that do as they are told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use pganalytics_collect::{CollectContext, CollectError, Collected, Collector};
use pganalytics_core::{
    Batch, Epoch, InstanceId, RowsBuilder, Scrape, ScrapeClock, ScrapeKind, ServerId, Source, Value,
    catalog::Measurement,
};

pub(crate) fn measurement(name: &str, interval: &str) -> Arc<Measurement> {
    let text = format!(
        "name = \"{name}\"\nscope = \"agent\"\ninterval = \"{interval}\"\n\
         [[column]]\nname = \"id\"\nkind = \"key\"\ntype = \"int\"\n\
         [[column]]\nname = \"visit\"\nkind = \"gauge\"\ntype = \"int\"\n"
    );
    Arc::new(Measurement::parse(&text, name).unwrap())
}

pub(crate) fn source(server: &str) -> Source {
    let server_id = ServerId::of_host(server);
    Source { server_id, instance_id: InstanceId::of_address(server_id, server), server: server.into(), database: None }
}

/// What a visit does before it brings its rows.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    Quick,
    Take(Duration),
    Hang,
    Panic,
    Fail,
}

/// Brings a row that never changes and one that counts visits.
pub(crate) struct Puppet {
    pub name: &'static str,
    pub measurements: Vec<Arc<Measurement>>,
    /// What the visits do, the last for ever.
    pub acts: Vec<Act>,
    pub visits: Arc<AtomicUsize>,
}

impl Puppet {
    pub(crate) fn new(name: &'static str, interval: &str, acts: &[Act]) -> Self {
        Self { name, measurements: vec![measurement(name, interval)], acts: acts.to_vec(), visits: Arc::default() }
    }
}

#[async_trait]
impl Collector for Puppet {
    fn name(&self) -> &str {
        self.name
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        self.measurements.clone()
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let visit = self.visits.fetch_add(1, Ordering::SeqCst);
        match self.acts[visit.min(self.acts.len() - 1)] {
            Act::Quick => {}
            Act::Take(time) => tokio::time::sleep(time).await,
            Act::Hang => std::future::pending().await,
            Act::Panic => panic!("as told"),
            Act::Fail => {
                return Err(CollectError::Connect { server: self.name.into(), message: "as told".into() });
            }
        }
        let mut collected = Collected::default();
        for measurement in self.measurements.iter().filter(|measurement| cx.is_due(measurement.name().as_str())) {
            let mut rows = RowsBuilder::new(measurement.schema());
            rows.push(&[Value::Int(0), Value::Int(0)])?;
            rows.push(&[Value::Int(1), Value::Int(i64::try_from(visit).unwrap())])?;
            let batch = Batch {
                schema: Arc::clone(measurement.schema()),
                source: source(self.name),
                scrape: Scrape {
                    collected_at: cx.now,
                    interval_micros: 0,
                    kind: ScrapeKind::Keyframe,
                    epoch: Epoch::default(),
                    clock: ScrapeClock::default(),
                },
                rows: rows.finish(),
            };
            collected.add(measurement, &source(self.name), Duration::ZERO, Ok(batch));
        }
        Ok(collected)
    }
}

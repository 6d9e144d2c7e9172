//! A `Collector` of your own: figures that no SQL can tell, here the queues of an
//! application. Rhythm, change filter, delivery and accounts come with the agent. For a
//! single measurement `Agent::builder().collect(…)` with a function is shorter.
//!
//! ```sh
//! cargo run -p pganalytics-examples --example custom_collector
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Instant,
};

use async_trait::async_trait;
use pganalytics_collect::{Agent, CollectContext, CollectError, Collected, Collector, MemorySink, scrape::full_scrape};
use pganalytics_core::{Source, Value, catalog::Measurement};
use tokio_util::sync::CancellationToken;

/// What is measured. It travels with the samples, so a server that never heard of
/// it stores it and answers SQL about it: `select * from app_queue`.
const APP_QUEUE: &str = r#"
name = "app_queue"
title = "Queues of the application"
scope = "agent"
interval = "1s"

[[column]]
name = "queue"
kind = "key"
type = "text"
doc = "Name of the queue"

[[column]]
name = "waiting"
kind = "gauge"
type = "int"
unit = "jobs"
doc = "Jobs that wait"

[[column]]
name = "done"
kind = "counter"
type = "int"
unit = "jobs"
doc = "Jobs done since the application started"
"#;

/// The application's own figures.
#[derive(Default)]
struct Work {
    done: AtomicI64,
}

struct Queues {
    measurement: Arc<Measurement>,
    source: Source,
    work: Arc<Work>,
}

#[async_trait]
impl Collector for Queues {
    fn name(&self) -> &str {
        "queues"
    }

    fn measurements(&self) -> Vec<Arc<Measurement>> {
        vec![Arc::clone(&self.measurement)]
    }

    async fn collect(&mut self, cx: &CollectContext) -> Result<Collected, CollectError> {
        let started = Instant::now();
        // Always all rows: what did not change is left out further on.
        let rows = [("mail", 3, self.work.done.load(Relaxed)), ("invoices", 0, 0)];
        let batch = full_scrape(&self.measurement, self.source.clone(), cx.now, &rows, |row, column| match column {
            "queue" => Some(Value::Text(row.0)),
            "waiting" => Some(Value::Int(row.1)),
            "done" => Some(Value::Int(row.2)),
            _ => None,
        })?;
        let mut collected = Collected::default();
        collected.add(&self.measurement, &self.source, started.elapsed(), Ok(batch));
        Ok(collected)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let work = Arc::new(Work::default());
    let queues = Queues {
        measurement: Arc::new(Measurement::parse(APP_QUEUE, "app_queue.toml")?),
        source: Source::host("shop"),
        work: Arc::clone(&work),
    };
    let sink = MemorySink::new();
    let agent = Agent::builder().collector(queues).sink(sink.clone()).build()?;

    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    // The application works; three scrapes are enough to see it.
    let mut seen = 0;
    while sink.batches_of("app_queue").len() < 3 {
        work.done.fetch_add(10, Relaxed);
        seen += 1;
        sink.wait_for(seen).await;
    }
    stop.cancel();
    running.await??;

    for batch in sink.batches_of("app_queue") {
        println!("{} {:?}", batch.scrape.collected_at, batch.scrape.kind);
        for row in 0..batch.rows.len() {
            println!(
                "  {:?} waiting {:?} done {:?}",
                batch.rows.get(row, 0),
                batch.rows.get(row, 1),
                batch.rows.get(row, 2)
            );
        }
    }
    Ok(())
}

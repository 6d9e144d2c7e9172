//! What waits for delivery outlives the process: a `Spool` on the disk. Here the
//! place where frames go is away, the agent stops, and the next one delivers what
//! the first collected, each frame once.
//!
//! ```sh
//! cargo run -p pganalytics-examples --example spool
//! ```

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use pganalytics_collect::{Agent, Delivery, FrameGroup, Sink, SinkError, Snapshots, Spool, rows};
use pganalytics_core::Source;

const JOBS: &str = r#"
name = "app_jobs"
scope = "agent"
interval = "1s"

[[column]]
name = "done"
kind = "counter"
type = "int"
"#;

/// Most bytes that wait; beyond them the oldest frames are dropped, and declared.
const QUOTA: usize = 64 << 20;

/// A receiver that is not there.
struct Away;

#[async_trait]
impl Sink for Away {
    async fn deliver(&self, _: FrameGroup) -> Result<Delivery, SinkError> {
        Err(SinkError::Unavailable { message: "nobody answers".to_owned(), retry_after: None })
    }
}

fn agent(folder: &Path, sink: impl Sink + 'static) -> anyhow::Result<Agent> {
    let mut done = 0;
    let jobs = move |_| {
        done += 10;
        let rows = rows![[done]];
        async move { Ok(rows) }
    };
    Ok(Agent::builder()
        .collect(JOBS, Source::host("shop"), jobs)
        .outbox(Spool::open(folder, QUOTA)?)
        .flush_timeout(Duration::from_millis(100))
        .sink(sink)
        .build()?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;

    let first = agent(folder.path(), Away)?.start()?;
    while first.status().outbox.queued_frames < 3 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let summary = first.stop().await?;
    println!("stopped with {} frames on the disk", summary.outbox.queued_frames);

    let now = Snapshots::new();
    let second = agent(folder.path(), now.clone())?.start()?;
    now.wait_for("app_jobs").await;
    anyhow::ensure!(second.flush(Duration::from_secs(10)).await, "the backlog was not delivered");
    let summary = second.stop().await?;
    println!("delivered {} frames, {} are left", summary.outbox.delivered, summary.outbox.queued_frames);
    Ok(())
}

//! A `Sink` of your own: where frames go is your choice. This one writes each as
//! a line of JSON; yours may feed a queue, a file, another database.
//!
//! ```sh
//! PG_URL=postgres://monitor@localhost/postgres cargo run -p pganalytics-examples --example custom_sink
//! ```

use std::{
    collections::HashMap,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use pganalytics_collect::{
    Agent, Delivery, FrameGroup, Sink, SinkError,
    postgres::{PostgresConfig, PostgresServer},
    sink::Refused,
};
use pganalytics_core::{
    Ranges, StreamId,
    catalog::Catalog,
    frame::{Content, Frame, Limits},
    json,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Lines after which the example has shown enough.
const ENOUGH: usize = 12;

struct JsonLines<W> {
    state: Mutex<(W, HashMap<StreamId, Ranges>)>,
    enough: Arc<Notify>,
}

#[async_trait]
impl<W: Write + Send> Sink for JsonLines<W> {
    async fn deliver(&self, group: FrameGroup) -> Result<Delivery, SinkError> {
        let mut delivery = Delivery::default();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (out, seen) = &mut *state;
        let seen = seen.entry(group.stream).or_default();
        for (position, bytes) in group.frames {
            let seq = position.seq;
            // The same frame may come again after an error: (stream, seq) tells.
            if !seen.insert(seq) {
                delivery.duplicate.insert(seq);
                continue;
            }
            let content = Content::parse(bytes, &Limits::default(), &|_| None);
            match content.and_then(|content| content.frame().map(Frame::to_batch).transpose()) {
                // It will never be readable: refused for good, so the agent declares it lost.
                Err(error) => delivery.refused.push(Refused::one(seq, error.code(), error.to_string())),
                // What the agent has lost: nothing to write, but it takes its place.
                Ok(None) => {
                    delivery.stored.insert(seq);
                }
                Ok(Some(batch)) => {
                    // Not now, but perhaps later: the agent keeps the frames and comes back.
                    writeln!(out, "{}", json::to_metric(&batch)).map_err(|error| {
                        seen.remove(seq);
                        SinkError::Unavailable {
                            message: format!("writing to standard output: {error}"),
                            retry_after: None,
                        }
                    })?;
                    delivery.stored.insert(seq);
                }
            }
        }
        if seen.len() >= ENOUGH as u64 {
            self.enough.notify_one();
        }
        Ok(delivery)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = PostgresConfig::from_url(&std::env::var("PG_URL")?)?;
    let enough = Arc::new(Notify::new());
    let sink = JsonLines { state: Mutex::new((std::io::stdout(), HashMap::new())), enough: Arc::clone(&enough) };
    let agent =
        Agent::builder().server(PostgresServer::new(config, Catalog::builtin().iter().cloned())).sink(sink).build()?;

    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    enough.notified().await;
    stop.cancel();
    running.await??;
    Ok(())
}

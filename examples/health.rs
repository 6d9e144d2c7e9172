//! An agent inside a service: how it is at `/health`, what was lost in the log, and an
//! orderly end.
//!
//! ```sh
//! cargo run -p pganalytics-examples --example health
//! ```

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use pganalytics_collect::{Agent, AgentHandle, HostCollector, Snapshots};
use tokio::{
    net::TcpListener,
    sync::{RwLock, broadcast::error::RecvError},
};

/// The agent, as long as it runs.
type Shared = Arc<RwLock<Option<AgentHandle>>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let agent = Agent::builder().collector(HostCollector::default()).sink(Snapshots::new()).build()?;
    let agent = agent.start()?;

    // What is dropped, damaged or refused: which frames, and why.
    let mut losses = agent.losses();
    tokio::spawn(async move {
        loop {
            match losses.recv().await {
                Ok(loss) => {
                    for range in loss.numbers.iter() {
                        eprintln!("lost frames {} to {}: {}", range.start().0, range.end().0, loss.reason.as_str());
                    }
                }
                Err(RecvError::Lagged(missed)) => eprintln!("{missed} losses were not told"),
                Err(RecvError::Closed) => return,
            }
        }
    });

    let agent = Shared::new(RwLock::new(Some(agent)));
    let app = Router::new().route("/health", get(health)).with_state(Arc::clone(&agent));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let asked_to_stop = async {
        // Without a handler there is nothing to wait for: stop at once.
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(asked_to_stop).await?;

    // First what waits, then the end.
    let Some(agent) = agent.write().await.take() else { return Ok(()) };
    let empty = agent.flush(Duration::from_secs(5)).await;
    let summary = agent.stop().await?;
    println!(
        "flushed: {empty}; delivered {} frames, {} are left",
        summary.outbox.delivered, summary.outbox.queued_frames
    );
    Ok(())
}

async fn health(State(agent): State<Shared>) -> (StatusCode, String) {
    let Some(status) = agent.read().await.as_ref().map(AgentHandle::status) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "it is stopping\n".to_owned());
    };
    let waiting = status.outbox.queued_frames;
    match status.delivery_fault.or(status.outbox.fault) {
        None => (StatusCode::OK, format!("{} visits, {waiting} frames wait\n", status.visits)),
        Some(fault) => (StatusCode::SERVICE_UNAVAILABLE, format!("{fault}; {waiting} frames wait\n")),
    }
}

//! An axum service that watches its own PostgreSQL: the agent runs inside it, and
//! `/databases` tells what was seen last.
//!
//! ```sh
//! PG_URL=postgres://monitor@localhost/postgres cargo run -p pganalytics-examples --example embed_agent
//! ```

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, Router, extract::State, routing::get};
use pganalytics_collect::{
    Agent, MemorySink,
    postgres::{PostgresConfig, PostgresServer},
};
use pganalytics_core::{Value, catalog::Catalog};
use tokio::{net::TcpListener, sync::RwLock};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = PostgresConfig::from_url(&std::env::var("PG_URL")?)?.named("main");
    // Only what this service wants to know.
    let wanted = Catalog::builtin().iter().filter(|m| matches!(m.name().as_str(), "pg_up" | "pg_stat_database"));
    let sink = MemorySink::new();
    let agent = Agent::builder()
        .server(PostgresServer::new(config, wanted.cloned()))
        .sink(sink.clone())
        .own_figures(false)
        .build()?;

    let stop = CancellationToken::new();
    let watching = tokio::spawn(agent.run(stop.clone()));

    let commits = Commits::default();
    tokio::spawn(follow(sink, Arc::clone(&commits)));
    let app = Router::new().route("/databases", get(databases)).with_state(commits);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let asked_to_stop = async {
        // Without a handler there is nothing to wait for: stop at once.
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(asked_to_stop).await?;

    // The agent delivers what it still holds, then ends.
    stop.cancel();
    let summary = watching.await??;
    println!("delivered {} frames", summary.outbox.delivered);
    Ok(())
}

/// Transactions by database, as counted since its statistics began.
type Commits = Arc<RwLock<BTreeMap<String, i64>>>;

async fn databases(State(commits): State<Commits>) -> Json<BTreeMap<String, i64>> {
    Json(commits.read().await.clone())
}

/// Takes what has come out of the sink, so that it does not grow for ever.
async fn follow(sink: MemorySink, commits: Commits) {
    let mut seen = 0;
    loop {
        sink.wait_for(seen + 1).await;
        let batches = sink.take();
        seen += batches.len();
        let mut commits = commits.write().await;
        // Batches after the first hold only rows that changed.
        for batch in batches {
            let columns = (batch.schema.position("datname"), batch.schema.position("xact_commit"));
            let (Some(name), Some(count)) = columns else { continue };
            for row in 0..batch.rows.len() {
                if let (Value::Text(name), Value::Int(count)) = (batch.rows.get(row, name), batch.rows.get(row, count))
                {
                    commits.insert(name.to_owned(), count);
                }
            }
        }
    }
}

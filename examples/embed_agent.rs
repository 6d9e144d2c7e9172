//! An axum service that watches its own PostgreSQL: the agent runs inside it, and
//! `/databases` tells what was seen last.
//!
//! ```sh
//! PG_URL=postgres://monitor@localhost/postgres cargo run -p pganalytics-examples --example embed_agent
//! ```

use std::collections::BTreeMap;

use axum::{Json, Router, extract::State, routing::get};
use pganalytics_collect::{Agent, PostgresConfig, PostgresServer, Snapshots};
use pganalytics_core::{Value, catalog::Catalog};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = PostgresConfig::from_url(&std::env::var("PG_URL")?)?.named("main");
    // Only what this service wants to know.
    let wanted = Catalog::builtin().iter().filter(|m| matches!(m.name().as_str(), "pg_up" | "pg_stat_database"));
    // Frames tell what changed; this keeps how things are.
    let now = Snapshots::new();
    let agent = Agent::builder()
        .server(PostgresServer::new(config, wanted.cloned()))
        .sink(now.clone())
        .own_figures(false)
        .build()?
        .start()?;

    let app = Router::new().route("/databases", get(databases)).with_state(now);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let asked_to_stop = async {
        // Without a handler there is nothing to wait for: stop at once.
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(asked_to_stop).await?;

    // The agent delivers what it still holds, then ends.
    let summary = agent.stop().await?;
    println!("delivered {} frames", summary.outbox.delivered);
    Ok(())
}

/// Transactions by database, as counted since its statistics began. A database that
/// was dropped is not there any more.
async fn databases(State(now): State<Snapshots>) -> Json<BTreeMap<String, i64>> {
    let mut commits = BTreeMap::new();
    for snapshot in now.of("pg_stat_database") {
        let batch = snapshot.batch;
        let columns = (batch.schema.position("datname"), batch.schema.position("xact_commit"));
        let (Some(name), Some(count)) = columns else { continue };
        for row in 0..batch.rows.len() {
            if let (Value::Text(name), Value::Int(count)) = (batch.rows.get(row, name), batch.rows.get(row, count)) {
                commits.insert(name.to_owned(), count);
            }
        }
    }
    Json(commits)
}

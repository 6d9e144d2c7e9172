//! The whole server inside an axum application that exists already, under a path
//! of its own, on an embedded store.
//!
//! ```sh
//! cargo run -p pganalytics-examples --example nest_server
//! ```

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, routing::get};
use pganalytics_server::{Server, Settings};
use pganalytics_store::sqlite::{SqliteMetaStore, SqliteOptions, SqliteStore};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?; // yours would stay
    let mut server = Server::builder()
        .metric_store(Arc::new(SqliteStore::open(folder.path(), SqliteOptions::default())?))
        .meta_store(Arc::new(SqliteMetaStore::open(folder.path())?))
        .settings(Settings::default())
        .build()
        .await?;
    if let Some((name, password)) = server.first_admin() {
        println!("log in as {name} with {}", password.expose());
    }

    let app = Router::new()
        .route("/", get(|| async { "the application's own page" }))
        .nest_service("/monitoring", server.into_service());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let asked_to_stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    // The peer's address is what rate limits go by.
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(asked_to_stop)
        .await?;
    Ok(())
}

//! Prometheus scrapes your service, and finds its PostgreSQL there too: an agent with
//! an exporter needs no sink and collects what scrapers ask for, when they ask.
//!
//! ```sh
//! PG_URL=postgres://monitor@localhost/postgres LISTEN=127.0.0.1:9187 \
//!     cargo run -p pganalytics-examples --example exporter
//! ```

use pganalytics_collect::{
    Agent, Exporter, PostgresConfig, PostgresServer,
    exporter::{ExporterSettings, Listen},
};
use pganalytics_core::catalog::Catalog;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = PostgresConfig::from_url(&std::env::var("PG_URL")?)?.named("main");
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:9187".to_owned()).parse()?;

    let mut settings = ExporterSettings::default();
    settings.listen = Some(Listen { address, required: true });
    let exporter = Exporter::new(settings, Catalog::builtin()).server("main", &config.address());

    let agent = Agent::builder()
        .server(PostgresServer::new(config, Catalog::builtin().iter().cloned()))
        .exporter(exporter)
        .build()?
        .start()?;
    println!("listening on http://{address}");
    // Without a handler there is nothing to wait for: stop at once.
    let _ = tokio::signal::ctrl_c().await;
    agent.stop().await?;
    Ok(())
}

//! `ui`: the pages from this program, all else from a server elsewhere.

use std::sync::Arc;

use pganalytics_server::{FirstAdmin, Front, Listener, ReloadableTls, Server, TlsFiles, config::Config};
use pganalytics_store::{memory::MemoryStore, sql::EngineOptions};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    Failure, files, notify, say,
    serve::{cannot_listen, stop_on_signals},
};

pub(crate) async fn serve(config: Config, backend: &str) -> Result<(), Failure> {
    files::allow(config.settings.connections.max);
    let front = Front::new(backend, config.settings.clone())?;
    let files = config.tls.as_ref().map(|(cert, key)| TlsFiles { certificate: cert.clone(), key: key.clone() });
    let tls = files.map(ReloadableTls::load).transpose()?;
    let socket =
        TcpListener::bind(config.listen).await.map_err(|error| cannot_listen(config.listen, &error, "port"))?;
    let address = socket.local_addr().map_err(Failure::new)?;
    // Connections, their limits and their end are those of a server; of its own it has nothing.
    let store = MemoryStore::new(EngineOptions { threads: 1, ..EngineOptions::default() }).map_err(Failure::new)?;
    let store = Arc::new(store);
    let mut settings = config.settings;
    settings.first_admin = FirstAdmin::Setup;
    let server = Server::builder().metric_store(store.clone()).meta_store(store).settings(settings).build().await?;
    let listener = match &tls {
        Some(tls) => Listener::tls(socket, tls.config()),
        None => Listener::plain(socket),
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    say(&format!(
        "The page of pgAnalytics {} is at {scheme}://{address}/\nIts server is {backend}\n",
        env!("CARGO_PKG_VERSION")
    ));
    notify::tell(&[NotifyState::Ready]);
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signals(stop.clone()));
    server.serve_all(vec![listener.with_service(front.into_service())], stop.cancelled()).await?;
    Ok(())
}

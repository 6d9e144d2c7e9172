//! `serve`: puts the parts together and runs them until a signal.

use std::{io, net::SocketAddr, sync::Arc};

use pganalytics_server::{Listener, ReloadableTls, Server, TlsFiles, config::Config};
use sd_notify::NotifyState;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use super::{FAILED, Failure, catalog, files, notify, open_meta, open_metrics, reload::Reload, say, sql_worker};

pub(crate) async fn serve(config: Config, reload: Reload) -> Result<(), Failure> {
    files::allow(config.settings.connections.max);
    // Everything that can be wrong without the store comes before it: the first
    // admin's password is made once, and must not be lost to a port in use.
    let monitors = monitors(&config)?;
    let files = config.tls.as_ref().map(|(cert, key)| TlsFiles { certificate: cert.clone(), key: key.clone() });
    let tls = files.map(ReloadableTls::load).transpose()?;
    let listener =
        TcpListener::bind(config.listen).await.map_err(|error| cannot_listen(config.listen, &error, "port"))?;
    let address = listener.local_addr().map_err(Failure::new)?;
    let ui_listener = ui_listener(&config).await?;
    let ui_address = ui_listener.as_ref().map(TcpListener::local_addr).transpose().map_err(Failure::new)?;

    let folder = config.data_dir.clone();
    let open = move || Ok::<_, Failure>((Arc::new(open_metrics(&folder)?), Arc::new(open_meta(&folder)?)));
    let (metrics, meta) = tokio::task::spawn_blocking(open).await.map_err(Failure::new)??;
    let runner = sql_worker::runner(&config).await?;
    let mut builder = Server::builder();
    if let Some(runner) = runner {
        builder = builder.sql_runner(runner);
    }
    let mut server = builder
        .metric_store(metrics)
        .meta_store(meta)
        .catalog(Arc::new(catalog::load(config.catalog_dir.as_deref())))
        .settings(config.settings.clone())
        .build()
        .await?;
    welcome(&config, ui_address.unwrap_or(address), address, &mut server);

    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signals(stop.clone()));
    let watching = watch(&server, monitors, stop.clone()).await?;
    let listeners = std::iter::once(listener).chain(ui_listener);
    let listeners = listeners.map(|socket| match &tls {
        Some(tls) => Listener::tls(socket, tls.config()),
        None => Listener::plain(socket),
    });
    let listeners = listeners.collect();
    let control = server.control();
    let helpers = [tokio::spawn(notify::watchdog(control.clone())), tokio::spawn(reload.on_hangup(control, tls))];
    // Its port is open and the store has its present shape.
    let status = format!("Listening on {address}");
    notify::tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    let told = async {
        stop.cancelled().await;
        notify::tell(&[NotifyState::Stopping]);
    };
    server.serve_all(listeners, told).await?;
    for helper in helpers {
        helper.abort();
    }
    // It delivers what it still has while requests end; both are over now.
    stop.cancel();
    let _ = watching.await;
    tracing::info!("stopped");
    Ok(())
}

#[cfg(feature = "agent")]
type Monitors = Vec<pganalytics_collect::postgres::PostgresConfig>;

#[cfg(feature = "agent")]
fn monitors(config: &Config) -> Result<Monitors, Failure> {
    let read = |url: &pganalytics_core::Secret<String>| {
        pganalytics_collect::postgres::PostgresConfig::from_url(url.expose())
            .map_err(|error| Failure::misused(format!("PGANALYTICS_MONITOR or --monitor: {error}")))
    };
    config.monitors.iter().map(read).collect()
}

/// Runs the agent in this process; it ends after `stop`.
#[cfg(feature = "agent")]
async fn watch(
    server: &Server,
    monitors: Monitors,
    stop: CancellationToken,
) -> Result<tokio::task::JoinHandle<()>, Failure> {
    if monitors.is_empty() {
        return Ok(tokio::spawn(async {}));
    }
    let names: Vec<String> = monitors.iter().map(|monitor| monitor.name.to_string()).collect();
    tracing::info!(servers = names.join(", "), "watching from this process");
    let agent = server.monitor(monitors).await?;
    Ok(tokio::spawn(async move {
        if let Err(error) = agent.run(stop).await {
            tracing::error!(%error, "the agent in this process has stopped");
        }
    }))
}

#[cfg(not(feature = "agent"))]
type Monitors = ();

#[cfg(not(feature = "agent"))]
fn monitors(config: &Config) -> Result<Monitors, Failure> {
    if config.monitors.is_empty() {
        return Ok(());
    }
    Err(Failure::misused("--monitor: this program was built without the agent; run pganalytics-agent beside it"))
}

#[cfg(not(feature = "agent"))]
#[expect(clippy::unused_async, reason = "the same as with the agent")]
async fn watch(_: &Server, (): Monitors, _: CancellationToken) -> Result<tokio::task::JoinHandle<()>, Failure> {
    Ok(tokio::spawn(async {}))
}

/// The second port, for people. One that nobody asked for is done without.
async fn ui_listener(config: &Config) -> Result<Option<TcpListener>, Failure> {
    let Some(ui) = config.ui_listen else { return Ok(None) };
    match TcpListener::bind(ui.address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if ui.required => Err(cannot_listen(ui.address, &error, "ui-port")),
        Err(error) => {
            tracing::warn!("{}", cannot_listen(ui.address, &error, "ui-port").message);
            Ok(None)
        }
    }
}

pub(super) fn cannot_listen(address: SocketAddr, error: &io::Error, flag: &str) -> Failure {
    let variable = flag.to_uppercase().replace('-', "_");
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("another program has this port; stop it, or choose another port with --{flag} or {variable}")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "ports below 1024 need a right that this user does not have; choose another with --{flag} or {variable}"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; choose another with --listen or PGANALYTICS_LISTEN".to_owned()
        }
        _ => error.to_string(),
    };
    Failure::new(format!("can't listen on {address}: {hint}"))
}

/// What whoever started it wants to know.
fn welcome(config: &Config, people: SocketAddr, address: SocketAddr, server: &mut Server) {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    // "All addresses" is none that a browser can open.
    let host = match address.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        ip @ std::net::IpAddr::V6(_) => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    let mut text = format!(
        "pgAnalytics {} is at {scheme}://{host}:{}/\nData is kept in {}\n",
        env!("CARGO_PKG_VERSION"),
        address.port(),
        config.data_dir.display()
    );
    if people != address {
        text += &format!("The page is at {scheme}://{host}:{}/ as well\n", people.port());
    }
    if let Some(token) = server.setup_token() {
        // One that was given is known to whoever gave it.
        let given = config.settings.setup_token.is_some();
        let shown = if given { "the one you have set" } else { token.expose().as_str() };
        text += &format!(
            "\n  There is no user yet. Make the first admin at {scheme}://{host}:{}/setup (POST /api/v1/auth/setup)\n  Setup token {shown}\n\n",
            address.port()
        );
    }
    if let Some((user, password)) = server.first_admin() {
        text += &format!(
            "\n  Log in as   {user}\n  Password    {}\n\n\
             It is shown this once. Lost it? Run: pganalytics-server user reset-password {user}\n\n",
            password.expose()
        );
    }
    say(&text);
}

/// The first signal stops in order, the second at once.
pub(super) async fn stop_on_signals(stop: CancellationToken) {
    let signals = signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    let (mut terminate, mut interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!(%error, "signals are not handled: the server will stop without ending what is under way");
            return;
        }
    };
    for round in 0..2 {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if round == 0 {
            tracing::info!("stopping; once more to stop at once");
            stop.cancel();
        }
    }
    std::process::exit(i32::from(FAILED));
}

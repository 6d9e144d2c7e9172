//! `run`: collects and sends until told to stop.

use std::process::ExitCode;

use pganalytics_collect::{
    Config,
    config::{Origin, Setting},
    delivery::SpoolError,
    own_sql::Reloader,
};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{FAILED, MISUSED, complain, notify, register, say_error};

pub(crate) async fn run(config: &Config) -> ExitCode {
    warn_of_settings(config.settings());
    if config.postgres.is_empty() && config.pgbouncer.is_empty() {
        warn!(
            "no PostgreSQL server is set, only this host is watched; name one with --postgres, POSTGRES_HOST or [[postgres]]"
        );
    }
    let stop = CancellationToken::new();
    let signals = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = stop_on_signals(signals).await {
            warn!(%error, "signals are not handled: the agent stops without sending what waits");
        }
    });
    tokio::spawn(notify::watchdog());
    let servers = config.postgres.len();
    let status = format!("Watching {servers} servers");
    notify::tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    if let Err(code) = register::before_running(config, &stop).await {
        return code;
    }
    let mut agent = config.agent();
    let exporter = config.exporter();
    match config.http_sink() {
        Ok(Some(sink)) => agent = agent.sink(sink),
        // Who forgot the address must hear of it, so the default does not count.
        Ok(None) if exporter.is_some() && is_exporter_wanted(config.settings()) => {
            info!("no [backend] url is set: nothing is sent, and only what Prometheus asks for is collected");
        }
        Ok(None) => {
            say_error(
                "backend.url: there is nowhere to send to; set --backend-url, BACKEND_URL or [backend] url, \
                 or [exporter] enabled = true",
            );
            return ExitCode::from(MISUSED);
        }
        Err(error) => return complain(&error, MISUSED),
    }
    if let Some(exporter) = exporter {
        agent = agent.exporter(exporter);
    }
    let mut lasts = false;
    // What is not sent need not last.
    if config.backend.is_some() {
        match config.spool() {
            Ok(spool) => {
                agent = agent.outbox(spool);
                lasts = true;
            }
            // Two agents that send the same: neither would know what the other has sent.
            // Another's folder: he could read what is collected.
            Err(error @ (SpoolError::InUse { .. } | SpoolError::Foreign { .. } | SpoolError::NotOurs { .. })) => {
                say_error(&format!("collector.data_dir: {error}"));
                return ExitCode::from(MISUSED);
            }
            Err(error) => warn!(
                "{error}; what waits for delivery is held in memory and lost when the agent ends, and logs are read \
                 from their end on: make the folder of collector.data_dir and give it to the agent's user"
            ),
        }
    }
    let agent = match agent.build() {
        Ok(agent) => agent,
        Err(error) => return complain(&error, MISUSED),
    };
    tokio::spawn(reload_on_hangup(config.reloader()));
    match agent.run(stop).await {
        Ok(summary) if summary.outbox.queued_frames == 0 => ExitCode::SUCCESS,
        Ok(summary) if lasts && summary.outbox.fault.is_none() => {
            info!(frames = summary.outbox.queued_frames, "stopped; what was not sent is sent at the next start");
            ExitCode::SUCCESS
        }
        Ok(summary) => {
            say_error(&format!("stopped with {} frames not sent; they are lost", summary.outbox.queued_frames));
            ExitCode::from(FAILED)
        }
        Err(error) => complain(&error, FAILED),
    }
}

/// The first signal stops in order, the second at once.
async fn stop_on_signals(stop: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    for round in 0..2 {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if round == 0 {
            info!("stopping; once more to stop at once");
            notify::tell(&[NotifyState::Stopping]);
            stop.cancel();
        }
    }
    std::process::exit(i32::from(FAILED))
}

/// SIGHUP: look at the catalog files now. It ends no agent that has none.
async fn reload_on_hangup(reloader: Option<Reloader>) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return warn!(%error, "SIGHUP is not handled"),
    };
    while hangup.recv().await.is_some() {
        match &reloader {
            Some(reloader) => reloader.reload(),
            None => info!("SIGHUP: there is no collector.catalog_dir to read again; other settings need a restart"),
        }
    }
}

/// Whether somebody said that there shall be an exporter.
fn is_exporter_wanted(settings: &[Setting]) -> bool {
    let wanted = ["exporter.enabled", "exporter.listen", "exporter.pgbouncer_listen"];
    settings.iter().any(|setting| wanted.contains(&setting.key.as_str()) && setting.origin != Origin::Default)
}

fn warn_of_settings(settings: &[Setting]) {
    let set = |key: &str| settings.iter().find(|setting| setting.key == key && !setting.value.is_empty());
    let is_local =
        |url: &str| ["http://localhost", "http://127.", "http://[::1]"].iter().any(|local| url.starts_with(local));
    if let Some(url) = set("backend.url").map(|setting| setting.value.as_str())
        && url.starts_with("http://")
        && !is_local(url)
    {
        warn!("{url} is not encrypted: whoever listens on the way reads what is sent, the token too; use https://");
    }
    let is_set = |key: &str| settings.iter().any(|setting| setting.key == key && setting.origin != Origin::Default);
    if is_set("collector.config_pull_interval") {
        warn!("collector.config_pull_interval has no effect: an agent does not take settings from the server");
    }
    if set("tls.verify").is_some_and(|setting| setting.value == "false") {
        warn!(
            "the server's certificate is not verified: whoever stands between reads the token; set [tls] ca_file instead"
        );
    }
}

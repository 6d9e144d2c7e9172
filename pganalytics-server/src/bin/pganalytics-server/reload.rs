//! SIGHUP: takes over what can change while the server runs, and says of the
//! rest that it waits for a restart. A mistake changes nothing.

use pganalytics_server::{
    Control, ReloadableTls,
    config::{Config, Gathered},
};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, LogFilter, Source, log_filter, notify};

/// The certificate's files are read again in any case.
fn can_change(name: &str) -> bool {
    name == "log_level" || name.starts_with("rate_limit_")
}

pub(crate) struct Reload {
    source: Source,
    /// As they were at the start, which still hold where they can't change.
    first: Gathered,
    log: LogFilter,
}

impl Reload {
    pub(crate) fn new(source: Source, first: Gathered, log: LogFilter) -> Self {
        Self { source, first, log }
    }

    /// Reloads at each SIGHUP, for ever.
    pub(crate) async fn on_hangup(self, control: Control, tls: Option<ReloadableTls>) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return tracing::warn!(%error, "SIGHUP is not handled"),
        };
        while hangup.recv().await.is_some() {
            notify::tell(&[NotifyState::Reloading]);
            if let Err(failure) = self.reload(&control, tls.as_ref()) {
                tracing::error!("SIGHUP: {}; all stays as it was", failure.message);
            }
            notify::tell(&[NotifyState::Ready]);
        }
    }

    fn reload(&self, control: &Control, tls: Option<&ReloadableTls>) -> Result<(), Failure> {
        // All that can be wrong comes before the first change.
        let gathered = self.source.gather()?;
        let config = Config::build(&gathered)?;
        let filter = log_filter(&config.log_level)?;
        if let Some(tls) = tls {
            tls.reload()?;
        }
        self.log.reload(filter).map_err(Failure::new)?;
        control.set_rate_limits(config.settings.rate_limits);
        let fixed = self.first.differences(&gathered).filter(|key| !can_change(key.name));
        let fixed: Vec<&str> = fixed.map(|key| key.name).collect();
        if !fixed.is_empty() {
            tracing::warn!("SIGHUP: {} changed and wait for a restart", fixed.join(", "));
        }
        tracing::info!("SIGHUP: the certificate, LOG_LEVEL and rate limits were read again");
        Ok(())
    }
}

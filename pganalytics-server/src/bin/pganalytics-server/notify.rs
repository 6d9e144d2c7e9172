//! Tells systemd how we are, where it started us: `Type=notify` and the watchdog.

use std::time::Duration;

use pganalytics_server::Control;
use sd_notify::NotifyState;

/// Says it; without systemd nobody listens, which is no error.
pub(crate) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!(%error, "systemd is not told");
    }
}

/// Feeds the watchdog while the runtime runs and the server answers itself,
/// well or not: a server that is stuck does neither, and is started anew.
pub(crate) async fn watchdog(control: Control) {
    let mut micros = 0;
    if !sd_notify::watchdog_enabled(false, &mut micros) {
        return;
    }
    let mut ticks = tokio::time::interval(Duration::from_micros((micros / 3).max(100_000)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let status = if control.is_ready().await { "Ready" } else { "A part is down, or it is stopping" };
        tell(&[NotifyState::Watchdog, NotifyState::Status(status)]);
    }
}

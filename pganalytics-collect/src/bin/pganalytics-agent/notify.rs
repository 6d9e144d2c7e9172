//! Tells systemd how we are, where it started us: `Type=notify` and the watchdog.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

/// Says it; without systemd nobody listens, which is no error.
pub(crate) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        debug!(%error, "systemd is not told");
    }
}

/// Feeds the watchdog. Spawn it: it then runs on the one thread that runs the
/// collectors too, so that one of them which blocks it starves the watchdog, and
/// the agent is started anew.
pub(crate) async fn watchdog() {
    let mut micros = 0;
    if !sd_notify::watchdog_enabled(false, &mut micros) {
        return;
    }
    let mut ticks = tokio::time::interval(Duration::from_micros((micros / 3).max(100_000)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

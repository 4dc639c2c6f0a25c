//! What the service manager is told (sd_notify(3)). Without one, nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::{debug, warn};

use crate::store::Store;

/// The daemon answers.
pub(super) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// It rereads its configuration; to be followed by [`ready`]. systemd 253 and later want to know when it began.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// It has begun to stop.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("draining: answers on their way are awaited")]);
}

/// Gives a sign of life at half the interval that systemd waits for, and only as long as the store can be written to: a
/// daemon that cannot write sells nothing, and a restart may help. Never returns; returns at once where nobody watches.
pub(super) async fn feed_watchdog(store: Store) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    let pause = (interval / 2).max(Duration::from_millis(100));
    debug!(interval_ms = interval.as_millis(), "the service manager watches");
    let mut ticks = tokio::time::interval(pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match tokio::time::timeout(pause, store.ping()).await {
            Ok(Ok(())) => notify(&[NotifyState::Watchdog]),
            Ok(Err(error)) => warn!(%error, "the store does not answer, so the service manager hears nothing either"),
            Err(_) => {
                warn!(waited_ms = pause.as_millis(), "the store is silent, so the service manager hears nothing either")
            }
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager cannot be told");
    }
}

//! Messages to the service manager (`sd_notify`).

use std::time::Duration;

use sd_notify::NotifyState;

/// Reports that the worker has started.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Reports that the worker is stopping.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Resets the watchdog.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Returns the interval at which the watchdog must be reset; `None` without a watchdog.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Sends a message. Without a service manager, it does nothing.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

//! What the system's service manager wants to hear.

use std::time::Duration;

use sd_notify::NotifyState;

/// The worker takes jobs.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It is going to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It is still alive.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often it has to say so; `None` when nobody wants to hear it.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Without a service manager there is nobody to tell.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

//! Waits for a fixed time, where there is no event to wait for.

use std::sync::mpsc::channel;
use std::time::Duration;

/// Waits for this time between two polls.
pub fn pause(moment: Duration) {
    // The channel never gets a message, so the receiver always waits for the full time.
    let (_keep, nothing) = channel::<()>();
    let _ = nothing.recv_timeout(moment);
}

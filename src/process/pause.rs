//! Waiting for what cannot be waited for.

use std::sync::mpsc::channel;
use std::time::Duration;

/// Waits for a moment, between two looks at something.
pub fn pause(moment: Duration) {
    // Nothing is ever sent.
    let (_keep, nothing) = channel::<()>();
    let _ = nothing.recv_timeout(moment);
}

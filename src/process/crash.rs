//! Crash points, at which tests kill this process to simulate a power failure.

/// Kills this process if the variable `PGGIT_CRASH_AT` names this point. With `name:3` it does so
/// the third time. Only debug builds contain crash points; in release builds this has no effect.
#[inline]
pub fn crash_point(name: &str) {
    #[cfg(debug_assertions)]
    crash_if_named(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
#[expect(clippy::disallowed_methods, reason = "a switch for tests, not configuration")]
fn crash_if_named(name: &str) {
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::atomic::{AtomicU32, Ordering};

    static PASSED: AtomicU32 = AtomicU32::new(0);
    let Ok(at) = std::env::var("PGGIT_CRASH_AT") else { return };
    let (point, time) = at.rsplit_once(':').unwrap_or((&at, "1"));
    if point == name && time.parse() == Ok(PASSED.fetch_add(1, Ordering::SeqCst) + 1) {
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}

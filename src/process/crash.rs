//! Points at which tests end this process as the power button would.

/// Kills this process when the variable `PGGIT_CRASH_AT` names this point. Only
/// debug builds have this; in a release it is nothing.
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
    if std::env::var_os("PGGIT_CRASH_AT").is_some_and(|at| at == name) {
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}

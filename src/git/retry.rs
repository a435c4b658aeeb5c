//! Repeats changes that failed because of a concurrent change.

use std::fmt::Display;
use std::time::Duration;

use backon::{BlockingRetryable as _, ExponentialBuilder};

/// Maximum number of retries after a lost race. With the delays below they take about half a minute.
const ATTEMPTS: usize = 200;

/// Calls `attempt` again, with backoff, while its error is a lost race by `is_lost`. `attempt` reads
/// and decides each time, so that it starts from the current state. Fails with the result of `busy`
/// after too many attempts: its arguments are the number of attempts and the last error.
pub fn retry_on_conflict<T, E: Display>(
    mut attempt: impl FnMut() -> Result<T, E>,
    is_lost: impl Fn(&E) -> bool,
    busy: impl FnOnce(usize, String) -> E,
) -> Result<T, E> {
    let mut attempts = 0;
    let delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(1))
        .with_max_delay(Duration::from_millis(150))
        .with_max_times(ATTEMPTS)
        .with_jitter();
    let tried = || {
        attempts += 1;
        attempt()
    };
    tried.retry(delays).when(&is_lost).call().map_err(|error| match is_lost(&error) {
        true => busy(attempts, error.to_string()),
        false => error,
    })
}

//! Changes that are made again when somebody else was faster.

use std::fmt::Display;
use std::time::Duration;

use backon::{BlockingRetryable as _, ExponentialBuilder};

/// How often a lost race is tried again. With the delays below that is half a
/// minute of bad luck.
const ATTEMPTS: usize = 200;

/// Tries again as long as others are faster, which `is_lost` tells; from what
/// was read anew, so `attempt` reads and decides as well. Who never wins gets
/// what `busy` makes of the number of attempts and the last failure.
pub fn retrying<T, E: Display>(
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

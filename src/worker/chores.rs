//! What a worker does beside jobs, now and then.

use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

/// Something that is done again and again: looking at a schedule, removing
/// what is old.
pub trait Chore: Send {
    /// What it is called in the log.
    fn name(&self) -> &'static str;

    /// Does it once. Returns how long to wait before the next time; an error
    /// is logged, and it is tried again after the same time as before.
    fn run(&mut self) -> Result<Duration, String>;
}

/// How long to wait after a chore that has never succeeded.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// Does it for ever.
pub(super) async fn keep_doing(mut chore: Box<dyn Chore>) {
    let mut wait = FIRST_WAIT;
    loop {
        let done = tokio::task::spawn_blocking(move || {
            let result = chore.run();
            (chore, result)
        });
        // A panic ends this chore and nothing else; it has been reported.
        let Ok((returned, result)) = done.await else { return };
        chore = returned;
        match result {
            Ok(next) => wait = next,
            Err(error) => warn!(chore = chore.name(), error, "a chore failed"),
        }
        sleep(wait).await;
    }
}

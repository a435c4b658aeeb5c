//! The periodic tasks of a worker.

use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

/// A periodic task, such as the scheduler.
pub trait Chore: Send {
    /// Returns its name for the server log.
    fn name(&self) -> &'static str;

    /// Runs the task once. Returns the wait before the next run. An error is logged, and the
    /// previous wait is used again.
    fn run(&mut self) -> Result<Duration, String>;
}

/// The wait after a task that has never succeeded.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// Runs a task forever.
pub(super) async fn keep_doing(mut chore: Box<dyn Chore>) {
    let mut wait = FIRST_WAIT;
    loop {
        let done = tokio::task::spawn_blocking(move || {
            let result = chore.run();
            (chore, result)
        });
        // A panic ends this task only. The panic hook has reported it.
        let Ok((returned, result)) = done.await else { return };
        chore = returned;
        match result {
            Ok(next) => wait = next,
            Err(error) => warn!(task = chore.name(), error, "periodic task failed"),
        }
        sleep(wait).await;
    }
}

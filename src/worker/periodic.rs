//! The periodic tasks of a worker.

use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

/// A periodic task, such as the scheduler.
pub trait PeriodicTask: Send {
    /// Returns its name for the server log.
    fn name(&self) -> &'static str;

    /// Runs the task once. Returns the wait before the next run. An error is logged, and the
    /// previous wait is used again.
    fn run(&mut self) -> Result<Duration, String>;
}

/// The wait after a task that has never succeeded.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// Runs a task forever.
pub(super) async fn run_forever(mut task: Box<dyn PeriodicTask>) {
    let mut wait = FIRST_WAIT;
    loop {
        let done = tokio::task::spawn_blocking(move || {
            let result = task.run();
            (task, result)
        });
        // A panic ends this task only. The panic hook has reported it.
        let Ok((returned, result)) = done.await else { return };
        task = returned;
        match result {
            Ok(next) => wait = next,
            Err(error) => warn!(task = task.name(), error, "periodic task failed"),
        }
        sleep(wait).await;
    }
}

//! `git pggit run-job`: one attempt at one job. Workers run this command.

use crate::cli::Context;
use crate::cli::after_change::after_change;
use crate::domain::{Failure as Cause, Line};
use crate::failure::Failure;
use crate::process::crash_point;
use crate::terminal::bar;
use crate::worker::{Answer, job};

/// Make one attempt at the job on standard input
///
/// Workers run this command. The job is one line. The end of standard input after
/// the job means that the worker has exited; then this command exits, too. Prints
/// the result as JSON.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(super) fn run(_: &Args, context: &Context) -> Result<(), Failure> {
    let job = job::read()?;
    let recorded = || {
        after_change(context);
    };
    let progress = bar::progress(&context.ui);
    let done = job::run(&job, context, progress.as_ref(), &recorded);
    drop(progress);
    let answer = match done {
        Ok(measured) => Answer::Completed { measured },
        Err(error) => {
            let retry = error.retry();
            let failure = Failure::from(error);
            context.ui.failure(&failure.output());
            let message =
                std::iter::once(failure.message()).chain(failure.causes().iter().map(String::as_str));
            let message = message.collect::<Vec<_>>().join(": ");
            Answer::Failed { error: Cause { code: Line::lossy(failure.code().name()), message }, retry }
        }
    };
    crash_point("job.done");
    let answer = serde_json::to_string(&answer).expect("an answer has string keys");
    Ok(context.ui.raw(answer.as_bytes())?)
}

//! `git pggit queue watch`

use std::collections::HashMap;
use std::time::Duration;

use crate::cli::Context;
use crate::domain::{Job, JobId, JobState};
use crate::failure::Failure;
use crate::output::queue::JobOutput;
use crate::queue::{Filter, Queue, Watch};
use crate::workspace::queue;

/// Print changes of jobs as they happen
///
/// Prints the unfinished jobs first, then a line for each change of the state of a
/// job, until Ctrl-C. With --json each line is a JSON object.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Exit when there are no unfinished jobs
    #[arg(long)]
    until_idle: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit queue watch
    git pggit queue watch --until-idle --json";

/// The longest wait without a notification.
const LONGEST: Duration = Duration::from_secs(30);

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let queue = queue::open(context)?;
    // The watch begins before the first listing, so that no change between the two is missed.
    let mut watch = queue.watch()?;
    let mut known = HashMap::new();
    let mut first = true;
    loop {
        let unfinished = look(queue.as_ref(), &mut known, first, context)?;
        first = false;
        context.ui.finish()?;
        if args.until_idle && unfinished == 0 {
            return Ok(());
        }
        wait(watch.as_mut())?;
    }
}

fn wait(watch: &mut dyn Watch) -> Result<(), Failure> {
    watch.wait(LONGEST)?;
    Ok(())
}

/// Prints the jobs whose state has changed. Returns the number of unfinished jobs.
fn look(
    queue: &dyn Queue,
    known: &mut HashMap<JobId, (JobState, u32)>,
    first: bool,
    context: &Context,
) -> Result<usize, Failure> {
    let jobs = queue.list(&Filter::default())?.jobs;
    for job in &jobs {
        let now = (job.state, job.attempts);
        let before = known.insert(job.id, now);
        if before != Some(now) && !(first && job.state.is_finished()) {
            say(job, context)?;
        }
    }
    Ok(jobs.iter().filter(|job| !job.state.is_finished() && job.state != JobState::Paused).count())
}

fn say(job: &Job, context: &Context) -> Result<(), Failure> {
    let job = JobOutput::from(job);
    let printed = match context.ui.wants_json() {
        true => context.ui.json_line(&job),
        false => job.print_state(&context.ui),
    };
    Ok(printed?)
}

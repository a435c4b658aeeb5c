//! `git pggit queue`: jobs for workers.

mod cancel;
mod clean;
pub(super) mod enqueue;
mod init;
mod list;
mod pause;
mod resume;
mod retry;
mod show;
mod stats;
mod watch;

use clap::Subcommand;

use crate::cli::Context;
use crate::domain::{Job, JobId};
use crate::failure::{Code, Failure};
use crate::output::queue::{JobList, JobOutput};
use crate::queue::{Error, Queue};
use crate::workspace::queue;

/// Manage the queue of jobs for workers
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Enqueue(Box<enqueue::Args>),
    List(list::Args),
    Show(show::Args),
    Stats(stats::Args),
    Cancel(cancel::Args),
    Retry(retry::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Clean(clean::Args),
    Watch(watch::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init::run(&args, context),
        Command::Enqueue(args) => enqueue::run(&args, context),
        Command::List(args) => list::run(&args, context),
        Command::Show(args) => show::run(&args, context),
        Command::Stats(args) => stats::run(&args, context),
        Command::Cancel(args) => cancel::run(&args, context),
        Command::Retry(args) => retry::run(&args, context),
        Command::Pause(args) => pause::run(&args, context),
        Command::Resume(args) => resume::run(&args, context),
        Command::Clean(args) => clean::run(&args, context),
        Command::Watch(args) => watch::run(&args, context),
    }
}

/// The jobs of a command.
#[derive(Debug, clap::Args)]
struct Some {
    /// The jobs: ids or the beginnings of ids
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,
}

impl Some {
    /// Changes each of the jobs. An error about one job does not prevent changes of the others. Fails
    /// with the last error.
    fn each(
        &self,
        context: &Context,
        verb: &str,
        change: impl Fn(&dyn Queue, JobId) -> Result<Job, Error>,
    ) -> Result<(), Failure> {
        let queue = queue::open(context)?;
        let (mut jobs, mut failure) = (Vec::<JobOutput>::new(), None);
        for selector in &self.jobs {
            match find(queue.as_ref(), selector).and_then(|id| Ok(change(queue.as_ref(), id)?)) {
                Ok(job) => jobs.push((&job).into()),
                Err(other) => {
                    if let Some(earlier) = failure.replace(other) {
                        context.ui.failure(&earlier.output());
                    }
                }
            }
        }
        for job in &jobs {
            context.ui.status(&format!("{verb} job {}: {}", job.id, job.title()));
        }
        if context.ui.wants_json() {
            context.ui.json(&JobList { jobs })?;
        }
        failure.map_or(Ok(()), Err)
    }
}

/// Returns the id of the job whose id begins with `selector`. A full id is returned without a look into
/// the queue. Fails if no job or several jobs match.
fn find(queue: &dyn Queue, selector: &str) -> Result<JobId, Failure> {
    if let Ok(id) = selector.parse() {
        return Ok(id);
    }
    let found = if selector.is_empty() { Vec::new() } else { queue.find(selector)? };
    match found[..] {
        [id] => Ok(id),
        [] => Err(Error::NotFound { selector: selector.to_owned() }.into()),
        _ => {
            let failure = Failure::new(Code::Ambiguous, format!("`{selector}` matches {} jobs", found.len()));
            Err(found.iter().take(10).fold(failure, |failure, id| failure.hint(format!("  {id}"))))
        }
    }
}

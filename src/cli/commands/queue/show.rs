//! `git pggit queue show`

use crate::cli::Context;
use crate::failure::Failure;
use crate::output::queue::JobOutput;
use crate::workspace::queue;

/// Show a job with its attempts
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The job: an id or the beginning of one
    #[arg(value_name = "JOB")]
    job: String,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit queue show 0193f1a2
    git pggit queue show 0193f1a2 --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let queue = queue::open(context)?;
    let job = queue.get(super::find(queue.as_ref(), &args.job)?)?;
    context.paged(&JobOutput::from(&job))
}

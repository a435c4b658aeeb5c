//! `git pggit queue cancel`

use crate::cli::Context;
use crate::failure::Failure;

/// Cancel jobs
///
/// A waiting job is cancelled at once. For a running job the worker stops the tool
/// and all its processes, records the backup as failed, and then cancels the job.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    some: super::Some,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit queue cancel 0193f1a2";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    args.some.each(context, "cancelled", |queue, id| queue.cancel(id))
}

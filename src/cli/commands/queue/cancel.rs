//! `git pggit queue cancel`

use crate::cli::Context;
use crate::failure::Failure;

/// Cancel jobs
///
/// A job that waits is cancelled at once. A running one is asked to end: its
/// worker ends the tool with everything that it has started, records the backup
/// as failed, and then the job is cancelled.
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

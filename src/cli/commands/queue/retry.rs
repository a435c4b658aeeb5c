//! `git pggit queue retry`

use crate::cli::Context;
use crate::failure::Failure;

/// Retry jobs
///
/// A job that has failed permanently or was cancelled gets all its attempts again,
/// under the same backup id. The next attempt of a job that waits for a retry is due
/// at once.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    some: super::Some,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit queue retry 0193f1a2
    git pggit queue list --state permanently_failed --ids | xargs git pggit queue retry";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    args.some.each(context, "will retry", |queue, id| queue.retry(id))
}

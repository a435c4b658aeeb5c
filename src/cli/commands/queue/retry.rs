//! `git pggit queue retry`

use crate::cli::Context;
use crate::failure::Failure;

/// Try jobs again
///
/// A job that has failed for good or was cancelled gets all its attempts again,
/// under the same backup id; one that waits for its next attempt waits no longer.
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
    args.some.each(context, "will try", |queue, id| queue.retry(id))
}

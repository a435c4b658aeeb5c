//! `git pggit queue pause`

use crate::cli::Context;
use crate::failure::Failure;

/// Pause jobs until they are resumed
///
/// A paused job keeps its key: no other job with the same key can be enqueued.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    some: super::Some,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit queue pause 0193f1a2";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    args.some.each(context, "paused", |queue, id| queue.pause(id))
}

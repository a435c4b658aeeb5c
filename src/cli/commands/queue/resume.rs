//! `git pggit queue resume`

use crate::cli::Context;
use crate::failure::Failure;

/// Resume paused jobs
///
/// The priority and the age of a resumed job decide when it runs.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    some: super::Some,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit queue resume 0193f1a2";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    args.some.each(context, "resumed", |queue, id| queue.resume(id))
}

//! `git pggit queue resume`

use crate::cli::Context;
use crate::failure::Failure;

/// Let paused jobs run
///
/// They take their place in the queue by priority and age.
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

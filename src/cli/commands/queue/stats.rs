//! `git pggit queue stats`

use crate::cli::Context;
use crate::failure::Failure;
use crate::output::queue::QueueStats;
use crate::workspace::queue;

/// Show statistics of the queue
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit queue stats
    git pggit queue stats --json";

pub(super) fn run(_: &Args, context: &Context) -> Result<(), Failure> {
    let stats = queue::open(context)?.stats()?;
    Ok(context.ui.result(&QueueStats::from(stats))?)
}

//! `git pggit queue clean`

use std::time::Duration;

use crate::cli::Context;
use crate::domain::parse_duration;
use crate::failure::Failure;
use crate::output::queue::CleanedQueue;
use crate::workspace::queue;

/// Remove finished jobs
///
/// Removes jobs that were completed, cancelled or have failed permanently, longer
/// ago than --older-than. The records of backups are kept.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The minimum age: a number and s, m, h, d or w; 0 removes all finished jobs
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = parse_duration)]
    older_than: Duration,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit queue clean
    git pggit queue clean --older-than 7d";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let removed = queue::open(context)?.clean(args.older_than)?;
    Ok(context.ui.result(&CleanedQueue { removed })?)
}

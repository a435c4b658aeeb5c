//! `git pggit schedule run`

use super::planned;
use crate::automation;
use crate::cli::Context;
use crate::cli::automation::enqueue;
use crate::failure::Failure;

/// Enqueue due backups once, as the worker does every minute
///
/// Enqueues one job for each schedule whose last scheduled time has passed, if no
/// backup was begun or queued since. Several missed runs of a schedule get one job.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// Only print the jobs that would be enqueued
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit schedule run --dry-run
    git pggit schedule run && git pggit worker --until-idle";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let planned = planned(args.database.as_deref(), context)?;
    let due = planned.iter().filter(|it| it.state.due);
    let wishes = due.map(automation::scheduled_job).collect();
    enqueue(wishes, args.dry_run, context)
}

//! `git pggit schedule catch-up`

use crate::automation;
use crate::cli::Context;
use crate::cli::automation::enqueue;
use crate::failure::Failure;
use crate::queue::Filter;
use crate::workspace::queue;

/// Enqueue the backups that hooks have missed
///
/// Checks every branch that pggit.<database>.onMerge names. If neither the newest
/// change of the schema on a branch nor a later commit of the branch has a backup or
/// a job, a job is enqueued for the tip. The worker does the same every few minutes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only print the jobs that would be enqueued
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit schedule catch-up --dry-run
    git pggit schedule catch-up";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let rules = automation::branch_rules(context.config()?, |problem| context.ui.warning(&problem));
    let overview = context.ledger()?.overview()?;
    let queued = queue::open(context)?.list(&Filter::default())?.jobs;
    let lacking = automation::missing_backups(context.repository()?, &rules, &overview, &queued)?;
    enqueue(lacking.iter().map(automation::merge_job).collect(), args.dry_run, context)
}

//! `git pggit schedule catch-up`

use crate::automation;
use crate::cli::Context;
use crate::cli::automation::enqueue;
use crate::failure::Failure;
use crate::queue::Filter;
use crate::workspace::queue;

/// Queue the backups that hooks have missed
///
/// Looks at every branch that pggit.<database>.onMerge names. When the newest
/// change of the schema on it has neither a backup nor a job, nor anything that
/// came after it on the branch, a job is made for the tip. The worker does the
/// same by itself every few minutes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only say what would be put into the queue
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

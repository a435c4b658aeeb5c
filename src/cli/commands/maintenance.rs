//! `git pggit maintenance`

use crate::cli::Context;
use crate::failure::Failure;
use crate::output::repository::{MaintenanceDone, NoMaintenance};

/// Keep the ledger fast: pack its refs, write the commit-graph, refresh the index
///
/// Changes nothing that anybody could see. Commands that write do it by
/// themselves now and then, as 'git maintenance run --auto' does; the setting
/// maintenance.auto of git turns that off.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only when it pays
    #[arg(long)]
    auto: bool,
}

const EXAMPLES: &str = "\
The index is a cache in the git directory (pggit/index). It may be deleted at
any time.

EXAMPLES
    git pggit maintenance
    git pggit maintenance --auto";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let ledger = context.ledger()?;
    if args.auto && !ledger.needs_maintenance() {
        return Ok(context.ui.result(&NoMaintenance { due: false })?);
    }
    Ok(context.ui.result(&MaintenanceDone::from(ledger.maintain()?))?)
}

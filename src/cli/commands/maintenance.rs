//! `git pggit maintenance`

use crate::cli::Context;
use crate::failure::Failure;
use crate::output::repository::{MaintenanceDone, NoMaintenance};

/// Optimise the ledger: pack its refs, write the commit-graph, update the index
///
/// The records are not changed. Commands that write run due maintenance
/// automatically, as 'git maintenance run --auto' does; git's setting
/// maintenance.auto disables this.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Run only if maintenance is due
    #[arg(long)]
    auto: bool,
}

const EXAMPLES: &str = "\
The index is a cache in the git directory (pggit/index). The index may be deleted
at any time.

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

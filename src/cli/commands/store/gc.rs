//! `git pggit store gc`

use super::StoreOption;
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::store::CollectedGarbage;
use crate::terminal::bar::progress;

/// Remove from the store what no artifact needs
///
/// Says what would go; with --force it goes. Backups may be made meanwhile, and
/// other collections may run: what somebody may still need stays, and goes the
/// next time. Nothing is removed while the manifest of an artifact cannot be read.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// Remove it
    #[arg(short, long)]
    force: bool,
}

const EXAMPLES: &str = "\
A writer without a heartbeat for 12 hours counts as crashed.

EXAMPLES
    git pggit store remove 01a1fc4d --force
    git pggit store gc
    git pggit store gc --force";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = args.store.open(context)?;
    let collection = match args.force {
        true => store.collect(progress(&context.ui).as_ref())?,
        false => store.garbage(context.now())?,
    };
    Ok(context.ui.result(&CollectedGarbage::new(&collection, !args.force))?)
}

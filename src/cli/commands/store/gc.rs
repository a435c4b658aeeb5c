//! `git pggit store gc`

use super::StoreOption;
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::store::CollectedGarbage;
use crate::terminal::bar::progress;

/// Remove garbage from the store: objects that no artifact needs
///
/// Prints the garbage; --force removes it. Backups and other collections may run at
/// the same time: objects that they may still need are kept until a later
/// collection. Nothing is removed if the manifest of an artifact cannot be read.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// Remove the garbage
    #[arg(short, long)]
    force: bool,
}

const EXAMPLES: &str = "\
A writer without a heartbeat for 12 hours is considered crashed.

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

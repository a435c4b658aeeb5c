//! `git pggit store stats`

use super::StoreOption;
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::store::StoreStats;

/// Show how much is in the store, and how much space it takes
///
/// The bytes of a database are those of the packs that its artifacts name.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let stats = args.store.open(context)?.stats()?;
    Ok(context.ui.result(&StoreStats::from(stats))?)
}

//! `git pggit store stats`

use super::StoreOption;
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::store::StoreStats;

/// Show the sizes of the content and of the store
///
/// The size of a database in the store is that of the packs of its artifacts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let stats = args.store.open(context)?.stats()?;
    Ok(context.ui.result(&StoreStats::from(stats))?)
}

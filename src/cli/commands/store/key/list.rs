//! `git pggit store key list`

use super::StoreOption;
use crate::cli::Context;
use crate::failure::Failure;

/// List who can open the store, and its keys
///
/// Needs no key, because it shows what everybody can see who sees the store.
/// With --json it also shows every change: what, when, by whom and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    Ok(context.ui.result(&args.store.keys(context)?.0.view()?)?)
}

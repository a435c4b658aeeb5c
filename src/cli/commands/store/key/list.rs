//! `git pggit store key list`

use super::StoreOption;
use crate::cli::Context;
use crate::failure::Failure;

/// List the recipients and the keys of the store
///
/// Needs no key, because everybody who can read the files of the store can read the
/// list. With --json also shows every change with its time, author and host.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    Ok(context.ui.result(&args.store.keys(context)?.0.view()?)?)
}

//! `git pggit store key rotate`

use super::{StoreOption, author, changed};
use crate::cli::Context;
use crate::failure::Failure;

/// Make a new key that seals from now on
///
/// All recipients get it. What is in the store stays as it is, and readable; what
/// is stored next is still only what is new.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let view = args.store.keys(context)?.0.rotate(&author(context))?;
    let key = view.keys.last().map(|key| key.id.as_str()).unwrap_or_default();
    changed(context, &view, &format!("key {key} seals from now on"))
}

//! `git pggit store key rotate`

use super::{StoreOption, author, changed};
use crate::cli::Context;
use crate::failure::Failure;

/// Rotate the key: encrypt new data with a new key
///
/// All recipients get the new key. Existing data is not encrypted again and stays
/// readable. Later backups are still deduplicated against existing data.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let view = args.store.keys(context)?.0.rotate(&author(context))?;
    let key = view.keys.last().map(|key| key.id.as_str()).unwrap_or_default();
    changed(context, &view, &format!("key {key} encrypts new data from now on"))
}

//! `git pggit store show`

use super::StoreOption;
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::store::StoreDescription;
use crate::store::Store;
use crate::workspace::store;

/// Show the URL and the configuration of the store
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    // A store that differs from the records is opened, too, so that the two can be compared.
    let url = store::general_url(context, args.store.url())?;
    let store = Store::open(&url, &store::access(context, &url)?)?;
    Ok(context.ui.result(&StoreDescription::from(&store))?)
}

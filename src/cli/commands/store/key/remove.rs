//! `git pggit store key remove`

use super::{StoreOption, author, changed};
use crate::cli::Context;
use crate::failure::Failure;

/// Remove a recipient from the store
///
/// The removed recipient may have kept the keys of the store. Rotate the keys
/// afterwards, so that the recipient cannot read later backups.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// The recipient: its label, its public key or the beginning of the key
    #[arg(value_name = "RECIPIENT")]
    recipient: String,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit store key remove ada && git pggit store key rotate";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let view = args.store.keys(context)?.0.remove(&args.recipient, &author(context))?;
    let count = view.recipients.len();
    changed(context, &view, &format!("removed a recipient; {count} can now open the store"))?;
    context.ui.hint("the recipient may have kept the keys; 'git pggit store key rotate' makes a new key");
    Ok(())
}

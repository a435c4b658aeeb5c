//! `git pggit store key remove`

use super::{StoreOption, author, changed};
use crate::cli::Context;
use crate::failure::Failure;

/// Take a recipient away from the store
///
/// A recipient who could open the store may have kept its keys. Rotate the keys
/// afterwards, so that what is written from then on is out of reach.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// The recipient: its label, its public key or the beginning of that
    #[arg(value_name = "RECIPIENT")]
    recipient: String,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit store key remove ada && git pggit store key rotate";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let view = args.store.keys(context)?.0.remove(&args.recipient, &author(context))?;
    let count = view.recipients.len();
    changed(context, &view, &format!("removed a recipient; {count} can open the store now"))?;
    context
        .ui
        .hint("what was unwrapped before can have been kept; 'git pggit store key rotate' makes a new key");
    Ok(())
}

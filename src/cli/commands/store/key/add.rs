//! `git pggit store key add`

use super::{PassphraseOption, StoreOption, author, changed};
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::store::NewRecipient;

/// Add a recipient to the store
///
/// The new recipient can read everything in the store, also the existing content.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// The public key of the new recipient
    #[arg(value_name = "AGE1...", conflicts_with_all = ["passphrase", "passphrase_file"])]
    recipient: Option<String>,

    #[command(flatten)]
    passphrase: PassphraseOption,

    /// The label of the recipient; for a passphrase by default 'passphrase'
    #[arg(short, long, value_name = "NAME")]
    label: Option<String>,
}

const EXAMPLES: &str = "\
If the old passphrase opens the store, give the new one with --passphrase-file.

EXAMPLES
    git pggit store key add age1u8r9tpgxg5u7vm9p3vg2urkw2h4ytz80v5nmx94kp70nvq20v9gsfumxzz --label ada
    git pggit store key add --passphrase-file ~/.pggit.passphrase --label safe";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let (keys, access) = args.store.keys(context)?;
    let label = args.label.as_deref();
    let recipient = match &args.recipient {
        Some(key) => Some(NewRecipient::public_key(key, label)?),
        None => args.passphrase.recipient(context, &access.keyring, label)?,
    };
    let Some(recipient) = recipient else {
        return Err(Failure::new(Code::Usage, "no recipient was given")
            .hint("name a public key, --passphrase or --passphrase-file"));
    };
    let view = keys.add(&recipient, &author(context))?;
    let count = view.recipients.len();
    changed(context, &view, &format!("added a recipient; {count} can now open the store"))
}

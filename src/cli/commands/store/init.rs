//! `git pggit store init`

use super::key::{PassphraseOption, author};
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::store::StoreDescription;
use crate::store::{NewRecipient, Store};
use crate::workspace::{places, store};

/// Create a store
///
/// The first backup creates the store in the git directory. Other stores must be
/// created with this command, so that a typing error in a URL does not create a
/// second store. A store with recipients is encrypted. The encryption cannot be
/// changed later; the recipients can.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The store: a directory or a URL; by default the configured one
    #[arg(value_name = "URL")]
    url: Option<String>,

    /// Encrypt the store for the owner of this public key; may be given several times
    #[arg(short, long, value_name = "AGE1...")]
    recipient: Vec<String>,

    #[command(flatten)]
    passphrase: PassphraseOption,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit store init /var/backups/store
    git config pggit.store s3://backups/shop && git pggit store init
    git pggit store init --recipient $(git pggit store key generate ~/.pggit.key)";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let url = store::general_url(context, args.url.as_deref())?;
    let access = store::access(context, &url)?;
    let mut recipients: Vec<NewRecipient> =
        args.recipient.iter().map(|key| NewRecipient::public_key(key, None)).collect::<Result<_, _>>()?;
    recipients.extend(args.passphrase.recipient(context, &access.keyring, None)?);
    let store = match recipients.is_empty() {
        true => Store::init(&url, &access, context.now())?,
        false => Store::init_encrypted(&url, &access, &recipients, &author(context))?,
    };
    if context.repository().is_ok() {
        places::settle(context, &store)?;
    }
    if context.ui.wants_json() {
        return Ok(context.ui.json(&StoreDescription::from(&store))?);
    }
    let kind = if recipients.is_empty() { "empty" } else { "empty, encrypted" };
    context.ui.status(&format!("created an {kind} store in {url}"));
    if !recipients.is_empty() {
        context.ui.hint("without the key the store cannot be read: keep a copy of the key in another place");
    }
    Ok(())
}

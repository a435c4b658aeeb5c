//! `git pggit store init`

use super::key::{PassphraseOption, author};
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::store::StoreDescription;
use crate::store::{NewRecipient, Store};
use crate::workspace::{places, store};

/// Make a store
///
/// A store in the git directory is made by the first backup; others are made on
/// purpose, so that a typing error in a URL does not start a second one. With
/// recipients it is encrypted, which cannot be changed later; who the recipients
/// are, can.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The store: a directory or a URL; by default the configured one
    #[arg(value_name = "URL")]
    url: Option<String>,

    /// Encrypt it for the owner of this public key; may be given several times
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
        return Ok(context
            .ui
            .json(&StoreDescription { url: url.to_string(), config: store.config().clone() })?);
    }
    let kind = if recipients.is_empty() { "empty" } else { "empty, encrypted" };
    context.ui.status(&format!("made an {kind} store in {url}"));
    if !recipients.is_empty() {
        context.ui.hint("without the key nobody can read it, ever: keep a copy of the key somewhere else");
    }
    Ok(())
}

//! `git pggit store key`: the recipients and keys of an encrypted store.

mod add;
mod generate;
mod list;
mod remove;
mod rotate;

use std::path::PathBuf;

use clap::Subcommand;

use super::StoreOption;
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::store::{Access, Author, Keyring, KeysView, NewRecipient, Passphrase, StoreKeys};
use crate::workspace::store;

/// Manage the recipients and keys of an encrypted store
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Generate(generate::Args),
    List(list::Args),
    Add(add::Args),
    Remove(remove::Args),
    Rotate(rotate::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Generate(args) => generate::run(&args, context),
        Command::List(args) => list::run(&args, context),
        Command::Add(args) => add::run(&args, context),
        Command::Remove(args) => remove::run(&args, context),
        Command::Rotate(args) => rotate::run(&args, context),
    }
}

/// Everybody who knows a passphrase, as a recipient.
#[derive(Debug, clap::Args)]
pub(super) struct PassphraseOption {
    /// Use the passphrase of PGGIT_STORE_PASSPHRASE or pggit.storePassphraseFile as a
    /// recipient
    #[arg(long)]
    passphrase: bool,

    /// Use the passphrase in the first line of this file as a recipient
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseOption {
    pub(super) fn recipient(
        &self,
        context: &Context,
        keyring: &Keyring,
        label: Option<&str>,
    ) -> Result<Option<NewRecipient>, Failure> {
        let passphrase = match (&self.passphrase_file, &keyring.passphrase) {
            (Some(file), _) => {
                let file = context.cwd().join(file);
                store::warn_of_others(context, &file);
                Passphrase::File(file)
            }
            (None, _) if !self.passphrase => return Ok(None),
            (None, Some(configured)) => configured.clone(),
            (None, None) => {
                return Err(Failure::new(Code::Configuration, "no passphrase is configured")
                    .hint("set PGGIT_STORE_PASSPHRASE, or name a file with pggit.storePassphraseFile or --passphrase-file"));
            }
        };
        Ok(Some(NewRecipient::passphrase(&passphrase, label)?))
    }
}

/// Returns the author of a change: git's identity, with a fallback to the user name of the system.
pub(super) fn author(context: &Context) -> Author {
    let identity = context.repository().ok().and_then(|repository| repository.identity().ok());
    let by = identity.map(|identity| identity.to_line()).or_else(|| whoami::username().ok());
    Author {
        at: context.now(),
        by: by.unwrap_or_else(|| "unknown".to_owned()),
        host: crate::process::host().to_string(),
    }
}

impl StoreOption {
    fn keys(&self, context: &Context) -> Result<(StoreKeys, Access), Failure> {
        let url = store::general_url(context, self.store.as_deref())?;
        let access = store::access(context, &url)?;
        Ok((StoreKeys::open(&url, &access)?, access))
    }
}

/// Prints the recipients and keys after a change.
fn changed(context: &Context, view: &KeysView, text: &str) -> Result<(), Failure> {
    if context.ui.wants_json() {
        return Ok(context.ui.json(view)?);
    }
    context.ui.status(text);
    Ok(())
}

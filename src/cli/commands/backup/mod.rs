//! `git pggit backup`: making, recording and finding backups.

mod create;
mod restore;
mod select;

use clap::Subcommand;

use crate::cli::{Context, Failure};

/// Make, record, find and restore backups
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(Box<create::Args>),
    Restore(Box<restore::Args>),
}

pub(super) fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create::run(&args, context),
        Command::Restore(args) => restore::run(&args, context),
    }
}

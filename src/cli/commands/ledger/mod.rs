//! `git pggit ledger`: transfer of all records between repositories.

mod export;
mod import;
mod rebuild;

use clap::Subcommand;

use crate::cli::Context;
use crate::failure::Failure;

/// Export, import and rebuild all records
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Export(export::Args),
    Import(import::Args),
    Rebuild(rebuild::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Export(args) => export::run(&args, context),
        Command::Import(args) => import::run(&args, context),
        Command::Rebuild(args) => rebuild::run(&args, context),
    }
}

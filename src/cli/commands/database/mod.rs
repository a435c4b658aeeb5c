//! `git pggit database`: the configured databases.

mod add;
mod check;
mod list;
mod remove;
mod show;

use clap::Subcommand;

use crate::cli::Context;
use crate::failure::Failure;
use crate::git::config::ConfigFile;

/// Manage the databases to back up
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Add(Box<add::Args>),
    List(list::Args),
    Show(show::Args),
    Remove(remove::Args),
    Check(check::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add::run(&args, context),
        Command::List(args) => list::run(&args, context),
        Command::Show(args) => show::run(&args, context),
        Command::Remove(args) => remove::run(&args, context),
        Command::Check(args) => check::run(&args, context),
    }
}

/// Returns the configuration file to write: that of the repository, or with `global` that of the user.
fn target(global: bool, context: &Context) -> Result<ConfigFile, Failure> {
    if global {
        return Ok(ConfigFile::Global);
    }
    context.repository()?;
    Ok(ConfigFile::Local)
}

/// Returns the description of the file of `target`.
fn file_of(target: ConfigFile) -> &'static str {
    match target {
        ConfigFile::Local => "the repository's configuration",
        ConfigFile::Global => "your global configuration",
    }
}

//! `git pggit config`

use crate::cli::Context;
use crate::config::KEYS;
use crate::failure::{Code, Failure};
use crate::output::database::{KeyList, Settings};

/// Show every setting with its value and its origin
///
/// Lists all keys of the section 'pggit', of the repository and of each configured
/// database, with the effective value, the default, and the file or variable that
/// sets the value. 'git config' and 'git pggit database' change settings;
/// docs/config.md explains each key.
///
/// Fails with 'configuration' if a value is invalid.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// List all known keys instead of their values
    #[arg(long)]
    list_keys: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit config
    git pggit config --json
    git config pggit.compressionLevel 9
    git config --global pggit.plainDir ~/backups";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    match args.list_keys {
        true => context.paged(&KeyList { keys: KEYS.iter().map(|key| (*key).into()).collect() }),
        false => list_values(context),
    }
}

fn list_values(context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let (rows, problems) = (config.rows(), config.problems());
    context.paged(&Settings {
        keys: rows.iter().map(Into::into).collect(),
        problems: problems.iter().map(ToString::to_string).collect(),
        warnings: config.warnings().iter().map(ToString::to_string).collect(),
    })?;
    let mut problems = problems.into_iter();
    let Some(first) = problems.next().map(Failure::from) else { return Ok(()) };
    let others: Vec<_> = problems.map(|problem| problem.to_string()).collect();
    Err(others.into_iter().fold(first.with_code(Code::Configuration), Failure::cause))
}

//! `git pggit database show`

use crate::cli::Context;
use crate::config;
use crate::failure::Failure;
use crate::output::database::DatabaseSettings;

/// Show the settings of one database
///
/// Shows every key of the database with the effective value, the default, and the
/// file or variable that sets the value.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The database; by default the one marked with '*' in the list
    name: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit database show
    git pggit database show stats --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let name = config.default_database(args.name.as_deref())?;
    let rows = config.rows_of(&name);
    let keys = rows.iter().map(Into::into).collect();
    context.paged(&DatabaseSettings { name: name.clone(), keys })?;
    // The settings are printed first, then the error about an invalid value.
    config.database(&name).map(drop).map_err(|error: config::Error| error.into())
}

//! `git pggit database list`

use crate::cli::Context;
use crate::config::DatabaseConfig;
use crate::failure::Failure;
use crate::output::database::{DatabaseList, DatabaseOutput};

/// List the configured databases
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {}

const EXAMPLES: &str = "\
'*' marks the default database of all commands.

EXAMPLES
    git pggit database list
    git pggit database list --json";

pub(super) fn run(_: &Args, context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let default = config.default_database(None).ok();
    let databases: Vec<DatabaseConfig> =
        config.databases().iter().map(|name| config.database(name)).collect::<Result<_, _>>()?;
    let row = |db: &DatabaseConfig| DatabaseOutput::new(db, default.as_ref() == Some(&db.name));
    if databases.is_empty() && !context.ui.wants_json() {
        context
            .ui
            .hint("no database is configured; add one with 'git pggit database add <name> --url <url>'");
        return Ok(());
    }
    context.paged(&DatabaseList { databases: databases.iter().map(row).collect() })
}

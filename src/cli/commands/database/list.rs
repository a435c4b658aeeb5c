//! `git pggit database list`

use crate::cli::Context;
use crate::config::DatabaseConfig;
use crate::failure::Failure;
use crate::output::database::{DatabaseList, DatabaseOutput};
use crate::terminal::Table;

/// List the databases that are configured
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {}

const EXAMPLES: &str = "\
The database that commands work on when none is named is marked with '*'.

EXAMPLES
    git pggit database list
    git pggit database list --json";

pub(super) fn run(_: &Args, context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let default = config.default_database(None).ok();
    let databases: Vec<DatabaseConfig> =
        config.databases().iter().map(|name| config.database(name)).collect::<Result<_, _>>()?;
    if context.ui.wants_json() {
        let databases = databases.iter().map(|db| output(db, default.as_ref() == Some(&db.name))).collect();
        return Ok(context.ui.json(&DatabaseList { databases })?);
    }
    if databases.is_empty() {
        context
            .ui
            .hint("no database is configured; add one with 'git pggit database add <name> --url <url>'");
        return Ok(());
    }
    let mut table = Table::new(["", "NAME", "TOOL", "TYPE", "FORMAT", "URL"]).whole(1);
    for db in &databases {
        let mark = if default.as_ref() == Some(&db.name) { "*" } else { "" };
        let url = db.url.as_ref().map_or_else(|| "-".to_owned(), |url| url.value.to_string());
        table.row([
            mark.to_owned(),
            db.name.to_string(),
            db.tool.value.to_string(),
            db.backup_type.value.to_string(),
            db.dump.format.to_string(),
            url,
        ]);
    }
    context.page()?;
    Ok(context.ui.table(&table)?)
}

fn output(db: &DatabaseConfig, default: bool) -> DatabaseOutput {
    DatabaseOutput {
        name: db.name.clone(),
        default,
        url: db.url.as_ref().map(|url| url.value.as_str().to_owned()),
        tool: db.tool.value.as_str().to_owned(),
        kind: db.backup_type.value,
        format: db.dump.format.as_str().to_owned(),
        output: db.output.as_ref().map(|output| output.value.to_string_lossy().into_owned()),
    }
}

//! `git pggit config`

use crate::cli::Context;
use crate::config::{KEYS, Row};
use crate::failure::{Code, Failure};
use crate::output::database::{KeyDescription, KeyList, Settings};
use crate::terminal::Table;

/// Show every setting with its value and where it comes from
///
/// Lists all keys of the section 'pggit': those of the repository and those of
/// each configured database, with the value that is in force, the default, and
/// the file or variable that sets it. Settings are changed with 'git config'
/// and 'git pggit database'; docs/config.md explains each key.
///
/// Fails with 'configuration' if a value cannot be used.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// List the keys that exist, instead of their values
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
    if args.list_keys { list_keys(context) } else { list_values(context) }
}

fn list_keys(context: &Context) -> Result<(), Failure> {
    if context.ui.wants_json() {
        let keys = KEYS.iter().map(|key| KeyDescription {
            key: key.pattern(),
            scope: key.reach,
            expected: key.kind.expected().to_string(),
            several: key.multi,
            default: key.default.map(str::to_owned),
            environment: key.environment.map(str::to_owned),
            trust: key.trust,
            description: key.doc.to_owned(),
        });
        return Ok(context.ui.json(&KeyList { keys: keys.collect() })?);
    }
    let mut table = Table::new(["KEY", "DEFAULT", "ENVIRONMENT", "VALUE"]).whole(0);
    for key in KEYS {
        let expected = format!("{}{}", key.kind.expected(), if key.multi { "; several" } else { "" });
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        table.row([key.pattern(), or_dash(key.default), or_dash(key.environment), expected]);
    }
    context.page()?;
    Ok(context.ui.table(&table)?)
}

fn list_values(context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let (rows, problems) = (config.rows(), config.problems());
    if context.ui.wants_json() {
        context.ui.json(&Settings {
            keys: rows.iter().map(Into::into).collect(),
            problems: problems.iter().map(ToString::to_string).collect(),
            warnings: config.warnings().iter().map(ToString::to_string).collect(),
        })?;
    } else {
        context.page()?;
        context.ui.table(&values_table(&rows))?;
    }
    let mut problems = problems.into_iter();
    let Some(first) = problems.next().map(Failure::from) else { return Ok(()) };
    let others: Vec<_> = problems.map(|problem| problem.to_string()).collect();
    Err(others.into_iter().fold(first.with_code(Code::Configuration), Failure::cause))
}

/// The table of keys, values and origins.
pub(super) fn values_table(rows: &[Row]) -> Table {
    let mut table = Table::new(["KEY", "VALUE", "DEFAULT", "ORIGIN"]).whole(0);
    for row in rows {
        let default = row.default.unwrap_or("-").to_owned();
        if row.values.is_empty() {
            table.row([row.key.clone(), "-".into(), default, "-".into()]);
            continue;
        }
        for setting in &row.values {
            let value = setting.value.clone().unwrap_or_else(|| "(not shown)".into());
            table.row([row.key.clone(), value, default.clone(), setting.origin.to_string()]);
        }
    }
    table
}

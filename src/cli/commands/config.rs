//! `git pggit config`

use serde_json::{Value, json};

use crate::cli::ui::Table;
use crate::cli::{Code, Context, Failure};
use crate::config::{KEYS, Row};

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
        let keys: Vec<Value> = KEYS
            .iter()
            .map(|key| {
                json!({
                    "key": key.pattern(),
                    "scope": key.reach,
                    "expected": key.kind.expected(),
                    "several": key.multi,
                    "default": key.default,
                    "environment": key.environment,
                    "trust": key.trust,
                    "description": key.doc,
                })
            })
            .collect();
        return Ok(context.ui.json(&json!({ "keys": keys }))?);
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
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
        let keys: Vec<Value> = rows.iter().map(row_json).collect();
        context.ui.json(&json!({ "keys": keys, "problems": problems, "warnings": warnings }))?;
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

/// One key for machines.
pub(super) fn row_json(row: &Row) -> Value {
    let values: Vec<Value> = row
        .values
        .iter()
        .map(|setting| {
            let origin = json!({ "kind": setting.origin.kind(), "name": setting.origin.to_string() });
            json!({ "value": setting.value, "origin": origin })
        })
        .collect();
    json!({
        "key": row.key,
        "database": row.database,
        "values": values,
        "default": row.default,
        "valid": row.valid,
    })
}

//! `git pggit backup diff`

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::git::DiffOptions;
use crate::ledger::{Entry, Ledger};
use crate::output::backup::SchemaDiff;

use super::select;

/// Show the difference between the schemas of two backups
///
/// Compares the schemas that were recorded with the backups, in the format of
/// 'git diff'.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The older backup: an id or the beginning of one, a name, 'latest' or 'oldest'
    #[arg(value_name = "BACKUP")]
    old: String,

    /// The newer backup
    #[arg(value_name = "BACKUP")]
    new: String,

    /// Only backups of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// Show a diffstat instead of the changes
    #[arg(long)]
    stat: bool,

    /// Exit with 1 if there are differences
    #[arg(long)]
    exit_code: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup diff nightly-20 nightly-21
    git pggit backup diff oldest latest --database shop --stat
    git pggit backup diff 0193f1a2 latest --exit-code --quiet";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let database = args.database.as_deref();
    let (old, new) = (
        select::find_completed(&args.old, database, context)?,
        select::find_completed(&args.new, database, context)?,
    );
    let ledger = context.ledger()?;
    let (old, new) = (revision(&ledger, &old)?, revision(&ledger, &new)?);
    // Reading git's configuration applies `color.ui`, which decides about colours.
    context.git_config()?;
    let options = DiffOptions { stat: args.stat, color: context.ui.color_on_stdout() };
    let diff = ledger.repository().diff(&old, &new, options)?;
    if context.ui.wants_json() {
        let text = String::from_utf8_lossy(&diff.text).into_owned();
        context.ui.json(&SchemaDiff { differs: diff.differs, diff: text })?;
    } else if !context.ui.is_quiet() {
        context.page()?;
        context.ui.raw(&diff.text)?;
    }
    if args.exit_code && diff.differs {
        return Err(Failure::new(Code::CheckFailed, ""));
    }
    Ok(())
}

fn revision(ledger: &Ledger<'_>, entry: &Entry) -> Result<String, Failure> {
    if ledger.has_schema(entry)? {
        return Ok(Ledger::schema_revision(entry));
    }
    let backup = &entry.backup;
    let failure = Failure::new(
        Code::NotFound,
        format!("no schema is recorded with backup {} ({})", backup.id, backup.name),
    );
    Err(failure.hint("'git pggit backup create' records the schema; backups of other programs have none"))
}

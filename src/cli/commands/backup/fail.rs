//! `git pggit backup fail`

use crate::backup::{NotInterrupted, check_interrupted, settle_dead, settle_interrupted};
use crate::cli::Context;
use crate::domain::{Backup, Failed, Failure as Cause};
use crate::failure::{Code, Failure};
use crate::ledger::{Entry, Row, is_abandoned};
use crate::output::backup::{SettledBackups, print_changed, title};

use super::facts::word;
use super::select;

/// Record that a backup failed
///
/// With --message the current attempt is recorded as failed.
///
/// With --interrupted a backup is recorded as failed whose process has crashed: its
/// record still has the status 'in_progress', which is shown as 'interrupted'. Without
/// a backup all such records are settled. Processes of other machines cannot be
/// checked; --force considers them crashed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The backup: an id or the beginning of one, or a name
    #[arg(value_name = "BACKUP", required_unless_present = "interrupted")]
    backup: Option<String>,

    /// Only backups of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// The error message
    #[arg(short, long, value_name = "TEXT", required_unless_present = "interrupted")]
    message: Option<String>,

    /// The error code: a stable word
    #[arg(long, value_name = "CODE", default_value = "external")]
    code: String,

    /// The attempt that failed; refused if a later one has begun
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,

    /// Settle records of crashed processes
    #[arg(long, conflicts_with_all = ["message", "code", "attempt"])]
    interrupted: bool,

    /// Settle all such records, as without a backup
    #[arg(long, requires = "interrupted", conflicts_with = "backup")]
    all: bool,

    /// Consider the process of another machine crashed
    #[arg(long, requires = "interrupted", requires = "backup")]
    force: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup fail nightly --message 'no space left on device' --code destination
    git pggit backup fail --interrupted
    git pggit backup fail --interrupted 0193f1a2 --force";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let database = args.database.as_deref();
    match (&args.backup, args.interrupted) {
        (Some(backup), false) => fail(args, &select::find(backup, database, context)?, context),
        (Some(backup), true) => settle_one(&select::find(backup, database, context)?, args.force, context),
        (None, _) => settle_all(database, context),
    }
}

fn fail(args: &Args, found: &Entry, context: &Context) -> Result<(), Failure> {
    let code = word(Some(&args.code), "failure code")?.unwrap_or_default();
    let message = args.message.clone().unwrap_or_default();
    if message.trim().is_empty() {
        return Err(Failure::new(Code::Usage, "the message is empty"));
    }
    let failed = Failed { attempt: args.attempt, error: Cause { code, message } };
    let ledger = context.ledger()?;
    let entry = ledger.append_at(&found.backup.commit, found.backup.id, |_| Ok(failed.clone().into()))?;
    Ok(print_changed(&entry, &format!("failed {}", title(&entry.backup)), &context.ui)?)
}

fn settle_one(found: &Entry, force: bool, context: &Context) -> Result<(), Failure> {
    let backup = &found.backup;
    check_interrupted(backup, force).map_err(|why| refused(backup, &why))?;
    let ledger = context.ledger()?;
    let settled = if force { settle_dead(&ledger, found)? } else { settle_interrupted(&ledger, found)? };
    match settled {
        Some(entry) => Ok(print_changed(&entry, &format!("settled {}", title(&entry.backup)), &context.ui)?),
        None => Err(Failure::new(
            Code::Conflict,
            format!("another process has just changed backup {}", backup.id),
        )),
    }
}

fn refused(backup: &Backup, why: &NotInterrupted) -> Failure {
    let failure = Failure::new(Code::Conflict, format!("backup {} was not interrupted: {why}", backup.id));
    match why {
        NotInterrupted::External => failure.hint("use --message instead"),
        NotInterrupted::Unseen(_) => failure.hint("use --force if that process has certainly exited"),
        NotInterrupted::Over(_) | NotInterrupted::Alive(_) => failure,
    }
}

fn settle_all(database: Option<&str>, context: &Context) -> Result<(), Failure> {
    let overview = context.overview()?;
    let database = database.map(|name| select::database(Some(name), context)).transpose()?;
    let of_database = |row: &Row<'_>| database.as_ref().is_none_or(|name| row.database() == name.as_str());
    let interrupted = |row: &Row<'_>| is_abandoned(row.status(), row.owner().as_ref());
    let mut settled = Vec::new();
    for row in overview.rows().filter(of_database).filter(interrupted) {
        let ledger = context.ledger()?;
        if let Some(entry) = settle_interrupted(&ledger, &ledger.entry(&row)?)? {
            context.ui.status(&format!("settled {}", title(&entry.backup)));
            settled.push(entry);
        }
    }
    if context.ui.wants_json() {
        let settled = settled.iter().map(|entry| (&entry.backup).into()).collect();
        return Ok(context.ui.json(&SettledBackups { settled })?);
    }
    if settled.is_empty() {
        context.ui.status("no backup was interrupted");
    }
    Ok(())
}

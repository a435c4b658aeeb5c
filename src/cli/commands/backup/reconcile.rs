//! `git pggit backup reconcile`

use crate::backup::{self, Differences, Import};
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::ledger::Entry;
use crate::output::backup::{ChangedBackup, GoneBackup, ToolDifferences, UnknownBackup};

use super::catalogue::Where;

/// Compare the ledger with what a tool has
///
/// Says which backups are recorded and gone from the tool's own catalogue, which
/// are there and not recorded, and which are not what the record says. Ends with
/// status 1 when there is a difference.
///
/// A catalogue that cannot be read is an error, and no reason to believe that
/// anything is gone.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Where,

    /// Record backups that are gone as deleted
    #[arg(long)]
    record: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup reconcile
    git pggit backup reconcile --tool pgbackrest --record";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let (database, adapter) = args.place.find(context)?;
    let ledger = context.ledger()?;
    let import = Import { ledger, adapter: adapter.as_ref(), database: &database.name, branch: None };
    let differences = backup::reconcile(&import)?;
    if args.record {
        for entry in &differences.gone {
            backup::record_gone(&import, entry)?;
        }
    }
    if context.ui.wants_json() {
        context.ui.json(&output(&differences, adapter.name(), args.record))?;
    } else {
        print(&differences, args.record, context)?;
    }
    let open = differences.unknown.len()
        + differences.changed.len()
        + if args.record { 0 } else { differences.gone.len() };
    match open {
        0 => Ok(()),
        _ => Err(Failure::new(Code::Negative, "")),
    }
}

fn print(differences: &Differences, recorded: bool, context: &Context) -> Result<(), Failure> {
    let at =
        |entry: &Entry| entry.backup.location.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    for entry in &differences.gone {
        let tail = if recorded { " (recorded as deleted)" } else { "" };
        context.ui.line(format!("gone     {} {}{tail}", entry.backup.id, at(entry)))?;
    }
    for item in &differences.unknown {
        let tail = item.usable.as_ref().err().map(|why| format!(" ({why})")).unwrap_or_default();
        context.ui.line(format!("unknown  {}{tail}", item.location))?;
    }
    for (entry, changes) in &differences.changed {
        context.ui.line(format!("changed  {} {}: {}", entry.backup.id, at(entry), changes.join("; ")))?;
    }
    context.ui.status(&format!(
        "{} the same, {} gone, {} unknown, {} changed",
        differences.same,
        differences.gone.len(),
        differences.unknown.len(),
        differences.changed.len()
    ));
    if !recorded && !differences.gone.is_empty() {
        context.ui.hint("--record writes into the ledger that they are gone");
    }
    if !differences.unknown.is_empty() {
        context.ui.hint("'git pggit backup import' registers what is not recorded");
    }
    Ok(())
}

fn output(differences: &Differences, tool: &str, recorded: bool) -> ToolDifferences {
    let gone = |entry: &Entry| GoneBackup { id: entry.backup.id, location: entry.backup.location.clone() };
    let changed = |(at, changes): &(Entry, Vec<String>)| ChangedBackup {
        id: at.backup.id,
        location: at.backup.location.clone(),
        changes: changes.clone(),
    };
    let unknown = differences.unknown.iter().map(|item| UnknownBackup {
        label: item.label.clone(),
        location: item.location.clone(),
        unusable: item.usable.as_ref().err().cloned(),
    });
    ToolDifferences {
        tool: tool.to_owned(),
        recorded,
        same: differences.same,
        gone: differences.gone.iter().map(gone).collect(),
        unknown: unknown.collect(),
        changed: differences.changed.iter().map(changed).collect(),
    }
}

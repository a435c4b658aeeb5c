//! `git pggit backup import`

use crate::backup::{self, Import, Outcome};
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::backup::{ImportOutcome, ImportedBackup, ImportedBackups};

use super::catalogue::Where;

/// Record the backups that a tool already has
///
/// Looks into the catalogue of pgBackRest, Barman or a tool of your own, and
/// registers every backup that the ledger does not know, with the backups that it
/// builds on. Nothing in the catalogue is changed. Importing again, or in another
/// clone, changes nothing: the same backup always gets the same id.
///
/// A backup belongs to the commit that it is annotated with. Where there is none,
/// it is the commit that was current on the branch when the backup ended, going by
/// the first parents; the record says that this was inferred.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Where,

    /// The branch whose history says which commit was current; by default HEAD
    #[arg(short, long, value_name = "BRANCH")]
    branch: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup import --tool pgbackrest --stanza main
    git pggit backup import --tool barman --server shop --database shop --branch main";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let (database, adapter) = args.place.find(context)?;
    let import = Import {
        ledger: context.ledger()?,
        adapter: adapter.as_ref(),
        database: &database.name,
        branch: args.branch.as_deref(),
    };
    let outcomes = backup::import(&import)?;
    let mut lines = Vec::new();
    let (mut imported, mut known) = (0, 0);
    for one in &outcomes {
        let (outcome, id, why) = match &one.outcome {
            Outcome::Imported(entry) => (ImportOutcome::Imported, Some(entry.backup.id), None),
            Outcome::Completed(entry) => (ImportOutcome::Completed, Some(entry.backup.id), None),
            Outcome::Known(id) => (ImportOutcome::Known, Some(*id), None),
            Outcome::LeftOut(why) => (ImportOutcome::LeftOut, None, Some(why)),
        };
        match &one.outcome {
            Outcome::Imported(_) | Outcome::Completed(_) => imported += 1,
            Outcome::Known(_) => known += 1,
            Outcome::LeftOut(why) => context.ui.warning(&format!("left out {}: {why}", one.label)),
        }
        lines.push(ImportedBackup { label: one.label.clone(), outcome, id, reason: why.cloned() });
    }
    if context.ui.wants_json() {
        return Ok(context.ui.json(&ImportedBackups {
            tool: adapter.name().to_owned(),
            database: database.name,
            backups: lines,
        })?);
    }
    context.ui.status(&format!(
        "imported {imported} of {} backups from {}; {known} were known",
        outcomes.len(),
        adapter.name()
    ));
    for one in &outcomes {
        if let Outcome::Imported(entry) | Outcome::Completed(entry) = &one.outcome {
            context.ui.line(format!("{} {}", entry.backup.id, one.label))?;
        }
    }
    Ok(())
}

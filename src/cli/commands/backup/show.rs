//! `git pggit backup show`

use crate::cli::Context;
use crate::failure::Failure;
use crate::git::Oid;
use crate::output::backup::{BackupStory, ShownBackup};

use super::select::One;

/// Show all facts about a backup
///
/// Shows the record, the commit with its branches and tags, the backups that it needs
/// and that need it, its events, and the ref of the record.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup show latest
    git pggit backup show nightly --database shop
    git pggit backup show 0193f1a2 --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let overview = context.overview()?;
    let ledger = context.ledger()?;
    let entry = ledger.entry(&args.one.find_in(&overview)?)?;
    let warnings = ledger.commit_warnings(&entry)?;
    let (repository, commit) = (context.repository()?, Oid::from(&entry.backup.commit));
    let (subject, names) = (repository.subject(commit), repository.names_at(commit)?);
    let story = BackupStory::new(&entry, subject, names, warnings, &overview);
    if context.ui.wants_json() {
        return Ok(context.ui.json(&ShownBackup::from(&story))?);
    }
    context.page()?;
    Ok(story.print(&context.ui)?)
}

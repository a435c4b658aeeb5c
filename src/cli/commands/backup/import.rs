//! `git pggit backup import`

use crate::backup::{self, Import, ImportResult};
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::backup::ImportedBackups;

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
    for one in &outcomes {
        if let ImportResult::LeftOut(why) = &one.outcome {
            context.ui.warning(&format!("left out {}: {why}", one.label));
        }
    }
    Ok(context.ui.result(&ImportedBackups {
        tool: adapter.name().to_owned(),
        database: database.name,
        backups: outcomes.iter().map(Into::into).collect(),
    })?)
}

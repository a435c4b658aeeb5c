//! `git pggit backup import`

use crate::backup::{self, Import, ImportResult};
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::backup::ImportedBackups;

use super::catalogue::Where;

/// Record existing backups of a tool
///
/// Reads the catalogue of pgBackRest, Barman or a custom tool, and registers every
/// unrecorded backup, with its parent backups. The catalogue is not changed. A second
/// import, also in another clone, changes nothing: the same backup always gets the
/// same id.
///
/// A backup belongs to the commit in its annotation. Without one, the backup belongs
/// to the commit that was the tip of the branch when the backup ended, along first
/// parents; the record says that the commit was inferred.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Where,

    /// The branch of backups without an annotation; by default HEAD
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
            context.ui.warning(&format!("skipped {}: {why}", one.label));
        }
    }
    Ok(context.ui.result(&ImportedBackups {
        tool: adapter.name().to_owned(),
        database: database.name,
        backups: outcomes.iter().map(Into::into).collect(),
    })?)
}

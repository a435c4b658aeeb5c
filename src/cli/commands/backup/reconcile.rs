//! `git pggit backup reconcile`

use crate::backup::{self, Import};
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::output::backup::ToolDifferences;

use super::catalogue::Where;

/// Compare the ledger with the catalogue of a tool
///
/// Lists backups that are recorded and missing in the catalogue, backups of the
/// catalogue that are not recorded, and backups that differ from their record. Exits
/// with 1 if there is a difference.
///
/// An unreadable catalogue is an error; no backup is then considered missing.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Where,

    /// Record missing backups as deleted
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
    let output = ToolDifferences::new(&differences, adapter.name(), args.record);
    context.ui.result(&output)?;
    match output.open() {
        0 => Ok(()),
        _ => Err(Failure::new(Code::CheckFailed, "")),
    }
}

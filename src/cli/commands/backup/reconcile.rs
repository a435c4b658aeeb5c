//! `git pggit backup reconcile`

use crate::backup::{self, Import};
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::output::backup::ToolDifferences;

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
    let output = ToolDifferences::new(&differences, adapter.name(), args.record);
    context.ui.result(&output)?;
    match output.open() {
        0 => Ok(()),
        _ => Err(Failure::new(Code::Negative, "")),
    }
}

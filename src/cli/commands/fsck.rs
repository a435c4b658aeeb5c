//! `git pggit fsck`

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::ledger::fsck::{FsckOptions, LedgerRepair, Severity};
use crate::output::repository::{FsckOutput, print_fsck};

/// Check that the ledger is what its format says
///
/// Reads every ref, every ledger commit, every record and every note, and says
/// what is wrong, where, and what to do about it: an 'error' is something false
/// or missing, a 'warning' something that is not as it should be, a 'notice'
/// good to know. Events are only ever added along the history of a ref: what was
/// removed or altered is named with the commit that did it.
///
/// Fails with 'negative' if there is an error.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Regenerate derived data: the state in the records, and the notes
    #[arg(long)]
    repair: bool,

    /// Check the signature of every commit of the ledger, too
    #[arg(long)]
    signatures: bool,
}

const EXAMPLES: &str = "\
A repair adds commits. It never removes or changes an event.

EXAMPLES
    git pggit fsck
    git pggit fsck --repair
    git pggit fsck --signatures --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let ledger = context.ledger()?;
    let thoroughness = FsckOptions { signatures: args.signatures };
    let mut report = ledger.fsck(thoroughness)?;
    let mut repaired = LedgerRepair::default();
    if args.repair {
        repaired = ledger.repair(&report)?;
        if repaired != LedgerRepair::default() {
            report = ledger.fsck(thoroughness)?;
        }
    }
    match context.ui.wants_json() {
        true => context.ui.json(&FsckOutput::new(&report, &repaired))?,
        false => print_fsck(&report, &repaired, &context.ui)?,
    }
    match report.count(Severity::Error) {
        0 => Ok(()),
        _ => Err(Failure::new(Code::Negative, "")),
    }
}

//! `git pggit fsck`

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::ledger::fsck::{FsckOptions, LedgerRepair, Severity};
use crate::output::repository::{FsckOutput, print_fsck};

/// Check the integrity of the ledger
///
/// Reads every ref, every ledger commit, every record and every note, and prints
/// each finding with its place and a remedy: an 'error' is corrupt or missing
/// data, a 'warning' is outdated or suspicious data, a 'notice' is information.
/// Events are only added along the history of a ref: a removed or altered event
/// is reported with the commit that removed or altered the event.
///
/// Fails with 'negative' if there is an error.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Regenerate derived data: the state in the records, and the notes
    #[arg(long)]
    repair: bool,

    /// Also check the signature of every ledger commit
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
        _ => Err(Failure::new(Code::CheckFailed, "")),
    }
}

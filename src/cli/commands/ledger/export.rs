//! `git pggit ledger export`

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::ledger::transfer::ExportReport;
use crate::output::repository::ExportedLedger;
use crate::process::Replacement;

/// Export all records as lines of JSON
///
/// Writes one line for each event, backup by backup, and one for each recorded
/// schema; docs/format.md describes the lines. Exports of the same ledger are
/// identical. An unreadable record stops the export.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Write to this file instead of standard output; the file is replaced when the export is complete
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit ledger export --output ledger.jsonl
    git pggit ledger export | git -C ../other pggit ledger import";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let ledger = context.ledger()?;
    let Some(path) = &args.output else {
        ledger.export(|line| context.ui.raw(line).map_err(Failure::from))?;
        return Ok(());
    };
    let failed = |error: io::Error| {
        Failure::new(Code::Storage, format!("cannot write '{}'", path.display())).cause(error.to_string())
    };
    let mut file = BufWriter::new(Replacement::create(path).map_err(failed)?);
    // The file is removed if the export fails: a partial export is useless.
    let ExportReport { backups, events } = ledger.export(|line| file.write_all(line).map_err(failed))?;
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.keep().map_err(failed)?;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&ExportedLedger { backups, events })?);
    }
    context.ui.status(&format!("exported {backups} backups with {events} events"));
    Ok(())
}

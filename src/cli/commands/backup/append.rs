//! `git pggit backup append`

use std::ffi::OsStr;

use crate::cli::Context;
use crate::domain::EVENT_BYTES_MAX;
use crate::failure::Failure;
use crate::output::backup::{EventOutput, title};

use super::document;

/// Add an event to the record of a backup, for scripts
///
/// Reads one event as JSON, as docs/format.md describes it. 'backup', 'kind' and the
/// fields of the kind are required; 'format', 'id', 'clock', 'at', 'by' and 'host'
/// have defaults. An event that the state of the backup does not allow is refused; a
/// known event changes nothing. Prints the id of the event.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Read the event from standard input
    #[arg(long, required = true)]
    stdin: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    id=$(git pggit backup list --name nightly --ids)
    echo '{\"backup\":\"'$id'\",\"kind\":\"verified\",\"verification\":\"checksum\",\"status\":\"passed\"}' |
        git pggit backup append --stdin";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    debug_assert!(args.stdin, "there is no other place to read from");
    let bytes = document::read(OsStr::new("-"), "the event", EVENT_BYTES_MAX)?;
    let ledger = context.ledger()?;
    let event = ledger.event_of_json(&bytes)?;
    let entry = ledger.append_event(&event)?;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&EventOutput::from(&event))?);
    }
    context.ui.status(&format!("{} {}", event.body.kind(), title(&entry.backup)));
    Ok(context.ui.line(event.id)?)
}

//! `git pggit backup for-each`

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::output::backup::fields;

use super::select::Many;

/// Print formatted fields of each backup, for scripts
///
/// Prints one line for each backup that passes the filters, oldest first. A
/// format is text with fields: '%(name)' is replaced by the value, '%%' by a
/// '%', and '%' with two hex digits by that byte, as in 'git for-each-ref'.
/// A field that a backup does not have is empty. Times are RFC 3339 in UTC, sizes bytes.
///
/// Fields: id name database commit commit:short branch type tool tool:version
/// status attempt size stored compression location digest registered started
/// completed expires host by tags tag:KEY metadata:KEY
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The text to print for each backup
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "%(id) %(status) %(commit) %(name)",
        allow_hyphen_values = true
    )]
    format: String,

    /// End each line with a NUL instead of a newline
    #[arg(short = 'z')]
    nul: bool,

    #[command(flatten)]
    many: Many,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup for-each
    git pggit backup for-each --format='%(id) %(size) %(location)' --status completed
    git pggit backup for-each -z --format='%(name)%0a%(tag:release)' --tag release | xargs -0 -n1 echo";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let pieces = fields::parse(&args.format).map_err(|error| {
        Failure::new(Code::Usage, error.to_string())
            .hint(format!("fields are {}", fields::names().join(", ")))
    })?;
    let overview = context.overview()?;
    let rows = args.many.select(&overview, context)?;
    let print = |mut line: Vec<u8>| -> Result<(), Failure> {
        if args.nul {
            line.push(0);
            return Ok(context.ui.raw(&line)?);
        }
        match String::from_utf8(line) {
            // Text for a terminal is made safe for it.
            Ok(line) => Ok(context.ui.line(line)?),
            Err(bytes) => Ok(context.ui.raw(&[bytes.as_bytes(), b"\n"].concat())?),
        }
    };
    context.ledger()?.each_entry(&rows, |entry| fields::render(&pieces, &entry.backup), print)
}

//! `git pggit doctor`

use crate::cli::Context;
use crate::doctor;
use crate::failure::{Code, Failure};

/// Check for problems that prevent backups
///
/// Checks git, the repository, the configuration, and for each database the
/// server, the role, the client programs and the output directory. The result of
/// a check is 'ok', 'warning' or 'problem', the last two with a remedy. Nothing
/// is changed.
///
/// Fails with 'negative' if there is a problem; warnings do not count.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Check only this database; by default all configured databases
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit doctor
    git pggit doctor --database main --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let findings = doctor::examine(args.database.as_deref(), context)?;
    let output = findings.output();
    context.paged(&output)?;
    if output.ok { Ok(()) } else { Err(Failure::new(Code::CheckFailed, "")) }
}

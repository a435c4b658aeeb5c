//! `git pggit doctor`

use crate::cli::Context;
use crate::doctor::{self, Verdict};
use crate::failure::{Code, Failure};
use crate::output::repository::DoctorOutput;

/// Look for everything that could be in the way of a backup
///
/// Checks git, the repository, the configuration, and for each database the
/// server, the role, the client programs and the output directory. Each thing is
/// 'ok', a 'warning' or a 'problem', the last two with a remedy. Nothing is
/// changed.
///
/// Fails with 'negative' if there is a problem; warnings do not count.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Check only this database; without it, all that are configured
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit doctor
    git pggit doctor --database main --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let findings = doctor::examine(args.database.as_deref(), context)?;
    if context.ui.wants_json() {
        let ok = findings.count(Verdict::Problem) == 0;
        context.ui.json(&DoctorOutput { ok, checks: findings.output() })?;
    } else {
        context.page()?;
        findings.print(&context.ui)?;
    }
    match findings.count(Verdict::Problem) {
        0 => Ok(()),
        _ => Err(Failure::new(Code::Negative, "")),
    }
}

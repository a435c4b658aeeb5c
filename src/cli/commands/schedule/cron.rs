//! `git pggit schedule cron`

use std::path::PathBuf;

use super::{Run, planned, run_of};
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::process::shell_word;

/// Print lines for a crontab that make the backups, for those who do without the worker
///
/// One line for each schedule, with its time zone in front of it (CRON_TZ, as
/// Debian's and Red Hat's cron know it). Jitter is left to cron. Nothing is
/// installed: add the lines with 'crontab -e'. cron does not make up for runs
/// that were missed; the units of 'git pggit schedule systemd' and the worker do.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// The program that is run; by default this one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit schedule cron
    (crontab -l; git pggit schedule cron) | crontab -";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let planned = planned(args.database.as_deref(), context)?;
    for it in &planned {
        let run = run_of(it, args.program.as_deref(), context)?;
        context.ui.line(format!("CRON_TZ={}", it.zone))?;
        context.ui.line(format!("{} {}", it.rule.cron, command(&run)?))?;
    }
    Ok(())
}

/// One line for the shell that cron runs. It ends at a line break, and `%` is
/// one to cron.
fn command(run: &Run) -> Result<String, Failure> {
    let variables = run.variables.iter().map(|(name, value)| format!("{name}={}", shell_word(value)));
    let line: Vec<String> =
        variables.chain(run.words.iter().map(|word| shell_word(word).into_owned())).collect();
    let line = line.join(" ");
    if line.contains(['\n', '\r']) {
        let failure = Failure::new(Code::Usage, "a crontab cannot name a path with a line break");
        return Err(failure.hint("'git pggit schedule systemd' can"));
    }
    Ok(line.replace('%', r"\%"))
}

//! `git pggit schedule cron`

use std::path::PathBuf;

use super::{invocation, planned};
use crate::cli::Context;
use crate::failure::Failure;

/// Print crontab lines that make the scheduled backups without a worker
///
/// Prints one line for each schedule, after a line with its time zone (CRON_TZ, as
/// Debian's and Red Hat's cron support it). Jitter is left to cron. Nothing is
/// installed: add the lines with 'crontab -e'. cron does not catch up on missed runs;
/// the units of 'git pggit schedule systemd' and the worker do.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// The program to run; by default this one
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
        let command = invocation(it, args.program.as_deref(), context)?;
        context.ui.line(format!("CRON_TZ={}", it.zone))?;
        context.ui.line(format!("{} {}", it.rule.cron, command.cron_command()?))?;
    }
    Ok(())
}

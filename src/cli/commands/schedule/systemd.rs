//! `git pggit schedule systemd`

use std::fs;
use std::path::PathBuf;

use super::{invocation, planned};
use crate::automation::{self, ScheduledRule};
use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::output::schedule::SystemdUnits;

/// Print systemd units that make the scheduled backups without a worker
///
/// Prints a timer and a service for each schedule, or writes them with --dir. A run
/// that was missed because the machine was off is caught up on (Persistent=). Enable
/// the written timers with 'systemctl enable --now'.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// Write the units into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// The user that runs the services; for system units
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// The program to run; by default this one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit schedule systemd
    git pggit schedule systemd --dir ~/.config/systemd/user
    sudo git pggit schedule systemd --user backup --dir /etc/systemd/system";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let planned = planned(args.database.as_deref(), context)?;
    if let Some(user) = &args.user
        && !user.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    {
        return Err(Failure::new(Code::Usage, format!("'{user}' is not a valid user name")));
    }
    let invocation = |it: &ScheduledRule| invocation(it, args.program.as_deref(), context);
    let units = automation::units(&planned, args.user.as_deref(), invocation)?;
    match &args.dir {
        None => print(&units, context),
        Some(dir) => {
            for (name, text) in &units {
                let file = dir.join(name);
                fs::write(&file, text).map_err(|error| {
                    let message = format!("cannot write {}", file.display());
                    Failure::new(Code::Storage, message).cause(error.to_string())
                })?;
                context.ui.status(&format!("wrote {}", file.display()));
            }
            Ok(())
        }
    }
}

fn print(units: &[(String, String)], context: &Context) -> Result<(), Failure> {
    if context.ui.wants_json() {
        return Ok(context.ui.json(&SystemdUnits { units: units.iter().cloned().collect() })?);
    }
    for (at, (name, text)) in units.iter().enumerate() {
        let gap = if at == 0 { "" } else { "\n" };
        context.ui.raw(format!("{gap}# {name}\n{text}").as_bytes())?;
    }
    Ok(())
}

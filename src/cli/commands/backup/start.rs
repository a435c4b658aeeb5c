//! `git pggit backup start`

use crate::cli::Context;
use crate::domain::{Started, Status, time_or_span_before};
use crate::failure::{Code, Failure};
use crate::output::backup::{print_changed, title};
use crate::process::{Liveness, is_alive};

use super::select::One;

/// Record the start of a new attempt at a backup
///
/// For a backup of another program that was registered with --in-progress, or that
/// failed and is retried. The attempt ends with 'git pggit backup complete' or 'fail'.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,

    /// The start time: RFC 3339, a date, or a span such as 90m before now
    #[arg(long, value_name = "TIME")]
    started_at: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup start nightly
    git pggit backup start 0193f1a2 --started-at 5m";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let found = args.one.find(context)?;
    let started_at =
        args.started_at.as_ref().map(|text| time_or_span_before(text, context.now())).transpose()?;
    let backup = &found.backup;
    let owner = backup.attempt.as_ref().and_then(|attempt| attempt.owner.as_ref());
    if let Some(owner) =
        owner.filter(|owner| backup.status == Status::InProgress && is_alive(owner) == Liveness::Alive)
    {
        let message = format!("backup {} is being made by process {}", backup.id, owner.pid);
        return Err(Failure::new(Code::Conflict, message).hint("wait for the process, or stop it first"));
    }
    let entry = context.ledger()?.append_at(&backup.commit, backup.id, |entry| {
        Ok(Started { attempt: entry.record.next_attempt(), owner: None, started_at }.into())
    })?;
    let attempt = entry.backup.attempt.as_ref().map_or(1, |attempt| attempt.number);
    Ok(print_changed(&entry, &format!("started {}, attempt {attempt}", title(&entry.backup)), &context.ui)?)
}

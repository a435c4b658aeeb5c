//! `git pggit queue stats`

use crate::cli::Context;
use crate::domain::JobState;
use crate::failure::Failure;
use crate::output::queue::QueueStats;
use crate::workspace::queue;

use super::view;

/// Show the queue in numbers
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit queue stats
    git pggit queue stats --json";

pub(super) fn run(_: &Args, context: &Context) -> Result<(), Failure> {
    let stats = queue::open(context)?.stats()?;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&QueueStats {
            jobs: stats.by_state.iter().map(|(state, count)| (state.to_string(), *count)).collect(),
            due: stats.due,
            oldest_due_s: stats.oldest_due_s,
            expired_leases: stats.expired,
            last_completed_at: stats.last_completed_at,
        })?);
    }
    for state in JobState::ALL {
        context.ui.line(format!("{:<20}{:>8}", state.as_str(), stats.count(*state)))?;
    }
    context.ui.line(format!("{:<20}{:>8}", "due now", stats.due))?;
    if stats.due > 0 {
        context.ui.line(format!("the oldest of them has been waiting for {} s", stats.oldest_due_s))?;
    }
    if stats.expired > 0 {
        context.ui.line(format!("{} on workers that were not heard of any more", stats.expired))?;
    }
    if let Some(at) = stats.last_completed_at {
        context.ui.line(format!("the last one was completed at {}", view::time(at)))?;
    }
    Ok(())
}

//! `git pggit schedule next`

use super::planned;
use crate::automation::next_runs;
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::schedule::{NextRun, NextRuns, next_run_table};

/// Show the next runs of all schedules, in order
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// The number of runs
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit schedule next
    git pggit schedule next --database shop --count 30";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let planned = planned(args.database.as_deref(), context)?;
    let runs = next_runs(&planned, context.now(), args.count.into());
    if context.ui.wants_json() {
        let runs = runs.iter().map(|(at, it)| NextRun::new(*at, it)).collect();
        return Ok(context.ui.json(&NextRuns { runs })?);
    }
    context.table(&next_run_table(&runs))
}

//! `git pggit schedule list`

use super::planned;
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::schedule::{ScheduleList, schedule_table};

/// List the schedules and their states
///
/// STATE is 'ok'; 'due' if the scheduled time has passed and no backup was begun;
/// 'missed' if no backup was completed within pggit.<database>.missedAfter. A backup
/// that was made by hand counts as well.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git config pggit.shop.schedule daily
    git config --add pggit.shop.schedule '30 14 * * mon-fri type=full'
    git config pggit.shop.timezone Europe/Berlin
    git pggit schedule list";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let planned = planned(args.database.as_deref(), context)?;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&ScheduleList { schedules: planned.iter().map(Into::into).collect() })?);
    }
    context.table(&schedule_table(&planned, context.now()))
}

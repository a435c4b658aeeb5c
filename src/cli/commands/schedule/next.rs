//! `git pggit schedule next`

use super::planned;
use crate::automation::ScheduledRule;
use crate::cli::Context;
use crate::domain::Timestamp;
use crate::failure::Failure;
use crate::output::schedule::{NextRun, NextRuns};
use crate::terminal::Table;

/// Show the next runs of all schedules, in order
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit schedule next
    git pggit schedule next --database shop --count 30";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let planned = planned(args.database.as_deref(), context)?;
    let runs = runs(&planned, context.now(), args.count.into());
    if context.ui.wants_json() {
        let runs = runs.iter().map(|(at, it)| output(*at, it)).collect();
        return Ok(context.ui.json(&NextRuns { runs })?);
    }
    let mut table = Table::new(["AT", "DATABASE", "TOOL", "TYPE", "SCHEDULE"]).whole(0).whole(1);
    for (at, it) in runs {
        table.row([
            it.zone.format(at),
            it.database.to_string(),
            it.tool.to_string(),
            it.kind.to_string(),
            it.rule.cron.to_string(),
        ]);
    }
    context.page()?;
    Ok(context.ui.table(&table)?)
}

/// The first `count` runs after `now`.
fn runs(planned: &[ScheduledRule], now: Timestamp, count: usize) -> Vec<(Timestamp, &ScheduledRule)> {
    let mut runs = Vec::new();
    for it in planned {
        let next = |at: &Timestamp| it.rule.next(&it.database, it.zone, *at);
        let times = std::iter::successors(next(&now), next).take(count);
        runs.extend(times.map(|at| (at, it)));
    }
    runs.sort_by_key(|(at, _)| *at);
    runs.truncate(count);
    runs
}

fn output(at: Timestamp, it: &ScheduledRule) -> NextRun {
    NextRun {
        at,
        database: it.database.clone(),
        tool: it.tool.clone(),
        kind: it.kind,
        cron: it.rule.cron.as_str().to_owned(),
    }
}

//! `git pggit schedule list`

use super::planned;
use crate::automation::ScheduledRule;
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::schedule::{ScheduleList, ScheduleOutput, ScheduleState};
use crate::terminal::text::relative_time;
use crate::terminal::{Style, Table};

/// List the schedules, and how they stand
///
/// STATE is 'ok'; 'due' when it is time and nothing has been begun; 'missed'
/// when a backup should be complete by now and is not (pggit.<database>.missedAfter
/// says how long that takes). A backup that was made by hand counts as well.
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
        return Ok(context.ui.json(&ScheduleList { schedules: planned.iter().map(output).collect() })?);
    }
    let mut table = Table::new(["DATABASE", "SCHEDULE", "TOOL", "TYPE", "STATE", "LAST", "NEXT"])
        .whole(0)
        .whole(6)
        .paint(4, |state| match state {
            "ok" => Style::Good,
            "due" => Style::Attention,
            _ => Style::Bad,
        });
    for it in &planned {
        let last = it.facts.completed.map_or("-".to_owned(), |at| relative_time(at, context.now()));
        table.row([
            it.database.to_string(),
            it.rule.cron.to_string(),
            it.tool.to_string(),
            it.kind.to_string(),
            state(it).as_str().to_owned(),
            last,
            it.state.next.map_or("-".to_owned(), |at| it.zone.format(at)),
        ]);
    }
    context.page()?;
    Ok(context.ui.table(&table)?)
}

/// How it stands, in a word.
fn state(it: &ScheduledRule) -> ScheduleState {
    match (it.state.missed, it.state.due) {
        (Some(_), _) => ScheduleState::Missed,
        (None, true) => ScheduleState::Due,
        (None, false) => ScheduleState::Ok,
    }
}

fn output(it: &ScheduledRule) -> ScheduleOutput {
    ScheduleOutput {
        database: it.database.clone(),
        cron: it.rule.cron.as_str().to_owned(),
        preset: it.rule.preset,
        timezone: it.zone.name().to_owned(),
        jitter_s: it.rule.jitter.as_secs(),
        delay_s: it.rule.delay(&it.database).as_secs(),
        tool: it.tool.clone(),
        kind: it.kind,
        state: state(it),
        due: it.state.due,
        slot: it.state.slot,
        missed: it.state.missed,
        last_attempt: it.facts.attempted,
        last_completed: it.facts.completed,
        next: it.state.next,
    }
}

//! Schedules, their next runs and hooks as tables.

use super::{NextRun, ScheduleOutput, ScheduleStateOutput};
use crate::automation::ScheduledRule;
use crate::domain::Timestamp;
use crate::terminal::text::relative_time;
use crate::terminal::{Style, Table};

impl From<&ScheduledRule> for ScheduleOutput {
    fn from(it: &ScheduledRule) -> Self {
        Self {
            database: it.database.clone(),
            cron: it.rule.cron.as_str().to_owned(),
            preset: it.rule.preset,
            timezone: it.zone.name().to_owned(),
            jitter_s: it.rule.jitter.as_secs(),
            delay_s: it.rule.delay(&it.database).as_secs(),
            tool: it.tool.clone(),
            kind: it.kind,
            state: it.into(),
            due: it.state.due,
            slot: it.state.slot,
            missed: it.state.missed,
            last_attempt: it.facts.attempted,
            last_completed: it.facts.completed,
            next: it.state.next,
        }
    }
}

impl From<&ScheduledRule> for ScheduleStateOutput {
    fn from(it: &ScheduledRule) -> Self {
        match (it.state.missed, it.state.due) {
            (Some(_), _) => Self::Missed,
            (None, true) => Self::Due,
            (None, false) => Self::Ok,
        }
    }
}

impl NextRun {
    /// Describes the run of a schedule at a time.
    pub fn new(at: Timestamp, it: &ScheduledRule) -> Self {
        Self {
            at,
            database: it.database.clone(),
            tool: it.tool.clone(),
            kind: it.kind,
            cron: it.rule.cron.as_str().to_owned(),
        }
    }
}

/// Returns the table of schedules, one row each.
pub fn schedule_table(planned: &[ScheduledRule], now: Timestamp) -> Table {
    let mut table = Table::new(["DATABASE", "SCHEDULE", "TOOL", "TYPE", "STATE", "LAST", "NEXT"])
        .whole(0)
        .whole(6)
        .paint(4, |state| match state {
            "ok" => Style::Good,
            "due" => Style::Attention,
            _ => Style::Bad,
        });
    for it in planned {
        table.row([
            it.database.to_string(),
            it.rule.cron.to_string(),
            it.tool.to_string(),
            it.kind.to_string(),
            ScheduleStateOutput::from(it).as_str().to_owned(),
            it.facts.completed.map_or("-".to_owned(), |at| relative_time(at, now)),
            it.state.next.map_or("-".to_owned(), |at| it.zone.format(at)),
        ]);
    }
    table
}

/// Returns the table of runs, one row each.
pub fn next_run_table(runs: &[(Timestamp, &ScheduledRule)]) -> Table {
    let mut table = Table::new(["AT", "DATABASE", "TOOL", "TYPE", "SCHEDULE"]).whole(0).whole(1);
    for (at, it) in runs {
        table.row([
            it.zone.format(*at),
            it.database.to_string(),
            it.tool.to_string(),
            it.kind.to_string(),
            it.rule.cron.to_string(),
        ]);
    }
    table
}

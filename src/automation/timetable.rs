//! The state of the schedules of all databases.

use std::time::Duration;

use crate::config::{self, Config};
use crate::domain::{BackupType, DatabaseName, Job, Line, Status, Timestamp, Work};
use crate::ledger::Overview;
use crate::schedule::{self, ScheduleFacts, ScheduleRule, ScheduleState, Zone};

/// One rule of one database, with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledRule {
    /// The database.
    pub database: DatabaseName,
    /// The rule.
    pub rule: ScheduleRule,
    /// The tool of its backups.
    pub tool: Line,
    /// The type of its backups.
    pub kind: BackupType,
    /// The time zone of the rule.
    pub zone: Zone,
    /// The time after the scheduled one from which a backup that is not complete counts as missed.
    pub grace: Duration,
    /// The facts about its backups.
    pub facts: ScheduleFacts,
    /// The state of the rule.
    pub state: ScheduleState,
}

/// The rules of all databases.
#[derive(Debug, Default)]
pub struct Timetables {
    /// The rules, in the order of the databases.
    pub rules: Vec<ScheduledRule>,
    /// The databases that are not scheduled because of an invalid setting.
    pub problems: Vec<(DatabaseName, config::Error)>,
}

/// Returns the state of all rules at `now`, with `jobs` in the queue.
pub fn timetables(config: &Config, backups: &Overview, jobs: &[Job], now: Timestamp) -> Timetables {
    let mut tables = Timetables::default();
    for database in config.databases() {
        match of_database(config, &database, backups, jobs, now) {
            Ok(planned) => tables.rules.extend(planned),
            Err(error) => tables.problems.push((database, error)),
        }
    }
    tables
}

/// Returns the first `count` runs after `now`, in the order of their times.
pub fn next_runs(
    planned: &[ScheduledRule],
    now: Timestamp,
    count: usize,
) -> Vec<(Timestamp, &ScheduledRule)> {
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

fn of_database(
    config: &Config,
    database: &DatabaseName,
    backups: &Overview,
    jobs: &[Job],
    now: Timestamp,
) -> Result<Vec<ScheduledRule>, config::Error> {
    let table = config.timetable(database)?;
    if table.schedules.is_empty() {
        return Ok(Vec::new());
    }
    let settings = config.database(database)?;
    let rules = table.schedules.iter().flat_map(schedule::Schedule::rules);
    let planned = rules.map(|rule| {
        let tool = rule.tool.clone().unwrap_or_else(|| Line::lossy(settings.tool.value.as_str()));
        let kind = rule.kind.unwrap_or(settings.backup_type.value);
        let mut facts = facts(backups, database, &tool, kind);
        let default = (settings.tool.value.as_str(), settings.backup_type.value);
        let mine = jobs.iter().filter(|job| is_for(job, database, &tool, kind, default));
        facts.attempted = facts.attempted.max(mine.map(|job| job.created_at).max());
        // The clock of the queue may be behind: a job may seem older than its scheduled time.
        let slots = jobs.iter().filter_map(|job| slot_of(job, &key(database, rule)));
        facts.attempted = facts.attempted.max(slots.max());
        let state = schedule::state(rule, database, table.zone, facts, now, table.grace);
        let (database, zone, grace) = (database.clone(), table.zone, table.grace);
        ScheduledRule { database, rule: rule.clone(), tool, kind, zone, grace, facts, state }
    });
    Ok(planned.collect())
}

/// Returns the facts about the backups of `database` with this tool and type, from the ledger.
fn facts(backups: &Overview, database: &DatabaseName, tool: &Line, kind: BackupType) -> ScheduleFacts {
    let mut facts = ScheduleFacts::default();
    let alike = backups.rows().filter(|row| {
        row.database() == database.as_str() && row.tool() == tool.as_str() && row.kind() == kind
    });
    for row in alike {
        // A retry of a backup counts with its own start.
        let begun = row.started_at().unwrap_or(row.registered_at());
        facts.attempted = facts.attempted.max(Some(begun));
        if !matches!(row.status(), Status::InProgress | Status::Failed) {
            facts.completed = facts.completed.max(Some(begun));
        }
    }
    facts
}

/// Returns true if `job` makes a backup of `database` with this tool and type. `default` has the tool and
/// the type of jobs that do not name one.
fn is_for(
    job: &Job,
    database: &DatabaseName,
    tool: &Line,
    kind: BackupType,
    default: (&str, BackupType),
) -> bool {
    let Work::Backup(work) = &job.work else { return false };
    work.database == *database
        && work.tool.as_ref().map_or(default.0, Line::as_str) == tool.as_str()
        && work.backup_type.unwrap_or(default.1) == kind
}

/// Returns the prefix of the deduplication keys of the jobs of `rule`.
fn key(database: &DatabaseName, rule: &ScheduleRule) -> String {
    format!("schedule:{database}:{}:", rule.key())
}

/// Returns the scheduled time of `job`, from its deduplication key.
fn slot_of(job: &Job, key: &str) -> Option<Timestamp> {
    job.dedup_key.as_ref()?.as_str().strip_prefix(key)?.parse().ok()
}

impl ScheduledRule {
    /// Returns the deduplication key of the job for the latest scheduled time.
    pub fn job_key(&self) -> Option<Line> {
        let slot = self.state.slot?;
        Some(Line::lossy(&format!("{}{slot}", key(&self.database, &self.rule))))
    }
}

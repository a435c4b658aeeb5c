//! What the schedules of all databases want.

use std::time::Duration;

use crate::config::{self, Config};
use crate::domain::{BackupType, DatabaseName, Job, Line, Status, Timestamp, Work};
use crate::ledger::Overview;
use crate::schedule::{self, Facts, Rule, State, Zone};

/// One rule of one database, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The database.
    pub database: DatabaseName,
    /// The rule.
    pub rule: Rule,
    /// The tool that it means.
    pub tool: Line,
    /// The type of backup that it means.
    pub kind: BackupType,
    /// The zone of its times.
    pub zone: Zone,
    /// How long after its time a backup counts as missed.
    pub grace: Duration,
    /// What is known about its backups.
    pub facts: Facts,
    /// How it stands.
    pub state: State,
}

/// The rules of all databases.
#[derive(Debug, Default)]
pub struct Timetables {
    /// In the order of the databases.
    pub planned: Vec<Planned>,
    /// What is configured wrongly, with the database that it keeps from being
    /// planned.
    pub problems: Vec<(DatabaseName, config::Error)>,
}

/// How all rules stand at `now`, with `jobs` in the queue.
pub fn timetables(config: &Config, backups: &Overview, jobs: &[Job], now: Timestamp) -> Timetables {
    let mut tables = Timetables::default();
    for database in config.databases() {
        match of_database(config, &database, backups, jobs, now) {
            Ok(planned) => tables.planned.extend(planned),
            Err(error) => tables.problems.push((database, error)),
        }
    }
    tables
}

/// Returns the first `count` runs after `now`, in the order of their times.
pub fn next_runs(planned: &[Planned], now: Timestamp, count: usize) -> Vec<(Timestamp, &Planned)> {
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
) -> Result<Vec<Planned>, config::Error> {
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
        // By the clock of the queue a job may be older than the time it is for.
        let slots = jobs.iter().filter_map(|job| slot_of(job, &key(database, rule)));
        facts.attempted = facts.attempted.max(slots.max());
        let state = schedule::state(rule, database, table.zone, facts, now, table.grace);
        let (database, zone, grace) = (database.clone(), table.zone, table.grace);
        Planned { database, rule: rule.clone(), tool, kind, zone, grace, facts, state }
    });
    Ok(planned.collect())
}

/// What the ledger knows about backups of `database` with `tool`.
fn facts(backups: &Overview, database: &DatabaseName, tool: &Line, kind: BackupType) -> Facts {
    let mut facts = Facts::default();
    let alike = backups.rows().filter(|row| {
        row.database() == database.as_str() && row.tool() == tool.as_str() && row.kind() == kind
    });
    for row in alike {
        // A later attempt of a backup is another beginning.
        let begun = row.started_at().unwrap_or(row.registered_at());
        facts.attempted = facts.attempted.max(Some(begun));
        if !matches!(row.status(), Status::InProgress | Status::Failed) {
            facts.completed = facts.completed.max(Some(begun));
        }
    }
    facts
}

/// Whether `job` makes such a backup. What it leaves open is as `default` says.
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

/// What the keys of the jobs of `rule` begin with.
fn key(database: &DatabaseName, rule: &Rule) -> String {
    format!("schedule:{database}:{}:", rule.key())
}

/// The time on the schedule that `job` is for.
fn slot_of(job: &Job, key: &str) -> Option<Timestamp> {
    job.dedup_key.as_ref()?.as_str().strip_prefix(key)?.parse().ok()
}

impl Planned {
    /// The key of the job for its latest time: of those that wait there is one.
    pub fn job_key(&self) -> Option<Line> {
        let slot = self.state.slot?;
        Some(Line::lossy(&format!("{}{slot}", key(&self.database, &self.rule))))
    }
}

//! From what is wanted to jobs in the queue: the one way for hooks, schedules
//! and whoever looks for what was missed.

use std::collections::BTreeMap;

use super::output::queue::{DueJob, DueJobs};
use super::{Context, Failure};
use crate::automation::{MERGE_TAG, Planned, Wanted};
use crate::domain::{DatabaseName, Line, TagKey};
use crate::policy::Rule;
use crate::workspace::queue::{self, Wish};

/// A job to be made, and why.
pub(crate) struct Job {
    /// The database.
    pub(crate) database: DatabaseName,
    /// Why, for people.
    pub(crate) reason: String,
    /// What is to be made.
    pub(crate) wish: Wish,
}

/// The job for a schedule that is due.
pub(crate) fn scheduled(planned: &Planned) -> Job {
    let wish = Wish {
        backup_type: planned.rule.kind,
        tool: planned.rule.tool.clone(),
        key: planned.job_key(),
        tags: tag("schedule", planned.rule.preset.map_or("cron", |preset| preset.as_str())),
        ..Wish::default()
    };
    let slot = planned.state.slot.map_or(String::new(), |slot| format!(" of {}", planned.zone.shown(slot)));
    Job { database: planned.database.clone(), reason: format!("schedule {}{slot}", planned.rule), wish }
}

/// The job for a branch that has moved.
pub(crate) fn moved(wanted: &Wanted) -> Job {
    let wish = Wish {
        commit: Some(wanted.commit.clone()),
        branch: Some(Line::lossy(&wanted.branch)),
        yields: true,
        backup_type: wanted.kind,
        tool: wanted.tool.clone(),
        priority: wanted.priority,
        key: Some(wanted.job_key()),
        tags: tag(MERGE_TAG, wanted.commit.as_str()),
        ..Wish::default()
    };
    let reason = format!("{} at {}", wanted.branch, wanted.commit.short());
    Job { database: wanted.database.clone(), reason, wish }
}

fn tag(key: &str, value: &str) -> BTreeMap<TagKey, Line> {
    let key = key.parse().expect("our own tags are well-formed");
    BTreeMap::from([(key, Line::lossy(value))])
}

/// What follows when branches move, for all databases. What is configured
/// wrongly keeps one database from being backed up, and is told by `wrong`.
pub(crate) fn rules(context: &Context, mut wrong: impl FnMut(String)) -> Result<Vec<Rule>, Failure> {
    let config = context.config()?;
    let mut rules = Vec::new();
    for name in config.databases() {
        match config.merge_rule(&name) {
            Ok(rule) => rules.extend(rule),
            Err(error) => wrong(format!("database {name}: {error}")),
        }
    }
    Ok(rules)
}

/// Puts jobs into the queue and says so.
pub(crate) fn enqueue(jobs: Vec<Job>, dry_run: bool, context: &Context) -> Result<(), Failure> {
    let mut rows: Vec<DueJob> = Vec::new();
    let place = if jobs.is_empty() { None } else { Some(queue::open(context)?) };
    for Job { database, reason, wish } in jobs {
        let mut row = DueJob { database: database.clone(), reason: reason.clone(), job: None, is_new: None };
        if let (false, Some(queue)) = (dry_run, &place) {
            let enqueued = queue.enqueue(queue::backup_job(context, &database, wish)?)?;
            row.job = Some(enqueued.job.id);
            row.is_new = Some(enqueued.is_new);
            let done = if enqueued.is_new { "queued a backup of" } else { "there is a job already for" };
            context.ui.status(&format!("{done} {database}: {reason}"));
        } else if !context.ui.wants_json() {
            context.ui.line(format!("would queue a backup of {database}: {reason}"))?;
        }
        rows.push(row);
    }
    if context.ui.wants_json() {
        return Ok(context.ui.json(&DueJobs { jobs: rows, dry_run })?);
    }
    if rows.is_empty() {
        context.ui.status("nothing is due");
    }
    Ok(())
}

//! Builds the jobs for wanted backups, for hooks, schedules and the catch-up alike.

use std::collections::BTreeMap;

use super::{MERGE_TAG, ScheduledRule, WantedBackup};
use crate::config::Config;
use crate::domain::{DatabaseName, Line, TagKey};
use crate::policy::BranchRule;
use crate::workspace::queue::JobOptions;

/// A backup job to queue.
pub struct BackupJob {
    /// The database.
    pub database: DatabaseName,
    /// The reason, for people.
    pub reason: String,
    /// The options of the job.
    pub wish: JobOptions,
}

/// Returns the job for a schedule that is due.
pub fn scheduled_job(planned: &ScheduledRule) -> BackupJob {
    let wish = JobOptions {
        backup_type: planned.rule.kind,
        tool: planned.rule.tool.clone(),
        key: planned.job_key(),
        tags: tag("schedule", planned.rule.preset.map_or("cron", |preset| preset.as_str())),
        ..JobOptions::default()
    };
    let slot = planned.state.slot.map_or(String::new(), |slot| format!(" of {}", planned.zone.format(slot)));
    BackupJob { database: planned.database.clone(), reason: format!("schedule {}{slot}", planned.rule), wish }
}

/// Returns the job for a branch that has moved.
pub fn merge_job(wanted: &WantedBackup) -> BackupJob {
    let wish = JobOptions {
        commit: Some(wanted.commit.clone()),
        branch: Some(Line::lossy(&wanted.branch)),
        prefer_mark: true,
        backup_type: wanted.kind,
        tool: wanted.tool.clone(),
        priority: wanted.priority,
        key: Some(wanted.job_key()),
        tags: tag(MERGE_TAG, wanted.commit.as_str()),
        ..JobOptions::default()
    };
    let reason = format!("{} at {}", wanted.branch, wanted.commit.short());
    BackupJob { database: wanted.database.clone(), reason, wish }
}

fn tag(key: &str, value: &str) -> BTreeMap<TagKey, Line> {
    let key = key.parse().expect("our own tags are well-formed");
    BTreeMap::from([(key, Line::lossy(value))])
}

/// Returns the rules of all databases for moves of branches. An invalid setting of a database is passed
/// to `wrong`, and that database has no rule.
pub fn branch_rules(config: &Config, mut wrong: impl FnMut(String)) -> Vec<BranchRule> {
    let mut rules = Vec::new();
    for name in config.databases() {
        match config.merge_rule(&name) {
            Ok(rule) => rules.extend(rule),
            Err(error) => wrong(format!("database {name}: {error}")),
        }
    }
    rules
}

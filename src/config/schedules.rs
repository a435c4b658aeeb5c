//! The configuration of scheduled backups, branch rules and notifications.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::key::AnyKey as _;
use super::origin::Setting;
use super::{Config, Error, keys};
use crate::domain::{BackupTool, DatabaseName, Line, Occasion};
use crate::git::PathPatterns;
use crate::policy::BranchRule;
use crate::schedule::{Schedule, Zone};

/// The schedule of the backups of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    /// The schedules.
    pub schedules: Vec<Schedule>,
    /// The time zone of the schedules.
    pub zone: Zone,
    /// The time after which a scheduled backup counts as missed.
    pub grace: Duration,
}

/// The receivers and the occasions of notifications about the backups of a database.
#[derive(Clone, PartialEq, Eq)]
pub struct Notifications {
    /// The addresses of webhooks.
    pub webhooks: Vec<String>,
    /// The file with the key that signs notifications.
    pub secret_file: Option<PathBuf>,
    /// Programs to run, with their arguments.
    pub commands: Vec<Vec<String>>,
    /// The occasions.
    pub occasions: BTreeSet<Occasion>,
    /// The address that is called after every completed backup.
    pub heartbeat: Option<String>,
}

/// Leaves out addresses, because they may contain tokens.
impl std::fmt::Debug for Notifications {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifications")
            .field("webhooks", &self.webhooks.len())
            .field("commands", &self.commands)
            .field("occasions", &self.occasions)
            .field("heartbeat", &self.heartbeat.is_some())
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Returns the schedule of the backups of `name`. Fails if a value is not valid or names an unknown
    /// tool.
    pub fn timetable(&self, name: &DatabaseName) -> Result<Timetable, Error> {
        let settings = self.of(name);
        let schedules = settings.all(&keys::SCHEDULE)?;
        for Setting { value: schedule, origin } in &schedules {
            for tool in schedule.rules().iter().filter_map(|rule| rule.tool.as_ref()) {
                if let Ok(BackupTool::Custom(tool)) = tool.as_str().parse()
                    && self.custom_tool(&tool)?.backup.is_none()
                {
                    let known = keys::TOOL.expected();
                    let reason = format!("there is no tool '{tool}': expected {known}");
                    let (key, value) = (format!("pggit.{name}.schedule"), Some(schedule.as_str().to_owned()));
                    return Err(Error::Reason { key, origin: origin.clone(), value, reason });
                }
            }
        }
        Ok(Timetable {
            schedules: schedules.into_iter().map(|setting| setting.value).collect(),
            zone: settings.get(&keys::DATABASE_TIMEZONE)?.value,
            grace: settings.get(&keys::MISSED_AFTER)?.value,
        })
    }

    /// Returns the rule for moved branches; `None` if there is none. It runs after every commit, so
    /// without a rule it reads only one key. Fails if a value is not valid.
    pub fn merge_rule(&self, name: &DatabaseName) -> Result<Option<BranchRule>, Error> {
        let settings = self.of(name);
        let branches = settings.all(&keys::ON_MERGE)?;
        if branches.is_empty() {
            return Ok(None);
        }
        let tool = settings.find(&keys::ON_MERGE_TOOL)?;
        Ok(Some(BranchRule {
            database: name.clone(),
            branches: branches.into_iter().map(|setting| setting.value).collect(),
            paths: self.schema_paths(name)?,
            tool: tool.map(|setting| Line::lossy(setting.value.as_str())),
            kind: settings.find(&keys::ON_MERGE_TYPE)?.map(|setting| setting.value),
            priority: settings.get(&keys::ON_MERGE_PRIORITY)?.value,
        }))
    }

    /// Returns the patterns of the files that count as the schema of `name`.
    pub fn schema_paths(&self, name: &DatabaseName) -> Result<Vec<PathPatterns>, Error> {
        let paths = self.of(name).all_or_default(&keys::SCHEMA_PATHS)?;
        Ok(paths.into_iter().map(|setting| setting.value).collect())
    }

    /// Returns the receivers and the occasions of notifications about the backups of `name`. Fails if a
    /// value is not valid.
    pub fn notifications(&self, name: &DatabaseName) -> Result<Notifications, Error> {
        let settings = self.of(name);
        let webhooks = settings.all(&keys::DATABASE_WEBHOOK)?;
        let commands = settings.all(&keys::DATABASE_NOTIFY_COMMAND)?;
        let secret_file = settings.find(&keys::DATABASE_WEBHOOK_SECRET_FILE)?;
        Ok(Notifications {
            webhooks: webhooks.into_iter().map(|setting| setting.value).collect(),
            secret_file: secret_file.map(|setting| setting.value),
            commands: commands.into_iter().map(|setting| setting.value).collect(),
            occasions: settings.get(&keys::DATABASE_NOTIFY_ON)?.value,
            heartbeat: settings.find(&keys::HEARTBEAT)?.map(|setting| setting.value),
        })
    }
}

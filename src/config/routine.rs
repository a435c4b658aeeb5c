//! What is configured for backups that happen by themselves.

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

/// When backups of a database are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    /// The schedules.
    pub schedules: Vec<Schedule>,
    /// The zone of their times.
    pub zone: Zone,
    /// How long after its time a backup counts as missed.
    pub grace: Duration,
}

/// Who is told about the backups of a database, and of what.
#[derive(Clone, PartialEq, Eq)]
pub struct Notifications {
    /// Addresses that messages are posted to.
    pub webhooks: Vec<String>,
    /// The file with the key that they are signed with.
    pub secret_file: Option<PathBuf>,
    /// Programs that are run, with their arguments.
    pub commands: Vec<Vec<String>>,
    /// What about.
    pub occasions: BTreeSet<Occasion>,
    /// The address that is called after every completed backup.
    pub heartbeat: Option<String>,
}

/// Without addresses: they may hold tokens.
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
    /// When backups of `name` are made.
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

    /// What follows when branches move; `None` when nothing does. This is asked
    /// after every commit: it looks at little when there is nothing to see.
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
        let settings = self.of(name);
        let mut paths = settings.all(&keys::SCHEMA_PATHS)?;
        if paths.is_empty() {
            paths.push(settings.default(&keys::SCHEMA_PATHS));
        }
        Ok(paths.into_iter().map(|setting| setting.value).collect())
    }

    /// Who is told about the backups of `name`.
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

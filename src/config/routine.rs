//! What is configured for backups that happen by themselves.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::database::{Lookup, by_word};
use super::origin::Setting;
use super::value::{self, Refused};
use super::{Config, Error, Kind, Tool};
use crate::domain::{DatabaseName, Line, words};
use crate::git::PathPatterns;
use crate::policy::BranchRule;
use crate::schedule::{Schedule, Zone};

words! {
    /// What a message is about.
    Occasion("occasion") {
        /// A backup was completed.
        Success = "success",
        /// A job failed for good.
        Failure = "failure",
        /// The first backup after that was completed.
        Recovered = "recovered",
        /// A backup that should be there is not.
        Missed = "missed",
        /// A backup cannot be relied on.
        Verification = "verification",
    }
}

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
        let lookup = Lookup { config: self, database: Some(name) };
        let schedules = lookup.all("schedule", value::schedule)?;
        for Setting { value: schedule, origin } in &schedules {
            for tool in schedule.rules().iter().filter_map(|rule| rule.tool.as_ref()) {
                if let Ok(Tool::Custom(tool)) = tool.as_str().parse()
                    && self.custom_tool(&tool)?.backup.is_none()
                {
                    let known = Kind::Tool.expected();
                    let reason = format!("there is no tool '{tool}': expected {known}");
                    let (key, value) = (format!("pggit.{name}.schedule"), Some(schedule.as_str().to_owned()));
                    return Err(Error::Reason { key, origin: origin.clone(), value, reason });
                }
            }
        }
        Ok(Timetable {
            schedules: schedules.into_iter().map(|setting| setting.value).collect(),
            zone: lookup.or_default("timezone", by_word)?.value,
            grace: lookup.or_default("missedAfter", value::duration)?.value,
        })
    }

    /// What follows when branches move; `None` when nothing does. This is asked
    /// after every commit: it looks at little when there is nothing to see.
    pub fn merge_rule(&self, name: &DatabaseName) -> Result<Option<BranchRule>, Error> {
        let lookup = Lookup { config: self, database: Some(name) };
        let branches = lookup.all("onMerge", value::patterns)?;
        if branches.is_empty() {
            return Ok(None);
        }
        let line = |text: &str| text.parse::<super::Tool>().map(|tool| Line::lossy(tool.as_str()));
        Ok(Some(BranchRule {
            database: name.clone(),
            branches: branches.into_iter().map(|setting| setting.value).collect(),
            paths: self.schema_paths(name)?,
            tool: lookup
                .one("onMergeTool", |text| line(text).map_err(|()| Refused::Form))?
                .map(|setting| setting.value),
            kind: lookup.one("onMergeType", by_word)?.map(|setting| setting.value),
            priority: lookup.or_default("onMergePriority", by_word)?.value,
        }))
    }

    /// Returns the patterns of the files that count as the schema of `name`.
    pub fn schema_paths(&self, name: &DatabaseName) -> Result<Vec<PathPatterns>, Error> {
        let lookup = Lookup { config: self, database: Some(name) };
        let mut paths: Vec<_> = lookup.all("schemaPaths", value::patterns)?;
        if paths.is_empty() {
            paths.push(lookup.or_default("schemaPaths", value::patterns)?);
        }
        Ok(paths.into_iter().map(|setting| setting.value).collect())
    }

    /// Who is told about the backups of `name`.
    pub fn notifications(&self, name: &DatabaseName) -> Result<Notifications, Error> {
        let lookup = Lookup { config: self, database: Some(name) };
        let hook = |text: &str| value::hook(text).ok_or(Refused::Form);
        let webhooks = lookup.all("webhook", hook)?;
        let commands = lookup.all("notifyCommand", |text| value::command(text).ok_or(Refused::Form))?;
        Ok(Notifications {
            webhooks: webhooks.into_iter().map(|setting| setting.value).collect(),
            secret_file: lookup.directory("webhookSecretFile")?.map(|setting| setting.value),
            commands: commands.into_iter().map(|setting| setting.value).collect(),
            occasions: lookup
                .or_default("notifyOn", |text| value::occasions(text).ok_or(Refused::Form))?
                .value,
            heartbeat: lookup.one("heartbeat", hook)?.map(|setting| setting.value),
        })
    }
}

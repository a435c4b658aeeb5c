//! Results of the commands for schedules and hooks.

mod hooks;
mod render;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{BackupType, DatabaseName, Line, Timestamp};
use crate::schedule::Preset;

pub use hooks::print_status;
pub use render::{next_run_table, schedule_table};

/// The schedules of all databases or of one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScheduleList {
    /// The schedules.
    pub schedules: Vec<ScheduleOutput>,
}

/// A schedule of a database.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScheduleOutput {
    /// The configured database.
    pub database: DatabaseName,
    /// The times as a cron expression.
    pub cron: String,
    /// The name of the preset, such as `daily`; null if the schedule is none.
    pub preset: Option<Preset>,
    /// The time zone of the times.
    pub timezone: String,
    /// Maximum delay of a run in seconds, so that not all databases are backed up at once.
    pub jitter_s: u64,
    /// Delay of the runs of this database in seconds.
    pub delay_s: u64,
    /// The tool that makes the backups.
    pub tool: Line,
    /// The type of the backups.
    #[serde(rename = "type")]
    pub kind: BackupType,
    /// The state of the schedule.
    pub state: ScheduleStateOutput,
    /// True if a backup is due now.
    pub due: bool,
    /// The last scheduled time; null if there was none yet.
    pub slot: Option<Timestamp>,
    /// The scheduled time whose backup is overdue; null if there is none.
    pub missed: Option<Timestamp>,
    /// The start of the last backup; null if there was none.
    pub last_attempt: Option<Timestamp>,
    /// The completion of the last backup; null if there was none.
    pub last_completed: Option<Timestamp>,
    /// The next run; null if there is none.
    pub next: Option<Timestamp>,
}

/// The state of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ScheduleStateOutput {
    /// No backup is due.
    Ok,
    /// A backup is due.
    Due,
    /// A backup is overdue.
    Missed,
}

impl ScheduleStateOutput {
    /// Returns the word for the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Due => "due",
            Self::Missed => "missed",
        }
    }
}

/// The next runs of the schedules.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NextRuns {
    /// The runs, the nearest first.
    pub runs: Vec<NextRun>,
}

/// A run of a schedule.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NextRun {
    /// The time of the run.
    pub at: Timestamp,
    /// The configured database.
    pub database: DatabaseName,
    /// The tool that makes the backup.
    pub tool: Line,
    /// The type of the backup.
    #[serde(rename = "type")]
    pub kind: BackupType,
    /// The times as a cron expression.
    pub cron: String,
}

/// Units of systemd for the schedules.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SystemdUnits {
    /// The text of each unit, by the name of its file.
    pub units: BTreeMap<String, String>,
}

/// The hooks that were installed or removed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangedHooks {
    /// The hooks.
    pub hooks: Vec<ChangedHook>,
}

/// A hook that was installed or removed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangedHook {
    /// The name of the hook, as git has it.
    pub hook: String,
    /// The file of the hook.
    pub file: String,
    /// The change of the file.
    pub done: HookChange,
}

/// The change of the file of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum HookChange {
    /// The file was created.
    Made,
    /// The file of another program was renamed, and the new file runs it.
    PutAside,
    /// Lines were added to the file.
    Extended,
    /// The file was removed.
    Removed,
    /// The file was removed, and the renamed file of another program was restored.
    PutBack,
    /// Lines were removed from the file.
    TakenOut,
    /// The file was not changed.
    Unchanged,
}

/// The hooks and the branches that they watch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HooksStatus {
    /// The directory of the hooks.
    pub directory: String,
    /// The hooks.
    pub hooks: Vec<HookStatus>,
    /// The rules for backups after a branch has moved.
    pub rules: Vec<MergeRule>,
}

/// The state of a hook.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HookStatus {
    /// The name of the hook, as git has it.
    pub hook: String,
    /// `installed`, `missing`, `foreign` (a hook without lines of git-pggit), `outdated` (the hook calls another
    /// program than this one) or `disabled` (the hook is installed, and git does not run the file).
    pub state: String,
}

/// A rule for backups of a database after a branch has moved.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MergeRule {
    /// The configured database.
    pub database: DatabaseName,
    /// Patterns of the branches, with spaces in between.
    pub branches: String,
    /// Patterns of the paths that must have changed, with spaces in between; empty if all count.
    pub paths: String,
    /// The tool that makes the backup; null if it is the one of the database.
    pub tool: Option<Line>,
    /// The type of the backup; null if it is the one of the database.
    #[serde(rename = "type")]
    pub kind: Option<BackupType>,
    /// The priority of the job.
    pub priority: i16,
}

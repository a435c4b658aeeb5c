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
    /// Seconds by which a run may be late, so that not all databases are backed up at once.
    pub jitter_s: u64,
    /// Seconds by which the runs of this database are late.
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
    /// The latest time of the schedule; null if there was none yet.
    pub slot: Option<Timestamp>,
    /// The time whose backup should be complete by now and is not; null if there is none.
    pub missed: Option<Timestamp>,
    /// When the last backup was begun; null if there was none.
    pub last_attempt: Option<Timestamp>,
    /// When the last backup was completed; null if there was none.
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
    /// A backup should be complete by now and is not.
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
    /// When.
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
    /// The file was made.
    Made,
    /// The file of another program was renamed, and is called by the new one.
    PutAside,
    /// Lines were added to the file.
    Extended,
    /// The file was removed.
    Removed,
    /// The file was removed, and the one of another program has its name again.
    PutBack,
    /// Lines were taken out of the file.
    TakenOut,
    /// Nothing.
    Unchanged,
}

/// The hooks and the branches that they watch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HooksStatus {
    /// The directory of the hooks.
    pub directory: String,
    /// The hooks.
    pub hooks: Vec<HookStatus>,
    /// The rules of the databases that want backups when a branch moves.
    pub rules: Vec<MergeRule>,
}

/// The state of a hook.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HookStatus {
    /// The name of the hook, as git has it.
    pub hook: String,
    /// `installed`, `missing`, `foreign` (there is one without our lines), `outdated` (it calls another program than
    /// this one) or `disabled` (our lines are there, and git does not run the file).
    pub state: String,
}

/// Which moves of branches want a backup of a database.
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

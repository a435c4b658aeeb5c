//! Results of the commands that plan and run restores.

mod outcome;
mod plan;
mod unfinished;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{BackupId, CommitId, Line, RecoveryTarget, Timestamp};
use crate::recovery::PlannedStep;
use crate::recovery::in_place::{ReplacedObject, Slot, Stage};
use crate::terminal::message::ErrorMessage;

pub use outcome::{print_database, print_directory};
pub use plan::print_plan;

/// A restore as it would be made.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RestorePlan")]
pub struct RestorePlanOutput {
    /// The id of the backup.
    pub backup: BackupId,
    /// The schema commit of the backup.
    pub backup_commit: CommitId,
    /// The commit to restore.
    pub commit: CommitId,
    /// The tool that made the backup.
    pub tool: Line,
    /// Bytes of the content of the backup; null if that is not recorded.
    pub size_bytes: Option<u64>,
    /// The destination.
    pub into: PlannedDestination,
    /// The steps in order.
    pub steps: Vec<PlannedStepOutput>,
    /// Seconds that the restore will probably take; null if nothing is known about that.
    pub estimate_s: Option<f64>,
    /// The origin of the estimate, in words; null if there is none.
    pub estimate_from: Option<String>,
    /// The errors that prevent the restore; empty if none does.
    pub refusals: Vec<ErrorMessage>,
}

/// The destination of a restore: a database of a server or a directory.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum PlannedDestination {
    /// A database.
    Database {
        /// The name of the database; null if it is that of the backup. Absent for a directory.
        database: Option<String>,
        /// The connection to the server, without a password. Absent for a directory.
        server: String,
    },
    /// A directory.
    Directory {
        /// The path of the directory. Absent for a database.
        directory: String,
    },
}

/// A step of a restore.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct PlannedStepOutput {
    /// The step.
    #[serde(flatten)]
    pub step: PlannedStep,
    /// The way to undo the step, in words.
    pub undo: String,
}

impl From<PlannedStep> for PlannedStepOutput {
    fn from(step: PlannedStep) -> Self {
        let undo = step.effect.undo().to_owned();
        Self { step, undo }
    }
}

/// A backup that was restored into a new database.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RestoredDatabase {
    /// The id of the backup.
    pub backup: BackupId,
    /// The commit that the database is at.
    pub commit: CommitId,
    /// The schema commit of the backup.
    pub backup_commit: CommitId,
    /// The name of the database.
    pub database: String,
    /// Bytes of the backup that were read.
    pub size_bytes: u64,
    /// Seconds that it took.
    pub duration_s: f64,
    /// The schema that the database was compared with, in words; null if it was not compared.
    pub schema_compared_with: Option<String>,
    /// The difference between the two schemas; null if there is none or they were not compared.
    pub schema_difference: Option<String>,
    /// Objects that were left out, because they need what is not restored.
    pub left_out: Vec<String>,
    /// Why the commit could not be recorded in the database, in words; null if it was recorded.
    pub not_marked: Option<String>,
    /// The roles of the backup; null if they were not asked for.
    pub roles: Option<RestoredRoles>,
}

/// The roles of a backup that was restored.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RestoredRoles {
    /// The roles that were made.
    pub made: Vec<String>,
    /// The roles that were there already and are as they were.
    pub kept: Vec<String>,
    /// Statements that were left out, in words.
    pub left_out: Vec<String>,
}

/// A backup that was restored into a data directory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RestoredDirectory {
    /// The id of the backup.
    pub backup: BackupId,
    /// The commit that the cluster is at.
    pub commit: CommitId,
    /// The schema commit of the backup.
    pub backup_commit: CommitId,
    /// The ids of all backups that it was made from, the full one first.
    pub backups: Vec<BackupId>,
    /// The path of the data directory.
    pub directory: String,
    /// The paths of the directories of tablespaces.
    pub tablespaces: Vec<String>,
    /// `off` if the cluster will not archive its log, `preserve` if it does as the one that was backed up.
    pub archive_mode: String,
    /// Bytes of the backup that were read.
    pub size_bytes: u64,
    /// The end of the WAL replay.
    pub until: RecoveryTarget,
    /// True if WAL has been replayed; false if the first start of the server does it.
    pub recovered: bool,
    /// The schema that the database was compared with, in words; null if it was not compared.
    pub schema_compared_with: Option<String>,
    /// The difference between the two schemas; null if there is none or they were not compared.
    pub schema_difference: Option<String>,
    /// The server that was started; null if none was asked for or it did not start.
    pub server: Option<StartedServer>,
    /// Seconds that it took.
    pub duration_s: f64,
}

/// A server that was started on a restored data directory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StartedServer {
    /// The connection to it.
    pub url: String,
    /// The program that stops it, with its arguments.
    pub stop: Vec<String>,
    /// The user of the system that runs it; null if it is the one who called.
    pub user: Option<String>,
}

/// The restores that take the place of something and are not finished.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UnfinishedRestores {
    /// The restores.
    pub restores: Vec<RestoreStatusOutput>,
}

/// A restore that takes the place of something and is not finished. It has either the positions of the two or an error.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "UnfinishedRestore")]
pub struct RestoreStatusOutput {
    /// The id of the restore.
    pub id: String,
    /// The id of the backup.
    pub backup: BackupId,
    /// The commit that was restored.
    pub commit: CommitId,
    /// When the restore began.
    pub begun_at: Timestamp,
    /// The database or directory that is replaced.
    pub place: ReplacedObject,
    /// The stage of the restore.
    pub stage: Stage,
    /// True if a process is working on it.
    pub busy: bool,
    /// The one that is in place: `old`, `new`, `another` or `nothing`; absent if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_place: Option<String>,
    /// The position of the old one; absent if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Slot>,
    /// The position of the new one; absent if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Slot>,
    /// Why the positions are not known, in words; absent if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The place of a restore that is over, because it was finished or undone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FinishedRestore {
    /// The place.
    pub place: ReplacedObject,
}

//! Results of the commands that plan and run restores.

mod outcome;
mod plan;
mod rows;
mod unfinished;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{BackupId, CommitId, Line, RecoveryTarget, Timestamp};
use crate::recovery::PlannedStep;
use crate::recovery::in_place::{ReplacedObject, Slot, Stage};
use crate::recovery::restore::ProofLevel;
use crate::terminal::message::ErrorMessage;

pub use outcome::{print_database, print_directory};
pub use plan::print_plan;
pub use rows::RowsPutBack;

/// The plan of a restore.
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
    /// Estimated seconds of the restore; null if there is no estimate.
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
    /// The commit of the database.
    pub commit: CommitId,
    /// The schema commit of the backup.
    pub backup_commit: CommitId,
    /// The name of the database.
    pub database: String,
    /// Bytes of the backup that were read.
    pub size_bytes: u64,
    /// Seconds that the restore took.
    pub duration_s: f64,
    /// The proof that the restored database is at its commit.
    pub proof: ProofOutput,
    /// The schema that the database was compared with, in words; null if it was not compared.
    pub schema_compared_with: Option<String>,
    /// The difference between the two schemas; null if there is none or they were not compared.
    pub schema_difference: Option<String>,
    /// Objects that were left out, with the messages of the server: they cannot be restored, or need objects
    /// that are not restored.
    pub left_out: Vec<String>,
    /// Properties of the original database that could not be set, each with the reason.
    pub not_set: Vec<String>,
    /// The reason why the commit is not recorded in the database, in words; null if it is.
    pub not_marked: Option<String>,
    /// The roles of the backup; null without `--globals`.
    pub roles: Option<RestoredRoles>,
}

/// The proof that a restored database is at its commit.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Proof")]
pub struct ProofOutput {
    /// The level.
    pub level: ProofLevel,
    /// The statement that is proved, or the reason why nothing is.
    pub text: String,
}

/// The roles of a backup that was restored.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RestoredRoles {
    /// The roles that were created.
    pub made: Vec<String>,
    /// The roles that existed already and were not changed.
    pub kept: Vec<String>,
    /// Statements that were left out, in words.
    pub left_out: Vec<String>,
}

/// A backup that was restored into a data directory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RestoredDirectory {
    /// The id of the backup.
    pub backup: BackupId,
    /// The commit of the cluster.
    pub commit: CommitId,
    /// The schema commit of the backup.
    pub backup_commit: CommitId,
    /// The ids of all backups of the restored backup chain, the full one first.
    pub backups: Vec<BackupId>,
    /// The path of the data directory.
    pub directory: String,
    /// The paths of the directories of tablespaces.
    pub tablespaces: Vec<String>,
    /// `off` if the cluster does not archive WAL, `preserve` if it archives as the backed up cluster.
    pub archive_mode: String,
    /// Bytes of the backup that were read.
    pub size_bytes: u64,
    /// The end of the WAL replay.
    pub until: RecoveryTarget,
    /// True if WAL has been replayed; false if the first start of the server does it.
    pub recovered: bool,
    /// The proof that the restored database is at its commit.
    pub proof: ProofOutput,
    /// The schema that the database was compared with, in words; null if it was not compared.
    pub schema_compared_with: Option<String>,
    /// The difference between the two schemas; null if there is none or they were not compared.
    pub schema_difference: Option<String>,
    /// The server that was started; null without `--start`, or if it did not start.
    pub server: Option<StartedServer>,
    /// Seconds that the restore took.
    pub duration_s: f64,
}

/// A server that was started on a restored data directory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StartedServer {
    /// The connection to it.
    pub url: String,
    /// The program that stops it, with its arguments.
    pub stop: Vec<String>,
    /// The system user that runs the server; null if it is the caller.
    pub user: Option<String>,
}

/// The unfinished in-place restores.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UnfinishedRestores {
    /// The restores.
    pub restores: Vec<RestoreStatusOutput>,
}

/// An unfinished in-place restore. It has either the positions of the old and the new one, or an error.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "UnfinishedRestore")]
pub struct RestoreStatusOutput {
    /// The id of the restore.
    pub id: String,
    /// The id of the backup.
    pub backup: BackupId,
    /// The commit that was restored.
    pub commit: CommitId,
    /// The start of the restore.
    pub begun_at: Timestamp,
    /// The database or directory that is replaced.
    pub place: ReplacedObject,
    /// The stage of the restore.
    pub stage: Stage,
    /// True if a process is running the restore.
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
    /// The reason why the positions are not known, in words; absent if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The place of a restore that was finished or undone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FinishedRestore {
    /// The place.
    pub place: ReplacedObject,
}

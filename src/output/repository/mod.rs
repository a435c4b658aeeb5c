//! Results of the commands for the ledger, the repository and WAL.

mod doctor;
mod fsck;
mod render;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{BackupId, BackupName, CommitId, DatabaseName, WalName};
use crate::ledger::transfer::ImportReport;
use crate::recovery::{ArchivedRange, WalCoverage};

pub use fsck::print_fsck;

/// The changes of the configuration of git.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InitOutput {
    /// True if the changes were made; false with `--check`.
    pub applied: bool,
    /// The changes; empty if nothing is missing.
    pub changes: Vec<InitChange>,
    /// Refspecs of remotes that would overwrite records.
    pub dangerous_refspecs: Vec<DangerousRefspec>,
}

/// A change of the configuration of git.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
#[schemars(inline)]
pub enum InitChange {
    /// A value is added.
    Add {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// A value is removed.
    Remove {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// A repository is created.
    Make {
        /// The directory.
        path: String,
    },
}

/// A refspec that would overwrite records.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DangerousRefspec {
    /// The remote.
    pub remote: String,
    /// The refspec.
    pub refspec: String,
    /// The command that removes the refspec; null if no file of this user or repository sets the refspec.
    pub remedy: Option<String>,
}

/// The records that were exchanged with a remote.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SyncOutput {
    /// The remote.
    pub remote: String,
    /// Schema commits whose records were fetched from the remote.
    pub fetched: Vec<CommitId>,
    /// Schema commits whose records had changed on both sides and were merged.
    pub merged: Vec<CommitId>,
    /// Schema commits whose records were pushed to the remote.
    pub pushed: Vec<CommitId>,
    /// The refs that were skipped.
    pub left_alone: Vec<LeftAloneRef>,
}

/// A ref that was skipped.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LeftAloneRef {
    /// The name of the ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The reason in words.
    pub reason: String,
    /// True if the other side has rewritten its history.
    pub rewritten: bool,
    /// True if the ref of the remote removes or alters events, or has implausible ones.
    pub refused: bool,
}

/// The result of a check of the ledger.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FsckOutput {
    /// True if no error was found; warnings may have been.
    pub ok: bool,
    /// The findings.
    pub findings: Vec<FsckFinding>,
    /// Number of refs that were checked.
    pub refs: usize,
    /// Number of commits that were checked.
    pub commits: usize,
    /// Number of records that were checked.
    pub records: usize,
    /// The refs and notes that `--repair` rewrote.
    pub repaired: RepairedLedger,
}

/// A fault of the ledger.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FsckFinding {
    /// The kind of the finding: a stable word.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// The ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The file in the tree of the ref; empty if the finding is about the whole ref.
    pub file: String,
    /// The commit of the ledger with the fault; null if the fault belongs to no commit.
    pub commit: Option<String>,
    /// The finding in words.
    pub message: String,
    /// The remedy, in words.
    pub remedy: String,
}

/// The refs and notes that a repair of the ledger rewrote.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RepairedLedger {
    /// The ids of the backups whose records were written.
    pub records: Vec<BackupId>,
    /// The schema commits whose notes were written.
    pub notes: Vec<CommitId>,
}

/// The records that were exported into a file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExportedLedger {
    /// Number of backups.
    pub backups: u64,
    /// Number of events.
    pub events: u64,
}

/// The records that were imported, or would be imported without `--dry-run`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ImportedLedger {
    /// The ids of backups that were new.
    pub new: Vec<BackupId>,
    /// The ids of backups that got further events.
    pub changed: Vec<BackupId>,
    /// Number of backups that did not change.
    pub unchanged: usize,
    /// Number of events that were added.
    pub events: usize,
    /// The missing schema commits of the skipped backups, by the id of the backup.
    pub skipped: BTreeMap<BackupId, CommitId>,
    /// True if nothing was written because of `--dry-run`.
    pub dry_run: bool,
}

impl ImportedLedger {
    /// Describes the result of an import. `dry_run` is true if nothing was written.
    pub fn of(imported: ImportReport, dry_run: bool) -> Self {
        let ImportReport { new, changed, unchanged, events, skipped } = imported;
        Self {
            new: new.into_iter().collect(),
            changed: changed.into_iter().collect(),
            unchanged,
            events,
            skipped,
            dry_run,
        }
    }
}

/// The records that were rebuilt from a store, or would be rebuilt without `--dry-run`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RebuiltLedger {
    /// The records.
    #[serde(flatten)]
    pub imported: ImportedLedger,
    /// Number of artifacts that have no copy of their record.
    pub without_record: usize,
}

/// Maintenance that was not due.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NoMaintenance {
    /// Always false.
    pub due: bool,
}

/// Maintenance that was done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MaintenanceDone {
    /// Always true.
    pub due: bool,
    /// Number of refs that were packed.
    pub packed_refs: usize,
    /// The index of the records.
    pub index: IndexOutput,
}

/// The index of the records.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IndexOutput {
    /// Number of backups in the index.
    pub backups: usize,
    /// Number of refs that were read again.
    pub stale_refs: usize,
    /// True if the index was written; false if it was up to date or could not be written.
    pub written: bool,
}

/// The result of a check of the repository, the databases and the programs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DoctorOutput {
    /// True if no problem was found; warnings may have been.
    pub ok: bool,
    /// The checks in order.
    pub checks: Vec<DoctorCheck>,
}

/// A check and its result.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DoctorCheck {
    /// The subject of the check.
    pub check: String,
    /// The configured database; null if the check is not about a database.
    pub database: Option<DatabaseName>,
    /// `ok`, `warning` or `problem`.
    pub status: String,
    /// The result in words.
    pub message: String,
    /// Commands or advice; empty if there is nothing to do.
    pub remedies: Vec<String>,
}

/// A WAL segment or another WAL file that was archived.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PushedWal {
    /// The name of the file.
    pub name: WalName,
    /// The system identifier of the cluster.
    pub system_identifier: String,
    /// True if the file is new; false if the archive had it already.
    pub new: bool,
    /// Number of files that were archived together, including this one.
    pub batch: usize,
}

/// The WAL archive of a cluster.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WalCheck {
    /// The system identifier of the cluster.
    pub system_identifier: String,
    /// Size of a WAL segment, in bytes.
    pub segment_bytes: u64,
    /// The ranges of WAL segments without a gap.
    pub runs: Vec<ArchivedRange>,
    /// The backups of the cluster.
    pub backups: Vec<WalBackup>,
}

/// A backup and the range to which it can be recovered.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WalBackup {
    /// The id of the backup.
    pub backup: BackupId,
    /// The name of the backup.
    pub name: BackupName,
    /// The end of the archived WAL; null if unknown.
    pub reach: Option<WalCoverage>,
}

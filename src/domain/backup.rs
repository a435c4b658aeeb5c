//! The record of one backup, as the state that its events give.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    BackupId, BackupName, CommitId, DatabaseName, Dependency, Digest, EventId, Line, Location, Lsn, Metadata,
    Owner, TagKey, Timestamp, named_enum::named_enum,
};

named_enum! {
    /// The state of a backup.
    Status("status") {
        /// The backup is registered; the bytes are not complete.
        InProgress = "in_progress",
        /// All bytes are durable.
        Completed = "completed",
        /// The attempt ended without a usable backup.
        Failed = "failed",
        /// Policy expired the backup; the bytes may still exist.
        Expired = "expired",
        /// The bytes were deleted.
        Deleted = "deleted",
    }
}

named_enum! {
    /// The type of a backup.
    BackupType("backup type") {
        /// All data; depends on no other backup.
        Full = "full",
        /// The changes since the previous backup of any type.
        Incremental = "incremental",
        /// The changes since a full backup.
        Differential = "differential",
        /// A snapshot of a file system, a volume or a cloud; depends on no other backup.
        Snapshot = "snapshot",
    }
}

named_enum! {
    /// The kind of a verification.
    VerificationKind("verification kind") {
        /// The checksums of the stored bytes match.
        Checksum = "checksum",
        /// The parts of the backup are complete, and the backup tool can read them.
        IntegrityCheck = "integrity_check",
        /// The backup was restored into a scratch cluster and queried.
        RestoreTest = "restore_test",
    }
}

named_enum! {
    /// The verdict of a verification.
    VerificationStatus("verification status") {
        /// The backup is usable.
        Passed = "passed",
        /// The backup is not usable.
        Failed = "failed",
        /// The backup is usable, but a finding needs attention.
        Warning = "warning",
    }
}

named_enum! {
    /// The relation of a restored database or directory to an existing one.
    RestoreMode("restore mode") {
        /// A clone: a new database or directory; no existing one changes.
        Clone = "clone",
        /// An in-place restore: the existing database or directory is replaced.
        Disaster = "disaster",
    }
}

/// The backup tool that wrote the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// The name of the tool: `pg_dump`, `pgbackrest`, ...
    pub name: Line,
    /// The version as the tool prints it; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Line>,
}

/// The encryption of the bytes. It names the key and never contains the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Encryption {
    /// The name of the key or of the recipient.
    pub key_id: Line,
}

/// A stored part of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// The name of the artifact within the location.
    pub name: Line,
    /// Size of the content, in bytes.
    pub size_bytes: u64,
    /// Size in the store, in bytes.
    pub stored_bytes: u64,
    /// The digest of the content before compression and encryption.
    pub digest: Digest,
}

/// The server and the database at the time of the backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Postgres {
    /// The version of the server: `15.18`; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Line>,
    /// The system identifier of the cluster, as text because it exceeds 53 bits; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<Line>,
    /// The timeline; absent if the backup is not a physical backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<u32>,
    /// The LSN at which the WAL of the backup begins; absent if the backup is not a physical backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_lsn: Option<Lsn>,
    /// The LSN at which recovery becomes consistent; absent if the backup is not a physical backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_lsn: Option<Lsn>,
    /// The name of the database in the cluster; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dbname: Option<String>,
    /// Size of the database or cluster on the server, in bytes; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The character set encoding of the database; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Line>,
    /// `LC_COLLATE` of the database; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collate: Option<Line>,
    /// `LC_CTYPE` of the database; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctype: Option<Line>,
    /// The locale provider: `libc`, `icu` or `builtin`; absent before PostgreSQL 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale_provider: Option<Line>,
    /// The locale of the provider `icu` or `builtin`; absent for `libc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Line>,
    /// The collation rules of the provider `icu`; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icu_rules: Option<String>,
    /// `lc_monetary`: the locale of values of type `money` in a dump of the database; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lc_monetary: Option<Line>,
    /// Settings of the database that may influence migrations; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
}

/// A setting of a database for its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// The role that the setting is limited to; absent if the setting is for all roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The name of the parameter.
    pub name: String,
    /// The value, as the server stores it.
    pub value: String,
}

/// A hold of a backup. Policy does not expire a held backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hold {
    /// The event that set the hold; a release names this event.
    pub id: EventId,
    /// The reason.
    pub reason: Line,
    /// The time at which the hold was set.
    pub at: Timestamp,
    /// The person or program that set the hold.
    pub by: Line,
}

/// A verification and its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// The event that recorded the verification.
    pub id: EventId,
    /// The kind of the verification.
    pub kind: VerificationKind,
    /// The verdict.
    pub status: VerificationStatus,
    /// The time of the verification.
    pub at: Timestamp,
    /// The person or program that verified the backup.
    pub by: Line,
    /// The evidence; absent if there is none.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub details: Metadata,
}

/// A restore that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restoration {
    /// The event that recorded the restore.
    pub id: EventId,
    /// The mode: a clone, or an in-place restore.
    pub mode: RestoreMode,
    /// The restored database or directory.
    pub target: Location,
    /// The commit of the restored database or directory.
    pub commit: CommitId,
    /// The time of the restore.
    pub at: Timestamp,
    /// The person or program that restored the backup.
    pub by: Line,
    /// The machine on which the restore ran.
    pub host: Line,
    /// The evidence; absent if there is none.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub details: Metadata,
}

/// The reason why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The kind of the failure, a stable name in kebab case: `interrupted`, ...
    pub code: Line,
    /// The failure in words: the error message of the tool if there was one.
    pub message: String,
}

/// The running attempt, or the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The number of the attempt; 1 for the first.
    pub number: u32,
    /// The process that runs the attempt; absent if it is not a process of this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// A backup. The names of the fields are those of the record file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backup {
    /// The id of the backup.
    pub id: BackupId,
    /// The name of the backup, for people; not necessarily unique.
    pub name: BackupName,
    /// The configured database.
    pub database: DatabaseName,
    /// The schema commit.
    pub commit: CommitId,
    /// The branch that the backup was made for; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<Line>,
    /// The type of the backup.
    #[serde(rename = "type")]
    pub kind: BackupType,
    /// The tool that made the backup.
    pub tool: Tool,
    /// The state of the backup.
    pub status: Status,
    /// The running attempt, or the last one; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// The location of the bytes; absent until the backup is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// The id of the store that has the bytes; absent if it is not a store of this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<Line>,
    /// Size of the content, in bytes; absent until the backup is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Size in the store, in bytes; absent until the backup is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
    /// The compression: `zstd:3`, `gzip`, `none`; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Line>,
    /// The encryption; absent if the backup is not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// The digest of the content of the main artifact; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The artifacts of the backup; absent until the backup is completed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// The dependencies: the backups that a restore of this backup needs; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// The time of the registration.
    pub registered_at: Timestamp,
    /// The start of the last attempt; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// The time of the completion; absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// The time from which policy may expire the backup; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The person or program that registered the backup.
    pub created_by: Line,
    /// The machine on which the backup was registered.
    pub host: Line,
    /// The server and the database at the time of the backup; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,
    /// The tags by key; the value is empty if a tag has none. Absent if there are no tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<TagKey, Line>,
    /// The holds of the backup; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    /// The verifications, oldest first; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verifications: Vec<Verification>,
    /// The restores, oldest first; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<Restoration>,
    /// The reason why the last attempt failed; absent if the attempt did not fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Further facts; absent if there are none.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

impl Backup {
    /// Returns the backup that this one directly depends on.
    pub fn parent(&self) -> Option<BackupId> {
        self.depends_on.first().map(|dependency| dependency.id)
    }

    /// Returns true if the backup was verified and the latest verification of each kind passed.
    pub fn is_verified(&self) -> bool {
        let mut latest: BTreeMap<VerificationKind, VerificationStatus> = BTreeMap::new();
        for verification in &self.verifications {
            latest.insert(verification.kind, verification.status);
        }
        !latest.is_empty() && latest.values().all(|status| *status != VerificationStatus::Failed)
    }

    /// Returns the tags on one line: `pinned,release=2.0`.
    pub fn tags_line(&self) -> String {
        let one = |(key, value): (&TagKey, &Line)| match value.as_str() {
            "" => key.to_string(),
            value => format!("{key}={value}"),
        };
        self.tags.iter().map(one).collect::<Vec<_>>().join(",")
    }
}

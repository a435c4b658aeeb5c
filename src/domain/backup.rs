//! The record of one backup, as the state that its events give.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    BackupId, BackupName, CommitId, DatabaseName, Dependency, Digest, EventId, Line, Location, Lsn, Metadata,
    Owner, TagKey, Timestamp, named_enum::named_enum,
};

named_enum! {
    /// How far a backup has come in its life.
    Status("status") {
        /// Registered; its bytes are not complete.
        InProgress = "in_progress",
        /// All bytes are durable.
        Completed = "completed",
        /// The attempt ended without a usable backup.
        Failed = "failed",
        /// Policy ended its life; the bytes may still be there.
        Expired = "expired",
        /// The bytes are gone.
        Deleted = "deleted",
    }
}

named_enum! {
    /// The type of a backup.
    BackupType("backup type") {
        /// Everything; needs no other backup.
        Full = "full",
        /// The changes since the previous backup of any type.
        Incremental = "incremental",
        /// The changes since a full backup.
        Differential = "differential",
        /// A copy made by a file system, a volume or a cloud; needs no other.
        Snapshot = "snapshot",
    }
}

named_enum! {
    /// How a backup was verified.
    VerificationKind("verification kind") {
        /// Its bytes are those that were written.
        Checksum = "checksum",
        /// Its parts are complete and readable by its tool.
        IntegrityCheck = "integrity_check",
        /// It was restored into a scratch cluster and queried.
        RestoreTest = "restore_test",
    }
}

named_enum! {
    /// The verdict of a verification.
    VerificationStatus("verification status") {
        /// It can be relied on.
        Passed = "passed",
        /// It cannot be relied on.
        Failed = "failed",
        /// It can be relied on, and there is something to look at.
        Warning = "warning",
    }
}

named_enum! {
    /// The relation of a restored database or directory to an existing one.
    RestoreMode("restore mode") {
        /// Something new, beside everything that is there.
        Clone = "clone",
        /// In the place of what was there.
        Disaster = "disaster",
    }
}

/// The program that made the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// `pg_dump`, `pgbackrest`, ...
    pub name: Line,
    /// Its own version text; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Line>,
}

/// That the bytes are encrypted, and with which key; never the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Encryption {
    /// Name of the key or of the recipient.
    pub key_id: Line,
}

/// One stored piece of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// Its name within the location.
    pub name: Line,
    /// Bytes of its content.
    pub size_bytes: u64,
    /// Bytes that it takes in the store.
    pub stored_bytes: u64,
    /// Digest of its content, uncompressed and not encrypted.
    pub digest: Digest,
}

/// The server that was backed up, as it was then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Postgres {
    /// The server's version: `15.18`; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Line>,
    /// System identifier of the cluster; text, as it exceeds 53 bits. Absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<Line>,
    /// Timeline; absent if it is not a physical backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<u32>,
    /// LSN at which the backup begins in the WAL; absent if it is no copy of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_lsn: Option<Lsn>,
    /// LSN at which recovery becomes consistent; absent if it is no copy of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_lsn: Option<Lsn>,
    /// Name of the database in its cluster; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dbname: Option<String>,
    /// Bytes of the database or cluster in the server; absent if they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Character set encoding of the database; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Line>,
    /// `LC_COLLATE` of the database; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collate: Option<Line>,
    /// `LC_CTYPE` of the database; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctype: Option<Line>,
    /// `libc`, `icu` or `builtin`; absent before PostgreSQL 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale_provider: Option<Line>,
    /// The locale of the provider `icu` or `builtin`; absent for `libc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Line>,
    /// Collation rules of the provider `icu`; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icu_rules: Option<String>,
    /// The locale of the amounts of type money in a dump of the database; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lc_monetary: Option<Line>,
    /// Settings of the database that may influence migrations; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
}

/// A setting of a database for its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// The role that the setting is limited to; absent if it is for all roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The name of the parameter.
    pub name: String,
    /// The value, as the server stores it.
    pub value: String,
}

/// Somebody asked that this backup is kept whatever policy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hold {
    /// The event that set it; a release names it.
    pub id: EventId,
    /// Why.
    pub reason: Line,
    /// Since when.
    pub at: Timestamp,
    /// The person or program.
    pub by: Line,
}

/// One verification and its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// The event that recorded it.
    pub id: EventId,
    /// How it was verified.
    pub kind: VerificationKind,
    /// The verdict.
    pub status: VerificationStatus,
    /// When.
    pub at: Timestamp,
    /// The person or program.
    pub by: Line,
    /// Evidence; absent if there is none.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub details: Metadata,
}

/// One restore that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restoration {
    /// The event that recorded it.
    pub id: EventId,
    /// Beside what was there, or in its place.
    pub mode: RestoreMode,
    /// The database or directory that it became.
    pub target: Location,
    /// The commit that this is at.
    pub commit: CommitId,
    /// When it was done.
    pub at: Timestamp,
    /// The person or program.
    pub by: Line,
    /// On which machine.
    pub host: Line,
    /// Evidence; absent if there is none.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub details: Metadata,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Stable kebab-case name of the kind of failure: `interrupted`, ...
    pub code: Line,
    /// In words; those of the tool where it had some.
    pub message: String,
}

/// The attempt under way, or the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// The process that works on it; absent if it is none of this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// One backup. Field names are those of the record file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backup {
    /// Its id.
    pub id: BackupId,
    /// Its name, for people; need not be unique.
    pub name: BackupName,
    /// The configured database.
    pub database: DatabaseName,
    /// The schema commit.
    pub commit: CommitId,
    /// The branch it was made for; absent if it was made for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<Line>,
    /// The type.
    #[serde(rename = "type")]
    pub kind: BackupType,
    /// The tool that made it.
    pub tool: Tool,
    /// How far it has come.
    pub status: Status,
    /// The attempt under way, or the last one; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// The place of the bytes; absent until they are complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// The id of the store that has the bytes; absent if it is no store of this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<Line>,
    /// Bytes of the content; absent until they are complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Bytes that it takes in the store; absent until they are complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
    /// The compression: `zstd:3`, `gzip`, `none`. Absent if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Line>,
    /// The encryption; absent if it is not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Digest of the main artifact's content; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// All stored pieces; absent until they are complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// The backups without which it cannot be restored; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When the last attempt began; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was complete; absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// When policy may end its life; absent if it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The person or program that registered it.
    pub created_by: Line,
    /// On which machine.
    pub host: Line,
    /// The server, as it was then; absent if nothing is known about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,
    /// Tags, with an empty value where they have none; absent if there are none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<TagKey, Line>,
    /// Reasons to keep it; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    /// The verifications, oldest first; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verifications: Vec<Verification>,
    /// The restores, oldest first; absent if it was not restored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<Restoration>,
    /// Why the last attempt failed; absent if it did not.
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

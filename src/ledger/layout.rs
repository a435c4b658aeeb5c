//! The names of refs and files of the ledger.

use crate::domain::{BackupId, CommitId};

/// The prefix of the ledger refs. The rest of the name is the id of the schema commit.
pub const REFS_PREFIX: &str = "refs/backups/";
/// The notes ref of the backups, shown by plain `git log`.
pub const NOTES_REF: &str = "refs/notes/backups";
/// The prefix of the tracking refs, which have the last fetched state of each remote.
pub(super) const TRACKING_PREFIX: &str = "refs/pggit/remotes/";
/// The directory of the record files in the tree of a ledger commit.
pub(super) const DIRECTORY: &str = ".pggit";

/// Returns the name of the ledger ref of a schema commit.
pub(super) fn ref_name(commit: &CommitId) -> String {
    format!("{REFS_PREFIX}{commit}")
}

/// Returns the path of the record file of a backup.
pub(super) fn record_path(id: BackupId) -> String {
    format!("{DIRECTORY}/{id}.json")
}

/// Returns the path of the schema that was recorded with a backup.
pub(super) fn schema_path(id: BackupId) -> String {
    format!("{DIRECTORY}/{id}.sql")
}

/// Returns the backup whose schema is in the file `name`, if `name` is a schema file.
pub(super) fn schema_of(name: &str) -> Option<BackupId> {
    name.strip_suffix(".sql")?.parse().ok()
}

/// Returns the backup whose record is in the file `name`, if `name` is a record file.
pub(super) fn record_of(name: &str) -> Option<BackupId> {
    name.strip_suffix(".json")?.parse().ok()
}

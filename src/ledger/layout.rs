//! Where things are in the repository.

use crate::domain::{BackupId, CommitId};

/// Below it one ref per schema commit, named by it.
pub const REFS_PREFIX: &str = "refs/backups/";
/// The notes that plain `git log` shows.
pub const NOTES_REF: &str = "refs/notes/backups";
/// Below it, by remote, what was last fetched.
pub(super) const TRACKING_PREFIX: &str = "refs/pggit/remotes/";
/// The directory of the records in the tree of a ledger commit.
pub(super) const DIRECTORY: &str = ".pggit";

/// The ref of a schema commit.
pub(super) fn ref_name(commit: &CommitId) -> String {
    format!("{REFS_PREFIX}{commit}")
}

/// The record file of a backup.
pub(super) fn record_path(id: BackupId) -> String {
    format!("{DIRECTORY}/{id}.json")
}

/// The schema of the database as it was backed up.
pub(super) fn schema_path(id: BackupId) -> String {
    format!("{DIRECTORY}/{id}.sql")
}

/// The backup whose schema is in the file `name`.
pub(super) fn schema_of(name: &str) -> Option<BackupId> {
    name.strip_suffix(".sql")?.parse().ok()
}

/// The backup whose record is in the file `name`.
pub(super) fn record_of(name: &str) -> Option<BackupId> {
    name.strip_suffix(".json")?.parse().ok()
}

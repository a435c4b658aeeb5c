//! The migrations between the commit of a backup and the wanted commit. Pure functions.

use std::collections::BTreeMap;

use super::unsupported::{UnsupportedFile, listed, named};
use crate::domain::CommitId;
use crate::migrations::{Tool, compare_versions};

/// The suffixes of files that undo a migration, in the tools that have such files.
const BACKWARDS: [&str; 2] = [".down.sql", ".undo.sql"];

/// The reason why the migrations of one commit do not lead to those of another commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MigrationConflict {
    /// A migration of the backup was changed afterwards.
    #[error("migration {0} was changed after the backup: running the others would not give the same schema")]
    Changed(String),
    /// A migration of the backup is missing in the wanted commit.
    #[error("migration {0} is in the backup, but not in the wanted commit")]
    Removed(String),
    /// A program would have to migrate backwards.
    #[error("commit {} of the backup is not in the history of {}", from.short(), commit.short())]
    NotAncestor {
        /// The commit of the backup.
        from: CommitId,
        /// The wanted commit.
        commit: CommitId,
    },
    /// Files differ that this program cannot run.
    #[error("{}", named(.0))]
    UnsupportedFile(Vec<UnsupportedFile>),
    /// A new migration has a lower version than one of the backup.
    #[error("{path} comes before a migration of the backup, and {tool} does not run it any more")]
    OutOfOrder {
        /// The path of the migration.
        path: String,
        /// The migration tool.
        tool: Tool,
    },
    /// The pending migrations are programs, or the tool has to run them itself.
    #[error("{path} has to be run, and only {tool} itself runs its migrations")]
    OnlyByTool {
        /// The path of the first pending migration.
        path: String,
        /// The migration tool.
        tool: Tool,
    },
    /// The files fit several tools or directories.
    #[error("{0}")]
    Ambiguous(String),
    /// The applied migrations of the backup were not those of its commit.
    #[error("according to {tool}, the database was not at commit {} when it was backed up", commit.short())]
    NotAtCommit {
        /// The migration tool.
        tool: Tool,
        /// The commit of the backup.
        commit: CommitId,
    },
    /// The migrations may be in several directories, whose order is not known.
    #[error(
        "the migrations are configured to be in several directories, and only those of one directory are run"
    )]
    SeveralDirectories,
    /// One of the commits has no migrations directory, and files that count as schema differ.
    #[error("the directory {directory}/ is missing in at least one of the two commits, and the schema differs: {}", listed(differ.iter()))]
    NoDirectory {
        /// The migrations directory.
        directory: String,
        /// The files that count as schema and differ.
        differ: Vec<String>,
    },
    /// There is no schema to compare the result with.
    #[error("the schema of commit {} is unknown: no backup of the commit has recorded it, and {}", commit.short(), unknown(unfit))]
    NoProof {
        /// The wanted commit.
        commit: CommitId,
        /// The files that prevent building the schema in an empty database.
        unfit: Vec<UnsupportedFile>,
    },
}

fn unknown(unfit: &[UnsupportedFile]) -> String {
    match unfit {
        [] => "it has no migrations".to_owned(),
        unfit => named(unfit),
    }
}

/// Returns true if a file of the migrations directory is a migration to run.
pub(super) fn is_migration(name: &str) -> bool {
    name.ends_with(".sql") && !is_undo(name)
}

/// Returns true if the file is the part of a pair that undoes a migration.
pub(super) fn is_undo(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    BACKWARDS.iter().any(|suffix| name.ends_with(suffix))
}

/// Returns the names of the migrations that `new` has and `old` lacks, in the order of execution. The
/// order is that of the names, with numbers compared by value. Files are identified by `K`, the id of
/// their content.
pub(super) fn pending<K: PartialEq>(
    old: &BTreeMap<String, K>,
    new: &BTreeMap<String, K>,
) -> Result<Vec<String>, MigrationConflict> {
    for (name, content) in old.iter().filter(|(name, _)| is_migration(name)) {
        match new.get(name) {
            None => return Err(MigrationConflict::Removed(name.clone())),
            Some(other) if other != content => return Err(MigrationConflict::Changed(name.clone())),
            Some(_) => {}
        }
    }
    let mut names: Vec<String> =
        new.keys().filter(|name| is_migration(name) && !old.contains_key(*name)).cloned().collect();
    names.sort_by(|a, b| compare_versions(a, b));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[(&str, u32)]) -> BTreeMap<String, u32> {
        names.iter().map(|(name, content)| ((*name).to_owned(), *content)).collect()
    }

    #[test]
    fn what_is_new_runs_in_the_order_of_numbers() {
        let old = files(&[("V1__a.sql", 1), ("README.md", 1)]);
        let new = files(&[
            ("V1__a.sql", 1),
            ("V10__c.sql", 3),
            ("V2__b.sql", 2),
            ("V2__b.down.sql", 2),
            ("README.md", 2),
            ("V002__bb.sql", 2),
        ]);
        assert_eq!(pending(&old, &new).unwrap(), ["V2__b.sql", "V002__bb.sql", "V10__c.sql"]);
        assert_eq!(pending(&new, &new).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_was_changed_or_removed_leads_nowhere() {
        let old = files(&[("1.sql", 1), ("2.sql", 2)]);
        assert_eq!(pending(&old, &files(&[("1.sql", 1)])), Err(MigrationConflict::Removed("2.sql".into())));
        assert_eq!(
            pending(&old, &files(&[("1.sql", 9), ("2.sql", 2)])),
            Err(MigrationConflict::Changed("1.sql".into()))
        );
    }
}

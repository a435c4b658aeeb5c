//! The migrations of a commit.

use crate::domain::named_enum;

named_enum! {
    /// The purpose of a migration.
    Kind("kind of migration") {
        /// It runs once.
        Versioned = "versioned",
        /// It runs again whenever its file changes.
        Repeatable = "repeatable",
        /// It stands for all migrations up to its version.
        Baseline = "baseline",
        /// It undoes a versioned migration.
        Undo = "undo",
        /// It is a program.
        Code = "code",
    }
}

/// A migration of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationFile {
    /// The version by which the tool orders and records it; empty for repeatable migrations.
    pub version: String,
    /// The name by which people know it, and by which some tools record it.
    pub name: String,
    /// The purpose.
    pub kind: Kind,
    /// The path of its file in the repository.
    pub path: String,
    /// The checksums that the tool accepts for its content. Empty if the tool stores none, or if the
    /// content was not read.
    pub checksums: Vec<String>,
    /// The versions of the migrations that it follows, if the tool orders them by a graph.
    pub after: Vec<String>,
}

/// A file that prevents statements about the migrations of a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Problem {
    /// The path in the repository.
    pub path: String,
    /// The reason.
    pub reason: String,
}

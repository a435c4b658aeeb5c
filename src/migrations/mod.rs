//! Migration histories: the migrations of a commit as its migration tool sees them, and their comparison
//! with the migrations that a database says are applied.
//!
//! Pure functions over paths and bytes. [`detect`] finds the tool of a commit, [`History::of`] lists its
//! migrations, [`StateTable`] knows where each tool records what it has applied, and [`compare`] brings
//! the two together. A file that looks like a migration and is not understood is a [`Problem`]: what
//! claims something about another commit is refused then.

mod checksum;
mod compare;
mod history;
mod layout;
mod names;
mod section;
mod state;
mod tool;
mod version;

use std::collections::BTreeMap;

pub use compare::{Comparison, MigrationState, State, compare};
pub use history::{History, Kind, Migration, Problem};
pub use layout::{Ambiguous, Layout, Read, Wanted, detect};
pub use section::{Forward, forward, unreadable};
pub use state::{Applied, AppliedMigration, STATE_TABLES, StateTable, Table};
pub use tool::Tool;
pub use version::{compare_versions, normal_version};

/// The kind of an entry of a tree that is not a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A submodule.
    Submodule,
}

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The kind.
    pub kind: FileKind,
    /// The id of its content.
    pub content: String,
}

/// The files of a commit by their paths from the root.
pub type Files = BTreeMap<String, File>;

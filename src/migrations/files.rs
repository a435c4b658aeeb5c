//! The files of a commit.

use std::collections::BTreeMap;

/// The kind of an entry of a tree that is not a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
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
    pub kind: EntryKind,
    /// The id of its content.
    pub content: String,
}

/// The files of a commit by their paths from the root.
pub type Files = BTreeMap<String, File>;

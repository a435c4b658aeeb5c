//! The files of a commit.

use std::collections::BTreeMap;

use crate::git::EntryKind;

/// The files of a commit by their paths from the root.
pub type Files = BTreeMap<String, EntryKind>;

/// Returns true if the file is no migration, and its content cannot change the schema.
pub fn is_note(name: &str) -> bool {
    const NAMES: [&str; 7] =
        [".gitkeep", ".keep", ".gitignore", ".gitattributes", ".editorconfig", "atlas.sum", "readme"];
    let lower = name.to_ascii_lowercase();
    NAMES.contains(&lower.as_str()) || lower.ends_with(".md")
}

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

/// Returns the path of a file in a directory of the repository; empty for the root.
pub fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Returns the path relative to a directory that contains it, directly or not; `None` for other paths.
pub fn relative_to<'a>(directory: &str, path: &'a str) -> Option<&'a str> {
    if directory.is_empty() { Some(path) } else { path.strip_prefix(directory)?.strip_prefix('/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_does_not_contain_one_with_a_longer_name() {
        assert_eq!(relative_to("db/m", "db/m/1.sql"), Some("1.sql"));
        assert_eq!(relative_to("db/m", "db/m2/1.sql"), None);
        assert_eq!(relative_to("db/m", "db/m"), None);
        assert_eq!(relative_to("", "1.sql"), Some("1.sql"));
    }
}

//! The metadata of a directory: its subdirectories and permissions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The name of the artifact that describes [`super::DIRECTORY`].
pub const TREE: &str = "base.tree.json";
/// The version of the format.
const FORMAT: u32 = 1;
/// The default mode of files in a data directory. Only files with another mode are listed.
const FILE_MODE: u32 = 0o600;

/// The directories and permissions of a data directory. Paths are relative to the data directory,
/// and encoded as the names of the files in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    format: u32,
    /// Every directory with its permissions, in octal. Empty directories are listed only here.
    pub directories: BTreeMap<String, String>,
    /// Files whose permissions are not 0600.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { format: FORMAT, directories: BTreeMap::new(), files: BTreeMap::new() }
    }
}

impl Tree {
    pub(super) fn directory(&mut self, path: &str, mode: u32) {
        self.directories.insert(path.to_owned(), octal(mode));
    }

    pub(super) fn file(&mut self, path: &str, mode: u32) {
        if mode & 0o7777 != FILE_MODE {
            self.files.insert(path.to_owned(), octal(mode));
        }
    }

    /// Parses a tree. Returns `None` if it is invalid or has an unknown format version.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let tree: Self = serde_json::from_slice(text).ok()?;
        let mut paths = tree.directories.keys().chain(tree.files.keys());
        (tree.format == FORMAT && paths.all(|path| is_below(path))).then_some(tree)
    }

    /// Returns the mode for `octal`, limited to the permissions that a data directory may have, and
    /// with at least the permissions in `least`.
    pub fn mode(octal: &str, least: u32) -> u32 {
        u32::from_str_radix(octal, 8).unwrap_or(least) & 0o750 | least
    }
}

fn octal(mode: u32) -> String {
    format!("{:04o}", mode & 0o7777)
}

/// Returns true if `path` is a relative path that leads to an entry inside a directory.
pub fn is_below(path: &str) -> bool {
    !path.is_empty() && !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Returns the name under which a store keeps a path. Special bytes become `%` and two hexadecimal
/// digits.
pub(super) fn stored_name(path: &[u8]) -> String {
    let plain =
        std::str::from_utf8(path).ok().filter(|text| !text.chars().any(|c| c.is_control() || c == '%'));
    match plain {
        Some(text) => text.to_owned(),
        None => path
            .iter()
            .map(|byte| match byte {
                b' '..=b'~' if *byte != b'%' => char::from(*byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect(),
    }
}

/// Returns the path for such a name, or `None` if the name is invalid.
pub fn real_path(name: &str) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'%' {
            path.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(more.get(..2)?).ok()?;
        path.push(u8::from_str_radix(digits, 16).ok().filter(|byte| !matches!(byte, 0 | b'/'))?);
        rest = &more[2..];
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tree_that_leads_elsewhere_is_none() {
        let mut tree = Tree::default();
        tree.directory("base/1", 0o40700);
        tree.file("postgresql.conf", 0o100_644);
        tree.file("PG_VERSION", 0o600);
        let text = serde_json::to_vec(&tree).unwrap();
        assert_eq!(Tree::parse(&text), Some(tree.clone()));
        assert_eq!((tree.files.len(), Tree::mode(&tree.directories["base/1"], 0o700)), (1, 0o700));
        for bad in ["../x", "/etc", "a//b", "a/./b", "", "a/.."] {
            let mut tree = tree.clone();
            tree.files.insert(bad.to_owned(), "0600".to_owned());
            assert_eq!(Tree::parse(&serde_json::to_vec(&tree).unwrap()), None, "{bad}");
        }
        assert_eq!(Tree::parse(&text[..text.len() - 1]), None);
        assert_eq!((Tree::mode("7777", 0o700), Tree::mode("0", 0o600)), (0o750, 0o600));
    }

    proptest! {
        #[test]
        fn every_path_comes_back(path in proptest::collection::vec(1_u8.., 0..30)) {
            let name = stored_name(&path);
            prop_assert!(!name.chars().any(char::is_control));
            if !path.contains(&b'/') {
                prop_assert_eq!(real_path(&name), Some(path));
            }
        }
    }
}

//! The files of a layout, and the migrations that are found in them.

use super::content::text_of;
use super::files::{Files, is_note};
use super::layout::{Layout, Read};
use super::migration::{Kind, MigrationFile, Problem};
use crate::git::EntryKind;

/// The migrations of a layout, in no order, and the files that are not understood.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub migrations: Vec<MigrationFile>,
    pub problems: Vec<Problem>,
}

impl Named {
    pub(super) fn add(&mut self, path: &str, file: EntryKind, version: &str, name: &str, kind: Kind) {
        match file {
            EntryKind::Submodule => return self.problem(path, "it is a submodule"),
            EntryKind::Symlink => return self.problem(path, "it is a symbolic link"),
            EntryKind::File => {}
        }
        self.migrations.push(MigrationFile {
            version: version.to_owned(),
            name: name.to_owned(),
            kind,
            path: path.to_owned(),
            checksums: Vec::new(),
            after: Vec::new(),
        });
    }

    pub(super) fn problem(&mut self, path: &str, reason: impl Into<String>) {
        self.problems.push(Problem { path: path.to_owned(), reason: reason.into() });
    }
}

/// A file of the layout.
pub(super) struct LayoutFile<'a> {
    pub path: &'a str,
    /// The path below the directory of the layout.
    pub relative: &'a str,
    pub file: EntryKind,
}

/// Returns the files below the directory of a layout.
pub(super) fn below<'a>(layout: &Layout, files: &'a Files) -> Vec<LayoutFile<'a>> {
    let prefix = if layout.directory.is_empty() { String::new() } else { format!("{}/", layout.directory) };
    let entry = |(path, file): (&'a String, &'a EntryKind)| {
        let relative = path.strip_prefix(&prefix)?;
        Some(LayoutFile { path, relative, file: *file })
    };
    // All paths begin with the prefix of the root, which is empty.
    let of_directory = files.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
    of_directory.filter_map(entry).collect()
}

/// Returns true if the file is a note, or one of the tool that is no migration.
pub(super) fn is_skipped(relative: &str) -> bool {
    let name = file_name(relative);
    is_note(name) || matches!(name, "migration_lock.toml" | "tern.conf")
}

pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Reads a text file of the commit.
pub(super) fn read_text(path: &str, read: Read<'_>) -> Result<String, String> {
    let content = read(path)?;
    text_of(&content).map(str::to_owned)
}

//! Reads and compares trees with all of their entries.

use std::collections::BTreeMap;

use super::{Error, Oid, Repository};

/// An entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeEntry {
    /// The mode, as git stores it: `0o100644`, `0o40000`, ...
    pub mode: u16,
    /// The object id.
    pub id: Oid,
}

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

impl TreeEntry {
    /// Returns the kind of the entry, which is not a directory.
    pub fn kind(&self) -> EntryKind {
        match self.mode {
            0o120_000 => EntryKind::Symlink,
            0o160_000 => EntryKind::Submodule,
            _ => EntryKind::File,
        }
    }

    /// Returns true if the entry is a directory.
    pub fn is_tree(&self) -> bool {
        self.mode == 0o40000
    }

    /// Returns true if the entry is a regular file that is not executable.
    pub fn is_file(&self) -> bool {
        self.mode == 0o100_644
    }
}

/// The entries of one directory by name.
pub type Directory = BTreeMap<String, TreeEntry>;

impl Repository {
    /// Reads the entries of the directory `tree`. Fails if it cannot be read.
    pub fn directory(&self, tree: Oid) -> Result<Directory, Error> {
        let entries = self.tree(tree)?.entries.into_iter();
        Ok(entries
            .map(|entry| {
                let found = TreeEntry { mode: entry.mode.value(), id: Oid(entry.oid) };
                (entry.filename.to_string(), found)
            })
            .collect())
    }

    /// Returns the directory `path` of commit `commit`, if there is one. Fails if an object cannot be read.
    pub fn directory_at(&self, commit: Oid, path: &str) -> Result<Option<Directory>, Error> {
        self.tree_at(commit, path)?.map(|tree| self.directory(tree)).transpose()
    }

    /// Returns the tree of the directory `path` of commit `commit`, if there is one. An empty path is the
    /// top. Fails if an object cannot be read.
    pub fn tree_at(&self, commit: Oid, path: &str) -> Result<Option<Oid>, Error> {
        let mut tree = self.commit(commit)?.tree;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match self.directory(tree)?.get(name) {
                Some(entry) if entry.is_tree() => tree = entry.id,
                _ => return Ok(None),
            }
        }
        Ok(Some(tree))
    }

    /// Returns everything except directories below the directory `path` of commit `commit`, by its
    /// path relative to `path`, or `None` if the commit has no such directory. Fails if an object cannot
    /// be read.
    pub fn files_below(&self, commit: Oid, path: &str) -> Result<Option<Directory>, Error> {
        let Some(tree) = self.tree_at(commit, path)? else { return Ok(None) };
        let (mut files, mut open) = (Directory::new(), vec![(String::new(), tree)]);
        while let Some((prefix, tree)) = open.pop() {
            for (name, entry) in self.directory(tree)? {
                let path = format!("{prefix}{name}");
                match entry.is_tree() {
                    true => open.push((format!("{path}/"), entry.id)),
                    false => drop(files.insert(path, entry)),
                }
            }
        }
        Ok(Some(files))
    }

    /// Returns everything except directories in the tree of commit `commit`, by its path. Directories
    /// for whose path `enters` returns false are left out.
    ///
    /// # Errors
    /// If the commit or one of its trees cannot be read.
    pub fn files_where(&self, commit: Oid, enters: impl Fn(&str) -> bool) -> Result<Directory, Error> {
        let (mut files, mut open) = (Directory::new(), vec![(String::new(), self.commit(commit)?.tree)]);
        while let Some((prefix, tree)) = open.pop() {
            for (name, entry) in self.directory(tree)? {
                let path = format!("{prefix}{name}");
                if !entry.is_tree() {
                    files.insert(path, entry);
                } else if enters(&path) {
                    open.push((format!("{path}/"), entry.id));
                }
            }
        }
        Ok(files)
    }

    /// Returns the first `limit` paths that differ between two directories, each followed by `added`,
    /// `removed` or `changed`. Fails if a tree cannot be read.
    pub fn differing_paths(
        &self,
        old: &Directory,
        new: &Directory,
        limit: usize,
    ) -> Result<Vec<String>, Error> {
        let mut paths = Vec::new();
        self.compare("", old, new, limit, &mut paths)?;
        Ok(paths)
    }

    /// Returns true if a file differs between two directories (`None` is an empty one) and `is_meant`
    /// returns true for its path. `is_meant` is called until then. Fails if a tree cannot be read.
    pub fn differs_where(
        &self,
        old: Option<Oid>,
        new: Option<Oid>,
        is_meant: &mut dyn FnMut(&str) -> bool,
    ) -> Result<bool, Error> {
        self.differs_below("", old, new, is_meant)
    }

    fn differs_below(
        &self,
        prefix: &str,
        old: Option<Oid>,
        new: Option<Oid>,
        is_meant: &mut dyn FnMut(&str) -> bool,
    ) -> Result<bool, Error> {
        if old == new {
            return Ok(false);
        }
        let read = |tree: Option<Oid>| tree.map_or(Ok(Directory::new()), |tree| self.directory(tree));
        let (old, new) = (read(old)?, read(new)?);
        let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let (before, after) = (old.get(name), new.get(name));
            if before == after {
                continue;
            }
            let path = format!("{prefix}{name}");
            let is_file = |entry: Option<&TreeEntry>| entry.is_some_and(|entry| !entry.is_tree());
            if (is_file(before) || is_file(after)) && is_meant(&path) {
                return Ok(true);
            }
            let tree =
                |entry: Option<&TreeEntry>| entry.filter(|entry| entry.is_tree()).map(|entry| entry.id);
            if self.differs_below(&format!("{path}/"), tree(before), tree(after), is_meant)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn compare(
        &self,
        prefix: &str,
        old: &Directory,
        new: &Directory,
        limit: usize,
        paths: &mut Vec<String>,
    ) -> Result<(), Error> {
        let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            if paths.len() >= limit {
                return Ok(());
            }
            let path = format!("{prefix}{name}");
            match (old.get(name), new.get(name)) {
                (before, after) if before == after => {}
                (Some(before), Some(after)) if before.is_tree() && after.is_tree() => {
                    let (before, after) = (self.directory(before.id)?, self.directory(after.id)?);
                    self.compare(&format!("{path}/"), &before, &after, limit, paths)?;
                }
                (Some(_), Some(_)) => paths.push(format!("{path} changed")),
                (Some(_), None) => paths.push(format!("{path} removed")),
                (None, _) => paths.push(format!("{path} added")),
            }
        }
        Ok(())
    }
}

//! The roots: stores and directories from which backups may be read.
//!
//! Anyone with push access can write a record. Therefore its location is only a hint: it is used
//! only inside a root, which is a store or directory that the user has configured. If the bytes
//! were moved, they are found in another root by the id of the backup.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::destination::StoredBackup;
use super::plain::{FileUri, Stored};
use super::store::{Access, Store, revision_of};
use super::url::{Scheme, StoreUrl};
use super::{Error, Result, layout};
use crate::domain::Backup;

/// A store or a directory of plain files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A store.
    Store(StoreUrl),
    /// A directory of plain files.
    Directory(PathBuf),
}

/// The recorded identity of a store: its possible ids, and the keys of which it must have at least one.
/// An empty set means that nothing is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Ids of the store.
    pub ids: BTreeSet<String>,
    /// Ids of keys.
    pub keys: BTreeSet<String>,
}

impl Root {
    /// Returns the root for the directory `path`, which is absolute: a store if it contains one.
    pub fn of_directory(path: &Path) -> Result<Self> {
        match path.join(layout::CONFIG).is_file() {
            true => Ok(Self::Store(StoreUrl::from_directory(path)?)),
            false => Ok(Self::Directory(path.to_owned())),
        }
    }

    /// Returns true if a location is inside this root. Symbolic links are resolved.
    pub fn contains_location(&self, location: &str) -> bool {
        match self {
            Self::Store(url) => Store::url_of(location)
                .and_then(|text| text.parse::<StoreUrl>().ok())
                .is_some_and(|other| is_same(url, &other)),
            Self::Directory(directory) => inside(directory, location).is_some(),
        }
    }

    /// Returns true if this root is the directory or URL of the store `url`.
    pub fn is_at(&self, url: &StoreUrl) -> bool {
        match self {
            Self::Store(own) => is_same(own, url),
            Self::Directory(own) => url.directory().is_some_and(|other| real(own) == real(&other)),
        }
    }

    /// Returns true if this root is a store of this kind.
    pub fn is_of(&self, scheme: Scheme) -> bool {
        matches!(self, Self::Store(url) if url.scheme() == scheme)
    }

    /// Opens the bytes at a location inside this root.
    fn at(&self, location: &str, backup: &Backup, access: &Access) -> Result<StoredBackup> {
        let missing = || Error::NoObject { object: location.to_owned() };
        match self {
            Self::Store(url) => {
                let revision = Store::url_of(location).and_then(|other| revision_of(location, other));
                let name = revision.ok_or_else(missing)?.prefix();
                let store = self.open_verified(url, backup, access)?;
                Ok(StoredBackup::Artifact(store.at(&store.url().join(name.trim_end_matches('/')))?))
            }
            Self::Directory(directory) => {
                let path = inside(directory, location).ok_or_else(missing)?;
                Ok(StoredBackup::Plain(Stored::open(&path)?))
            }
        }
    }

    /// Opens the bytes of the backup by its id.
    fn find(&self, backup: &Backup, access: &Access) -> Result<StoredBackup> {
        let database = backup.database.as_str();
        let missing = || Error::NoObject { object: format!("{} in {self}", backup.id) };
        match self {
            Self::Store(url) => {
                let store = self.open_verified(url, backup, access)?;
                let lineage = layout::lineage(&store.inner.crypt, database);
                for id in ids(backup) {
                    match store.at(&store.url().join(&format!("{lineage}{id}"))) {
                        Err(Error::NoObject { .. }) => {}
                        other => return other.map(StoredBackup::Artifact),
                    }
                }
                Err(missing())
            }
            Self::Directory(directory) => {
                let paths = ids(backup).into_iter().map(|id| directory.join(database).join(id));
                let found = paths.map(|path| Stored::open(&path)).find_map(Result::ok);
                found.map(StoredBackup::Plain).ok_or_else(missing)
            }
        }
    }

    fn open_verified(&self, url: &StoreUrl, backup: &Backup, access: &Access) -> Result<Store> {
        let store = Store::open(url, access)?;
        let keys = backup.encryption.iter().map(|it| it.key_id.to_string()).collect();
        store.check_identity(&Expected {
            ids: backup.store_id.iter().map(ToString::to_string).collect(),
            keys,
        })?;
        Ok(store)
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(url) => url.fmt(f),
            Self::Directory(directory) => directory.display().fmt(f),
        }
    }
}

/// Returns true if a location is an existing directory.
pub fn is_directory(location: &str) -> bool {
    location.parse::<FileUri>().is_ok_and(|uri| uri.to_path().is_dir())
}

/// Finds the bytes of a backup in `access.roots`: first in the preferred ones, then in those that
/// contain the recorded location, then in the others. If none has them, the first error counts.
pub(super) fn find(backup: &Backup, access: &Access) -> Result<StoredBackup> {
    let location = backup.location.as_ref().map_or("", |location| location.as_str());
    if !StoredBackup::is_location(location) {
        let reason = "it is neither a directory nor a store";
        return Err(Error::BadLocation { location: location.to_owned(), reason });
    }
    let others = access.roots.iter().filter(|root| !access.preferred.contains(root));
    let (recorded, others): (Vec<&Root>, Vec<&Root>) =
        others.partition(|root| root.contains_location(location));
    let mut first = None;
    for root in access.preferred.iter().chain(recorded) {
        let held = match root.contains_location(location) {
            true => root.at(location, backup, access),
            false => root.find(backup, access),
        };
        match held {
            Err(error) if error.is_absence() || matches!(error, Error::Replaced { .. }) => {
                first.get_or_insert(error);
            }
            other => return other,
        }
    }
    for root in others {
        match root.find(backup, access) {
            Err(error) if error.is_absence() => {}
            Err(error) => drop(first.get_or_insert(error)),
            held => return held,
        }
    }
    Err(first.unwrap_or_else(|| Error::OutsideRoots { location: location.to_owned() }))
}

/// Returns the possible names of the bytes of a backup. Each attempt has its own.
fn ids(backup: &Backup) -> Vec<String> {
    let id = backup.id.to_string();
    let own = backup.location.as_ref().and_then(|location| location.as_str().rsplit('/').next());
    let own = own.filter(|own| own.strip_prefix(&id).is_some_and(|rest| rest.starts_with('-')));
    own.map(str::to_owned).into_iter().chain([id]).collect()
}

/// Returns the path of a location without symbolic links, if it is inside the directory.
fn inside(directory: &Path, location: &str) -> Option<PathBuf> {
    let path = real(&location.parse::<FileUri>().ok()?.to_path());
    let directory = real(directory);
    (path != directory && path.starts_with(directory)).then_some(path)
}

fn is_same(one: &StoreUrl, other: &StoreUrl) -> bool {
    match (one.directory(), other.directory()) {
        (Some(one), Some(other)) => real(&one) == real(&other),
        _ => one == other,
    }
}

/// Resolves symbolic links in the existing part of a path.
fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_location_counts_only_inside_a_root() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        for name in ["ours/shop/x", "theirs/shop/x"] {
            fs::create_dir_all(base.join(name)).unwrap();
        }
        symlink(base.join("theirs"), base.join("ours/link")).unwrap();
        symlink(base.join("ours"), base.join("alias")).unwrap();
        let root = Root::Directory(base.join("ours"));
        let uri = |path: &str| FileUri::from_path(&base.join(path)).unwrap().to_string();
        for inside in ["ours/shop/x", "alias/shop/x", "ours/not/there"] {
            assert!(root.contains_location(&uri(inside)), "{inside}");
        }
        for outside in ["theirs/shop/x", "ours/link/shop/x", "ours", "ours2/x", "not/there"] {
            assert!(!root.contains_location(&uri(outside)), "{outside}");
        }
        assert!(
            !root.contains_location("file:///proc/self/cwd/shop/x")
                && !root.contains_location("s3://bucket/x")
        );
    }

    #[test]
    fn all_paths_to_a_store_are_equal() {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(base.path().join("store")).unwrap();
        symlink(base.path().join("store"), base.path().join("alias")).unwrap();
        let root = Root::Store(StoreUrl::from_directory(&base.path().join("store")).unwrap());
        let at =
            |name: &str| StoreUrl::from_directory(&base.path().join(name)).unwrap().join("artifacts/a/b");
        assert!(
            root.contains_location(&at("store"))
                && root.contains_location(&at("alias"))
                && !root.contains_location(&at("other"))
        );
        let cloud = Root::Store("s3://bucket/a".parse().unwrap());
        assert!(cloud.contains_location("s3://bucket/a/artifacts/shop/x"));
        assert!(
            !cloud.contains_location("s3://bucket/ab/artifacts/shop/x")
                && !cloud.contains_location("s3://bucket/a/x")
        );
    }
}

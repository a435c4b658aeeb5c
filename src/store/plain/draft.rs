//! Writing a backup as plain files.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::writer::{ArtifactWriter, FileSummary};
use super::{Compression, FileUri, PARTIAL, check_name, directory, sync_dir};
use crate::process::{OWNER_FILE, OwnedDir, crash_point};
use crate::store::Error;

/// The maximum number of attempts to create the directory while another process removes stale ones.
const ATTEMPTS: usize = 10;

/// The directory of a backup that is not published yet. Removed on drop.
#[derive(Debug)]
pub struct PendingDirectory {
    dir: OwnedDir,
    partial: PathBuf,
    location: PathBuf,
    pending: Arc<AtomicUsize>,
    published: bool,
}

impl PendingDirectory {
    /// Begins the backup `backup_id` of `database` in the directory `root`, which must exist. Fails
    /// if the backup exists.
    pub fn create(root: &Path, database: &str, backup_id: &str) -> Result<Self, Error> {
        check_name("database", database)?;
        check_name("backup", backup_id)?;
        let root = std::path::absolute(root).map_err(|e| Error::io("resolve", root, e))?;
        match root.metadata() {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Err(Error::NotADirectory { path: root }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Error::RootMissing { path: root }),
            Err(e) => return Err(Error::io("open", &root, e)),
        }
        // A path without a valid URI is refused before the work.
        FileUri::from_path(&root)?;
        let home = root.join(database);
        let location = home.join(backup_id);
        if location.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: location });
        }
        let partial = home.join(format!(".{backup_id}{PARTIAL}"));
        let dir = make_draft(&home, &partial)?;
        let draft = Self { dir, partial, location, pending: Arc::default(), published: false };
        sync_dir(&draft.partial)?;
        sync_dir(&home)?;
        sync_dir(&root)?;
        crash_point("store.draft-created");
        Ok(draft)
    }

    /// Returns the URI that the backup will have. Fails if the path cannot be written as URI.
    pub fn location(&self) -> Result<FileUri, Error> {
        FileUri::from_path(&self.location)
    }

    /// Begins a file. With compression, `.zst` is added to `name`. Fails if the file exists or its
    /// name is invalid.
    pub fn file(&self, name: &str, compression: Compression) -> Result<ArtifactWriter, Error> {
        self.check_file_name(name)?;
        ArtifactWriter::create(&self.partial, name, compression, &self.pending)
    }

    /// Creates an empty directory that another program fills. Fails if it exists or its name is
    /// invalid.
    pub fn adopt_directory(&self, name: &str) -> Result<PathBuf, Error> {
        self.check_file_name(name)?;
        let dir = self.partial.join(name);
        make_dir(&dir)?;
        self.pending.fetch_add(1, Ordering::SeqCst);
        Ok(dir)
    }

    /// Begins a file in an adopted directory; `name` is its path. Fails if the file exists or its
    /// name is invalid.
    pub fn member(&self, name: &str) -> Result<ArtifactWriter, Error> {
        let path = self.partial.join(directory::member_path(name)?);
        if let Some(parent) = path.parent() {
            DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(parent)
                .map_err(|e| Error::io("create", parent, e))?;
        }
        ArtifactWriter::create(&self.partial, name, Compression::None, &self.pending)
    }

    /// Removes an adopted directory. Fails if it does not exist.
    pub fn discard_directory(&self, name: &str) -> Result<(), Error> {
        self.check_file_name(name)?;
        let dir = self.partial.join(name);
        fs::remove_dir_all(&dir).map_err(|e| Error::io("remove", &dir, e))?;
        self.pending.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    /// Returns the files of an adopted directory, by path.
    pub(in crate::store) fn files_of(&self, name: &str) -> Result<BTreeMap<String, PathBuf>, Error> {
        directory::files_of(&self.partial, name)
    }

    /// Makes an adopted directory durable and writes the digests of its files to `<name>.b3sums`.
    /// Fails if a file cannot be read.
    pub fn seal_directory(&self, name: &str) -> Result<FileSummary, Error> {
        self.check_file_name(name)?;
        let summary = directory::seal(&self.partial, name)?;
        crash_point("store.written");
        self.pending.fetch_sub(1, Ordering::SeqCst);
        Ok(summary)
    }

    /// Renames the directory to its final name. The backup is durable then. Fails if a file is
    /// unfinished or the name is in use.
    pub fn publish(mut self) -> Result<FileUri, Error> {
        let uri = self.location()?;
        let count = self.pending.load(Ordering::SeqCst);
        if count > 0 {
            return Err(Error::Unfinished { path: self.location.clone(), count });
        }
        sync_dir(&self.partial)?;
        // The rename would replace an empty directory silently.
        if self.location.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: self.location.clone() });
        }
        fs::rename(&self.partial, &self.location).map_err(|e| Error::io("publish", &self.location, e))?;
        self.published = true;
        if let Some(home) = self.location.parent() {
            sync_dir(home)?;
        }
        crash_point("store.published");
        // The backup is complete with or without this file.
        let _ = fs::remove_file(self.location.join(OWNER_FILE));
        Ok(uri)
    }

    fn check_file_name(&self, name: &str) -> Result<(), Error> {
        if name == OWNER_FILE {
            return Err(Error::Exists { path: self.partial.join(name) });
        }
        check_name("file", name).map(drop)
    }
}

impl Drop for PendingDirectory {
    fn drop(&mut self) {
        // By its name: the open directory may be that of the published backup.
        self.dir.leave();
        if !self.published {
            let _ = fs::remove_dir_all(&self.partial);
            // Removes the directory of the database only if it is empty.
            let _ = self.partial.parent().map(fs::remove_dir);
        }
    }
}

fn make_dir(path: &Path) -> Result<(), Error> {
    DirBuilder::new().mode(0o700).create(path).map_err(|e| Error::io("create", path, e))
}

/// Creates the directory of a draft. While other drafts end, `home` may be removed.
fn make_draft(home: &Path, partial: &Path) -> Result<OwnedDir, Error> {
    let attempt = || {
        make_home(home)?;
        OwnedDir::make_private(partial).map_err(|error| Error::io("create", partial, error))
    };
    let is_final = |made: &Result<_, _>| !matches!(made, Err(Error::Missing { .. }));
    (1..ATTEMPTS).map(|_| attempt()).find(is_final).unwrap_or_else(attempt)
}

fn make_home(home: &Path) -> Result<(), Error> {
    match make_dir(home) {
        Err(Error::Exists { .. }) if home.is_dir() => Ok(()),
        Err(Error::Exists { .. }) => Err(Error::NotADirectory { path: home.to_owned() }),
        made => made,
    }
}

//! The spool: files that one call of `archive_command` or `restore_command` leaves for the next.
//!
//! The directory is disposable: a missing file is archived or fetched again. It belongs to this
//! user alone. An archived file is recognized by its digest, not by its name.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::Error;
use crate::config::Environment;
use crate::domain::WalName;
use crate::process::write_private;

/// A spool directory of one cluster.
pub(super) struct Spool(PathBuf);

impl Spool {
    /// Opens the spool of the cluster with this system identifier for `purpose`. Fails if the
    /// directory cannot be created or belongs to another user.
    pub(super) fn open(environment: &Environment, system: &str, purpose: &str) -> Result<Self, Error> {
        let user = geteuid().as_raw();
        let base = environment.get("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let ours = base.join(format!("git-pggit-wal-{user}"));
        let directory = ours.join(format!("{system}-{purpose}"));
        for path in [&ours, &directory] {
            private_directory(path, user).map_err(|source| Error::Spool { path: path.clone(), source })?;
        }
        Ok(Self(directory))
    }

    /// Returns the spooled content for `name`.
    pub(super) fn get(&self, name: &WalName) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    /// Spools `content` for `name`, atomically. Errors are ignored.
    pub(super) fn put(&self, name: &WalName, content: &[u8]) {
        let partial = self.0.join(format!(".{name}.{}", std::process::id()));
        let written = write_private(&partial, content).and_then(|()| fs::rename(&partial, self.path(name)));
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
    }

    /// Removes the content for `name`.
    pub(super) fn remove(&self, name: &WalName) {
        let _ = fs::remove_file(self.path(name));
    }

    /// Removes the content for all files before `name`, which PostgreSQL does not request any more.
    pub(super) fn remove_before(&self, name: &WalName) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let old = entry.file_name().to_str().and_then(|text| text.parse::<WalName>().ok());
            if old.is_some_and(|old| old < *name) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self, name: &WalName) -> PathBuf {
        self.0.join(name.as_str())
    }
}

/// Creates a directory for this user only. Fails if it belongs to another user or is accessible to
/// others.
fn private_directory(path: &Path, user: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let meta = path.symlink_metadata()?;
    match meta.is_dir() && meta.uid() == user && meta.mode() & 0o077 == 0 {
        true => Ok(()),
        false => Err(io::Error::other("it belongs to another user, or other users may access it")),
    }
}

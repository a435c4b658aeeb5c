//! What one call leaves for the next one, which PostgreSQL makes a moment later.
//!
//! The directory is disposable: what is missing is done again. It is this user's
//! alone, and a file in it counts only for what its content says.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::Error;
use crate::config::Environment;
use crate::domain::WalName;
use crate::process::write_private;

/// A directory for one cluster.
pub(super) struct Spool(PathBuf);

impl Spool {
    /// The one for the cluster with this system identifier and for `purpose`.
    pub(super) fn open(environment: &Environment, system: &str, purpose: &str) -> Result<Self, Error> {
        let user = geteuid().as_raw();
        let base = environment.get("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let ours = base.join(format!("git-pggit-wal-{user}"));
        let directory = ours.join(format!("{system}-{purpose}"));
        for path in [&ours, &directory] {
            private(path, user).map_err(|source| Error::Spool { path: path.clone(), source })?;
        }
        Ok(Self(directory))
    }

    /// What was left for `name`.
    pub(super) fn get(&self, name: &WalName) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    /// Leaves something, whole or not at all. That it cannot be left is no error.
    pub(super) fn put(&self, name: &WalName, content: &[u8]) {
        let partial = self.0.join(format!(".{name}.{}", std::process::id()));
        let written = write_private(&partial, content).and_then(|()| fs::rename(&partial, self.path(name)));
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
    }

    /// Forgets it.
    pub(super) fn remove(&self, name: &WalName) {
        let _ = fs::remove_file(self.path(name));
    }

    /// Forgets everything that comes before `name`: nobody asks for it any more.
    pub(super) fn forget_before(&self, name: &WalName) {
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

/// A directory that nobody else has made and nobody else may enter.
fn private(path: &Path, user: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let meta = path.symlink_metadata()?;
    match meta.is_dir() && meta.uid() == user && meta.mode() & 0o077 == 0 {
        true => Ok(()),
        false => Err(io::Error::other("it belongs to somebody else, or others may enter it")),
    }
}

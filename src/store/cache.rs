//! A local directory with copies of objects of a cloud, of limited size. Its files may be removed at any
//! time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::process::{private_directories, write_private};

/// A cache directory. Several processes may use it at once.
pub(crate) struct CacheDirectory {
    path: PathBuf,
    bytes_max: u64,
}

impl CacheDirectory {
    /// Uses the directory `path`, which need not exist, for at most `bytes_max` bytes.
    pub(super) fn new(path: PathBuf, bytes_max: u64) -> Self {
        Self { path, bytes_max }
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Returns the path of the file `name`, which need not exist.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file atomically. Fails if the directory or the file cannot be written.
    pub(super) fn keep(&self, path: &Path, content: &[u8]) -> io::Result<File> {
        private_directories(&self.path)?;
        let partial = path.with_extension(format!("{}.partial", uuid::Uuid::now_v7()));
        let kept = write_private(&partial, content)
            .and_then(|()| fs::rename(&partial, path))
            .and_then(|()| File::open(path));
        if kept.is_err() {
            let _ = fs::remove_file(&partial);
        }
        kept
    }

    /// Removes the least recently used files until the directory is small enough.
    pub(super) fn make_room(&self) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        let mut files: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                let used = metadata.accessed().or_else(|_| metadata.modified()).ok()?;
                Some((used, metadata.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut total = files.iter().map(|(_, size, _)| size).sum::<u64>();
        for (_, size, path) in files {
            if total <= self.bytes_max {
                break;
            }
            // Processes that have it open can still read it.
            if fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
    }
}

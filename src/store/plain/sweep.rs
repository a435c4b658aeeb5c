//! Removes files that crashed processes have left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{PARTIAL, REMOVED};
use crate::process::{Leftover, OWNER_FILE, Pinned};
use crate::store::Error;

/// Removes the drafts of dead processes in the store `root`, and what is left
/// of removed backups. Drafts whose owner lives, or may live on another
/// machine, stay. Returns what was removed.
pub fn sweep_partials(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut swept = Vec::new();
    for home in entries(root)? {
        if !is_real_dir(&home) {
            continue;
        }
        for path in entries(&home)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with('.') || !is_real_dir(&path) {
                continue;
            }
            let gone = if name.ends_with(REMOVED) {
                remove_tree(&path)?
            } else {
                name.ends_with(PARTIAL) && sweep_draft(&home, &path)?
            };
            if gone {
                swept.push(path);
            }
        }
        if !swept.is_empty() {
            // Succeeds only when nothing else is there.
            let _ = fs::remove_dir(&home);
        }
    }
    swept.sort();
    Ok(swept)
}

fn sweep_draft(home: &Path, partial: &Path) -> Result<bool, Error> {
    let name = partial.file_name().unwrap_or_default();
    match Pinned::reach(home).and_then(|above| Leftover::of(&above, name, |_| true)) {
        Ok(Leftover::Dead(dir)) => is_removed(dir.remove(), partial),
        Ok(Leftover::Removed) => Ok(true),
        Ok(Leftover::Missing | Leftover::InUse) => Ok(false),
        // Another process has removed the whole directory.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io("read", &partial.join(OWNER_FILE), e)),
    }
}

fn remove_tree(path: &Path) -> Result<bool, Error> {
    is_removed(fs::remove_dir_all(path), path)
}

/// Returns true if this call removed it. Another sweep may have been faster.
fn is_removed(removed: io::Result<()>, path: &Path) -> Result<bool, Error> {
    match removed {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io("remove", path, e)),
    }
}

fn is_real_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let listed = fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    listed.map_err(|e| Error::io("list", dir, e))
}

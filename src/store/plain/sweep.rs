//! Tidying up behind processes that died.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{OWNER_FILE, PARTIAL, REMOVED};
use crate::process::{Liveness, Owner, is_alive};
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
                name.ends_with(PARTIAL) && sweep_draft(&path)?
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

fn sweep_draft(partial: &Path) -> Result<bool, Error> {
    let path = partial.join(OWNER_FILE);
    let owner = match fs::read(&path) {
        Ok(json) => json,
        // Its maker died, or is just now about to name itself: removing the
        // empty directory is safe, because the maker would begin again.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(fs::remove_dir(partial).is_ok()),
        Err(e) => return Err(Error::io("read", &path, e)),
    };
    match serde_json::from_slice::<Owner>(&owner) {
        Ok(owner) if is_alive(&owner) == Liveness::Dead => remove_tree(partial),
        _ => Ok(false),
    }
}

/// Whether this call removed it; another sweep may have been faster.
fn remove_tree(path: &Path) -> Result<bool, Error> {
    match fs::remove_dir_all(path) {
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

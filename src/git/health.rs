//! Finds problems of a repository or of git itself that do not concern objects. It changes nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::domain::Timestamp;

use super::{Error, Repository, program};

/// The version of the `git` program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The version as git prints it: `2.47.3`.
    pub text: String,
    /// Major and minor version: `(2, 47)`.
    pub number: (u32, u32),
}

/// The oldest supported git. It introduced `git config --fixed-value`; transactions of `git update-ref`
/// are slightly older (2.27).
pub const OLDEST_GIT: (u32, u32) = (2, 30);

/// A lock file. git creates it while it changes a file, and removes it unless it is killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFile {
    /// The path.
    pub path: PathBuf,
    /// The time of creation.
    pub made_at: Timestamp,
}

/// Returns the version of the `git` program. Fails if it cannot be run or prints something else.
pub fn version() -> Result<Version, Error> {
    let failed = |detail: String| Error::Program { command: "--version".to_owned(), detail };
    let answer = program::git().arg("--version").run_any().map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    parse_version(&text).ok_or_else(|| failed(format!("unexpected answer: {text:.80}")))
}

fn parse_version(answer: &str) -> Option<Version> {
    let text = answer.strip_prefix("git version ")?.split_ascii_whitespace().next()?;
    let mut numbers = text.split('.').map(str::parse);
    let number = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(Version { text: text.to_owned(), number })
}

impl Repository {
    /// Returns the lock files of refs and of the configuration, in all work trees.
    pub fn locks(&self) -> Vec<LockFile> {
        let common = self.common_dir();
        let deep = ["refs", "reftable", "worktrees"];
        let deep = deep.iter().flat_map(|dir| walkdir::WalkDir::new(common.join(dir)).follow_links(false));
        let flat = walkdir::WalkDir::new(&common).max_depth(1);
        let found = deep.chain(flat).flatten().filter(|entry| entry.file_type().is_file());
        let mut locks: Vec<LockFile> =
            found.map(walkdir::DirEntry::into_path).filter(|path| is_lock(path)).filter_map(lock).collect();
        locks.sort_by(|a, b| a.path.cmp(&b.path));
        locks
    }

    /// Returns the path of `gc.pid` if it is stale: its `git gc` was killed.
    pub fn stale_gc_pid(&self) -> Option<PathBuf> {
        let file = self.common_dir().join("gc.pid");
        (file.exists() && !self.gc_is_running()).then_some(file)
    }
}

/// Returns true if `path` is a lock file, except that of the index: this program does not use the index,
/// and an editor may hold its lock for long.
fn is_lock(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("lock")) && path.file_name() != Some(OsStr::new("index.lock"))
}

fn lock(path: PathBuf) -> Option<LockFile> {
    // A lock file that has disappeared since was not left over.
    let modified = path.symlink_metadata().and_then(|meta| meta.modified()).ok()?;
    Some(LockFile { path, made_at: chrono::DateTime::<chrono::Utc>::from(modified).into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_git_are_read() {
        for (answer, number) in [
            ("git version 2.47.3", (2, 47)),
            ("git version 2.39.5 (Apple Git-154)", (2, 39)),
            ("git version 2.50.0.windows.1", (2, 50)),
            ("git version 3.0", (3, 0)),
        ] {
            assert_eq!(parse_version(answer).map(|version| version.number), Some(number), "{answer}");
        }
        for answer in ["", "git version ", "git version x.y", "2.47.3", "git version 2"] {
            assert_eq!(parse_version(answer), None, "{answer}");
        }
    }
}

//! The files of a commit, for a while, for a program to work on.
//!
//! A worktree of git's own: what runs in it can ask git about the history. It is
//! below the git directory, where nobody looks for work of theirs, beside a note
//! that says which process it goes with, so that what a process has left that
//! died is removed by the next one.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::program::elsewhere;
use super::{Error, Oid, Repository};
use crate::process::{Cmd, Liveness, claim, claimant, crash_point, is_alive, remove_unclaimed};

/// Nothing of what a checkout may start by itself: a clone must not choose what
/// runs. Filters are those of the user's own configuration, as for any checkout.
const QUIET: [&str; 5] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.sparseCheckout=false",
    "submodule.recurse=false",
    "advice.detachedHead=false",
];

/// A worktree that goes when this goes.
#[derive(Debug)]
pub struct Worktree {
    git_dir: PathBuf,
    home: PathBuf,
    files: PathBuf,
}

impl Repository {
    /// Checks the files of `commit` out, and removes what others have left that
    /// died. Submodules are empty directories.
    pub fn worktree(&self, commit: Oid) -> Result<Worktree, Error> {
        let parent = self.common_dir().join("pggit/worktrees");
        sweep(&self.common_dir(), &parent);
        let worktree = make_home(&self.common_dir(), &parent)?;
        crash_point("git.worktree.owned");
        let program = |detail: String| Error::Program { command: "worktree add".to_owned(), detail };
        let added = git(&worktree.git_dir)
            .args(["worktree", "add", "--quiet", "--detach"])
            .arg(&worktree.files)
            .arg(commit.to_string())
            .run_any()
            .map_err(|error| program(error.to_string()))?;
        if !added.exit.status.is_success() {
            return Err(program(added.exit.stderr.trim().to_owned()));
        }
        crash_point("git.worktree.made");
        Ok(worktree)
    }
}

impl Worktree {
    /// Where the files are.
    pub fn path(&self) -> &Path {
        &self.files
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        let _ = remove_all(&self.files);
        // Twice: also one that git was still making. The directory being gone is fine.
        let forget = git(&self.git_dir).args(["worktree", "remove", "--force", "--force"]);
        let _ = forget.arg(&self.files).run_any();
        let _ = remove_all(&self.home);
    }
}

fn git(git_dir: &Path) -> Cmd {
    let settings = QUIET.iter().flat_map(|setting| ["-c", setting]);
    elsewhere().env("GIT_DIR", git_dir).cwd(git_dir).args(settings)
}

/// A directory with a note that says whose it is.
fn make_home(git_dir: &Path, parent: &Path) -> Result<Worktree, Error> {
    let failed = |path: &Path, source| Error::Io { path: path.to_owned(), source };
    let make = |path: &Path, recursive| DirBuilder::new().mode(0o700).recursive(recursive).create(path);
    make(parent, true).map_err(|error| failed(parent, error))?;
    // Another process may take an empty directory for one that was left.
    let mut attempts = 3;
    loop {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let home = parent.join(&name);
        attempts -= 1;
        match make(&home, false).and_then(|()| claim(&home)) {
            Ok(()) => {
                let files = home.join(&name);
                return Ok(Worktree { git_dir: git_dir.to_owned(), home, files });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempts > 0 => {}
            Err(error) => return Err(failed(&home, error)),
        }
    }
}

/// Removes worktrees whose process has died.
fn sweep(git_dir: &Path, parent: &Path) {
    for home in fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path()) {
        match claimant(&home) {
            Some(owner) if is_alive(&owner) == Liveness::Dead => {
                let files = home.join(home.file_name().unwrap_or_default());
                drop(Worktree { git_dir: git_dir.to_owned(), home, files });
            }
            Some(_) => {}
            None => drop(remove_unclaimed(&home)),
        }
    }
}

/// Removes a directory, also one that a program has made read-only.
fn remove_all(path: &Path) -> io::Result<()> {
    if fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    open_up(path);
    fs::remove_dir_all(path)
}

fn open_up(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        // Not what a link points to.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

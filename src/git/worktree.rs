//! The files of a commit, for a while, for a program to work on.
//!
//! A worktree of git's own: what runs in it can ask git about the history. It is
//! below the git directory, where nobody looks for work of theirs, beside a note
//! that says which process it goes with, so that what a process has left that
//! died is removed by the next one.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::program::elsewhere;
use super::{Error, Oid, Repository};
use crate::process::{Cmd, OwnedDir, Pinned, crash_point, private_directories, sweep};

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
    home: OwnedDir,
    files: PathBuf,
}

impl Repository {
    /// Checks the files of `commit` out, and removes what others have left that
    /// died. Submodules are empty directories.
    pub fn worktree(&self, commit: Oid) -> Result<Worktree, Error> {
        let worktree = make_home(&self.common_dir())?;
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
        forget(&self.git_dir, self.home.held().real());
    }
}

/// Removes the worktree in the directory `home`, and what git knows of it.
fn forget(git_dir: &Path, home: &Path) {
    let files = files_in(home);
    let _ = remove_all(&files);
    // Twice: also one that git was still making. The directory being gone is fine.
    let forget = git(git_dir).args(["worktree", "remove", "--force", "--force"]);
    let _ = forget.arg(&files).run_any();
    open_up(home);
}

/// Git calls a worktree by the name of its directory, so that has to be a name of its own.
fn files_in(home: &Path) -> PathBuf {
    home.join(home.file_name().unwrap_or_default())
}

fn git(git_dir: &Path) -> Cmd {
    let settings = QUIET.iter().flat_map(|setting| ["-c", setting]);
    elsewhere().env("GIT_DIR", git_dir).cwd(git_dir).args(settings)
}

/// Makes a directory that belongs to this process, and removes those that dead processes have left.
fn make_home(git_dir: &Path) -> Result<Worktree, Error> {
    let failed = |path: &Path, source| Error::Io { path: path.to_owned(), source };
    let parent = git_dir.join("pggit/worktrees");
    private_directories(&parent).map_err(|error| failed(&parent, error))?;
    if let Ok(above) = Pinned::reach(&parent) {
        sweep(&above, |_, _| true, |held| forget(git_dir, held.real()));
    }
    let path = parent.join(uuid::Uuid::new_v4().simple().to_string());
    let home = OwnedDir::make_private(&path).map_err(|error| failed(&path, error))?;
    Ok(Worktree { git_dir: git_dir.to_owned(), home, files: files_in(&path) })
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

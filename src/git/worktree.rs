//! Temporary worktrees, in which programs work on the files of a commit.
//!
//! They are linked worktrees of git, so programs in them can read the history with git. They are below
//! the git directory, where users do not expect files of theirs. An owner file beside each names its
//! process, so that the next process can remove the worktrees of killed ones.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::program::git_without_repository_env;
use super::{Error, Oid, Repository};
use crate::process::{Cmd, OwnedDir, Pinned, crash_point, private_directories, sweep};

/// Settings that keep a checkout from running programs of the repository: a clone must not choose which
/// programs run. Filters come from the configuration of the user, as for every checkout.
const QUIET: [&str; 5] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.sparseCheckout=false",
    "submodule.recurse=false",
    "advice.detachedHead=false",
];

/// A temporary worktree, removed on drop.
#[derive(Debug)]
pub struct Worktree {
    git_dir: PathBuf,
    home: OwnedDir,
    files: PathBuf,
}

impl Repository {
    /// Checks out `commit`, and removes the worktrees of killed processes. Submodules are empty
    /// directories. Fails if git or the file system fails.
    pub fn worktree(&self, commit: Oid) -> Result<Worktree, Error> {
        let worktree = create_home(&self.common_dir())?;
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
    /// Returns the directory with the files.
    pub fn path(&self) -> &Path {
        &self.files
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        forget(&self.git_dir, self.home.held().real());
    }
}

/// Removes the worktree in the directory `home`, and its entry in git.
fn forget(git_dir: &Path, home: &Path) {
    let files = files_in(home);
    let _ = remove_all(&files);
    // `--force` twice also removes a worktree that git has locked while adding it. git accepts that the
    // directory is missing.
    let forget = git(git_dir).args(["worktree", "remove", "--force", "--force"]);
    let _ = forget.arg(&files).run_any();
    open_up(home);
}

/// Returns the directory with the files below `home`. git names a worktree like its directory, so the
/// name must be unique.
fn files_in(home: &Path) -> PathBuf {
    home.join(home.file_name().unwrap_or_default())
}

fn git(git_dir: &Path) -> Cmd {
    let settings = QUIET.iter().flat_map(|setting| ["-c", setting]);
    git_without_repository_env().env("GIT_DIR", git_dir).cwd(git_dir).args(settings)
}

/// Creates the directory of a worktree, which belongs to this process, and removes the worktrees of dead
/// processes.
fn create_home(git_dir: &Path) -> Result<Worktree, Error> {
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

/// Removes a directory, even if a program has made it read-only.
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
        // Symbolic links are not followed.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

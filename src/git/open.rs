//! Finding and opening the repository.

use std::path::{Path, PathBuf};

use super::{Error, error::describe, program};

/// A git repository: with or without work tree, linked work trees included.
pub struct Repository {
    pub(super) gix: gix::Repository,
}

impl Repository {
    /// Finds the repository as git does: `GIT_DIR` and its companions first,
    /// else upwards from `directory`.
    ///
    /// When that fails the `git` program is asked the same, because its answer
    /// is the one that people know: `not a git repository`, or `detected
    /// dubious ownership` with the remedy.
    pub fn discover(directory: &Path) -> Result<Self, Error> {
        let found = gix::ThreadSafeRepository::discover_with_environment_overrides(directory);
        let trouble = match found {
            Ok(repository) => {
                let mut gix = repository.to_thread_local();
                if gix.git_dir_trust() == gix::sec::Trust::Full {
                    gix.objects.refresh_never();
                    return Ok(Self { gix });
                }
                "it belongs to another user".to_owned()
            }
            Err(error) => describe(&error),
        };
        let message = program::opening_error(directory).unwrap_or(trouble);
        Err(Error::NotARepository { path: directory.to_owned(), message })
    }

    /// The directory with this work tree's HEAD.
    pub fn git_dir(&self) -> PathBuf {
        absolute(self.gix.git_dir())
    }

    /// The directory that all work trees share: objects and refs.
    pub fn common_dir(&self) -> PathBuf {
        absolute(self.gix.common_dir())
    }

    /// The top of the work tree; `None` in a bare repository.
    pub fn work_dir(&self) -> Option<&Path> {
        self.gix.workdir()
    }

    /// Has the history been cut off?
    pub fn is_shallow(&self) -> bool {
        self.gix.is_shallow().unwrap_or(false)
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("git_dir", &self.git_dir()).finish()
    }
}

//! Finds and opens the repository.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::{Error, config, error::describe, extensions, program};

/// A git repository, with or without a work tree, or one of its linked work trees.
pub struct Repository {
    pub(super) gix: gix::Repository,
    pub(super) parameters: Option<OsString>,
    /// True if the variables of the environment that name a repository (`GIT_DIR` and others) must be
    /// ignored, because this is another repository.
    pub(super) ignores_environment: bool,
}

impl Repository {
    /// Finds the repository as git does: from `GIT_DIR` and related variables, otherwise upwards from
    /// `directory`.
    ///
    /// # Errors
    ///
    /// Fails if there is no repository, if it belongs to another user and is not in `safe.directory`, or if
    /// `safe.bareRepository` forbids the bare repository in which `directory` is. The message is that of the
    /// `git` program, because people know it: `not a git repository`, or `detected dubious ownership` with the
    /// remedy.
    pub fn discover(directory: &Path) -> Result<Self, Error> {
        // Like git, accept ceilings (GIT_CEILING_DIRECTORIES) that are no parents of `directory`.
        let options =
            gix::discover::upwards::Options { match_ceiling_dir_or_error: false, ..Default::default() };
        let trust = gix::sec::trust::Mapping::default();
        let found =
            gix::ThreadSafeRepository::discover_with_environment_overrides_opts(directory, options, trust);
        let trouble = match found {
            Ok(repository) => {
                let mut gix = repository.to_thread_local();
                if gix.git_dir_trust() != gix::sec::Trust::Full {
                    "the repository belongs to another user".to_owned()
                } else if let Some(refused) = bare_refusal(&gix, directory) {
                    refused
                } else {
                    extensions::check(&gix)?;
                    gix.objects.refresh_never();
                    return Ok(Self { gix, parameters: None, ignores_environment: false });
                }
            }
            Err(error) => describe(&error),
        };
        let message = program::opening_error(directory).unwrap_or(trouble);
        Err(Error::NotARepository { path: directory.to_owned(), message })
    }

    /// Opens the repository whose work tree or git directory is `directory`. Parent directories and the
    /// environment are not considered. Fails if it is not a repository or belongs to another user.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let refused =
            |message: &str| Error::NotARepository { path: directory.to_owned(), message: message.to_owned() };
        if !directory.is_dir() {
            return Err(refused("no such directory"));
        }
        let found = gix::open::Options::default();
        let found = gix::ThreadSafeRepository::open_opts(directory, found);
        let mut gix = found.map_err(|_| refused("not a git repository"))?.to_thread_local();
        if gix.git_dir_trust() != gix::sec::Trust::Full {
            return Err(refused("the repository belongs to another user"));
        }
        extensions::check(&gix)?;
        gix.objects.refresh_never();
        Ok(Self { gix, parameters: None, ignores_environment: true })
    }

    /// Returns true if both are the same repository, possibly in different work trees.
    pub fn is_same(&self, other: &Self) -> bool {
        let real = |path: PathBuf| std::fs::canonicalize(&path).unwrap_or(path);
        real(self.common_dir()) == real(other.common_dir())
    }

    /// Returns true if both use the same hash for object ids.
    pub fn has_hash_of(&self, other: &Self) -> bool {
        self.gix.object_hash() == other.gix.object_hash()
    }

    /// Returns the directory to which paths in the configuration are relative: the top of the main work
    /// tree, or the git directory of a bare repository.
    pub fn top(&self) -> PathBuf {
        let real = |path: PathBuf| std::fs::canonicalize(&path).unwrap_or(path);
        let (git, common) = (real(self.git_dir()), real(self.common_dir()));
        match (git == common, self.work_dir()) {
            (true, Some(top)) => absolute(top),
            (false, _) if common.ends_with(".git") => common.parent().unwrap_or(&common).to_owned(),
            _ => common,
        }
    }

    /// Returns the same repository with the values of `git -c`, which git passes in
    /// `GIT_CONFIG_PARAMETERS`.
    #[must_use]
    pub fn with_parameters(self, parameters: Option<&OsStr>) -> Self {
        Self { parameters: parameters.map(OsStr::to_owned), ..self }
    }

    /// Returns the same repository for another thread.
    pub fn for_thread(&self) -> Self {
        Self {
            gix: self.gix.clone(),
            parameters: self.parameters.clone(),
            ignores_environment: self.ignores_environment,
        }
    }

    /// Opens the same repository again, so that objects that were added since it was opened are found
    /// without reopening the object database for each of them. Fails if it cannot be opened.
    pub fn reopened(&self) -> Result<Self, Error> {
        let found = gix::ThreadSafeRepository::open_opts(self.gix.path(), self.gix.open_options().clone());
        let mut gix = found.map_err(Error::library("open the repository again"))?.to_thread_local();
        extensions::check(&gix)?;
        gix.objects.refresh_never();
        Ok(Self { gix, parameters: self.parameters.clone(), ignores_environment: self.ignores_environment })
    }

    /// Returns the length of an object id in bytes.
    pub fn oid_len(&self) -> usize {
        self.gix.object_hash().len_in_bytes()
    }

    /// Returns the git directory of this work tree, which has its HEAD.
    pub fn git_dir(&self) -> PathBuf {
        absolute(self.gix.git_dir())
    }

    /// Returns the git directory that all work trees share, with the objects and refs.
    pub fn common_dir(&self) -> PathBuf {
        without_dots(&absolute(self.gix.common_dir()))
    }

    /// Returns the top of the work tree; `None` in a bare repository.
    pub fn work_dir(&self) -> Option<&Path> {
        self.gix.workdir()
    }

    /// Reads the effective configuration; see [`config::Snapshot::of`].
    pub fn config(&self, parameters: Option<&OsStr>) -> Result<config::Snapshot, config::Error> {
        config::Snapshot::of(&self.gix, parameters)
    }

    /// Returns the content of the file `path` in the tree of HEAD; `None` if there is no commit or no such
    /// file. Fails if an object cannot be read.
    pub fn head_file(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.head() {
            Ok(head) => self.blob_at(head, path),
            Err(Error::Unborn { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns true if the clone is shallow.
    pub fn is_shallow(&self) -> bool {
        self.gix.is_shallow().unwrap_or(false)
    }
}

/// Removes `..` from the path. In a linked worktree, git names the common directory relative to the
/// worktree's own directory; no part of that path is a symbolic link.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("git_dir", &self.git_dir()).finish()
    }
}

/// Returns the error of git if it refuses a bare repository because of `safe.bareRepository`. git is asked only if
/// the repository was found because the directory is inside of it. A clone may contain such a repository, with a
/// configuration of its own.
fn bare_refusal(gix: &gix::Repository, directory: &Path) -> Option<String> {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let git_dir = real(gix.git_dir());
    let is_of_work_tree = git_dir.components().any(|part| part.as_os_str() == ".git");
    let is_inside = !is_of_work_tree && real(directory).starts_with(&git_dir);
    is_inside.then(|| program::opening_error(directory)).flatten()
}

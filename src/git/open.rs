//! Finds and opens the repository, as far as the configuration needs one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::config;

/// Why there is no repository to work with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither `dir` nor a directory above it is one.
    #[error("not a git repository (or any of the parent directories): {}", .dir.display())]
    NotARepository {
        /// Where the search began.
        dir: PathBuf,
    },
    /// It is there, but cannot be opened.
    #[error("cannot open the repository: {reason}")]
    Open {
        /// The reader's words.
        reason: String,
    },
    /// A file of the last commit cannot be read.
    #[error("cannot read {path} of HEAD: {reason}")]
    HeadFile {
        /// The file.
        path: &'static str,
        /// The reader's words.
        reason: String,
    },
}

/// An open repository.
#[derive(Debug)]
pub struct Repository {
    inner: gix::Repository,
}

impl Repository {
    /// Opens what `GIT_DIR` names, else the repository around `dir`.
    pub fn discover(dir: &Path) -> Result<Self, Error> {
        // git does not mind ceilings (GIT_CEILING_DIRECTORIES) that are somewhere else.
        let options =
            gix::discover::upwards::Options { match_ceiling_dir_or_error: false, ..Default::default() };
        let opened = gix::ThreadSafeRepository::discover_with_environment_overrides_opts(
            dir,
            options,
            gix::sec::trust::Mapping::default(),
        );
        match opened {
            Ok(repository) => Ok(Self { inner: repository.to_thread_local() }),
            Err(e) => Err(classify(dir, &e)),
        }
    }

    /// The configuration in force; see [`config::Snapshot::of`].
    pub fn config(&self, parameters: Option<&OsStr>) -> Result<config::Snapshot, config::Error> {
        config::Snapshot::of(&self.inner, parameters)
    }

    /// The contents of `path` in the tree of HEAD; `None` without a commit or
    /// without that file.
    pub fn head_file(&self, path: &'static str) -> Result<Option<Vec<u8>>, Error> {
        let failed = |e: gix::Error| Error::HeadFile { path, reason: e.to_string() };
        let Some(id) = self.inner.head().map_err(failed)?.try_peel_to_id().map_err(failed)? else {
            return Ok(None);
        };
        let tree = self.inner.find_commit(id).map_err(failed)?.tree().map_err(failed)?;
        let Some(entry) = tree.lookup_entry_by_path(path).map_err(failed)? else { return Ok(None) };
        if !entry.mode().is_blob() {
            return Ok(None);
        }
        Ok(Some(entry.object().map_err(failed)?.detach().data))
    }
}

fn classify(dir: &Path, error: &gix::Error) -> Error {
    if error.dominant_class() == Some(gix::error::Class::NotFound) {
        return Error::NotARepository { dir: dir.to_owned() };
    }
    Error::Open { reason: error.to_string() }
}

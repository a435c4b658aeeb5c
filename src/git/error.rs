//! The errors of repositories.

use std::path::PathBuf;

use crate::process::may_pass;

/// An error of the room `git`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no repository, or git refuses to open it.
    #[error("{message}")]
    NotARepository {
        /// The directory that was searched.
        path: PathBuf,
        /// The message of git.
        message: String,
    },
    /// The repository uses a format that the library does not support.
    #[error("{path}: repository extension `{extension}` is not supported")]
    Extension {
        /// The git directory of the repository.
        path: PathBuf,
        /// The name of the extension and its value.
        extension: String,
    },
    /// A revision names no commit.
    #[error("unknown revision `{revision}`")]
    UnknownRevision {
        /// The revision.
        revision: String,
        /// The details, if known.
        detail: String,
    },
    /// A revision names more than one object.
    #[error("revision `{revision}` is ambiguous")]
    AmbiguousRevision {
        /// The revision.
        revision: String,
        /// The candidates.
        detail: String,
    },
    /// A branch has no commits yet.
    #[error("{name} has no commits yet")]
    Unborn {
        /// The branch, or HEAD.
        name: String,
    },
    /// An object is missing.
    #[error("object {id} is missing from the repository")]
    Missing {
        /// The object id.
        id: String,
        /// True in a shallow clone, where the object may not have been fetched.
        shallow: bool,
    },
    /// An object or file disappeared during an operation. A concurrent `git gc` can cause that
    /// temporarily.
    #[error("{doing}: {detail}")]
    Vanished {
        /// The operation.
        doing: String,
        /// The message of the library.
        detail: String,
    },
    /// git has no name or address for the user.
    #[error("git has no name or email address for the user")]
    NoIdentity,
    /// A commit cannot be signed.
    #[error("cannot sign: {detail}")]
    Signing {
        /// The message of git, or the problem of its configuration.
        detail: String,
    },
    /// Another process changed a ref meanwhile. Retry from the current state.
    #[error("lost a race for `{name}`: {detail}")]
    LostRace {
        /// One of the refs.
        name: String,
        /// The message of git.
        detail: String,
    },
    /// The `git` program failed.
    #[error("git {command} failed: {detail}")]
    Program {
        /// The subcommand.
        command: String,
        /// The message of git.
        detail: String,
    },
    /// The file system failed.
    #[error("{path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// Another error of the git library.
    #[error("{doing}: {detail}")]
    Library {
        /// The operation.
        doing: String,
        /// The message of the library.
        detail: String,
    },
}

impl Error {
    /// Returns true if the same call may succeed immediately.
    pub fn retry(&self) -> bool {
        matches!(self, Self::LostRace { .. } | Self::Vanished { .. } | Self::Missing { shallow: false, .. })
    }

    /// Returns true if the same call may succeed later. This includes all errors of [`Self::retry`], and
    /// failures of git or the file system with an unknown cause.
    pub fn retry_later(&self) -> bool {
        match self {
            Self::Io { source, .. } => may_pass(source),
            Self::Program { .. } | Self::Library { .. } => true,
            other => other.retry(),
        }
    }

    pub(super) fn library(doing: impl Into<String>) -> impl FnOnce(gix::Error) -> Self {
        move |error| {
            let (doing, detail) = (doing.into(), describe(&error));
            // A gc removes objects and their directories.
            let vanished = ["could not be found", "Could not load", "No such file or directory"];
            if vanished.iter().any(|words| detail.contains(words)) {
                return Self::Vanished { doing, detail };
            }
            Self::Library { doing, detail }
        }
    }
}

/// Returns an error of the library as one line.
pub(super) fn describe(error: &gix::Error) -> String {
    format!("{error:#}").lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(": ")
}

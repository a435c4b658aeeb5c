//! What can go wrong in a repository.

use std::path::PathBuf;

use crate::process::may_pass;

/// An error of the room `git`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no repository, or git refuses it; in git's own words.
    #[error("{message}")]
    NotARepository {
        /// Where it was looked for.
        path: PathBuf,
        /// What git said.
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
    /// A revision names nothing.
    #[error("unknown revision `{revision}`")]
    UnknownRevision {
        /// What was asked for.
        revision: String,
        /// What it is in detail, when that is known.
        detail: String,
    },
    /// A revision names more than one thing.
    #[error("revision `{revision}` is ambiguous")]
    AmbiguousRevision {
        /// What was asked for.
        revision: String,
        /// The candidates.
        detail: String,
    },
    /// There is a name but no commit yet.
    #[error("{name} has no commits yet")]
    Unborn {
        /// The branch, or HEAD.
        name: String,
    },
    /// An object that should be there is not.
    #[error("object {id} is missing from the repository")]
    Missing {
        /// Its name.
        id: String,
        /// The history is cut off, so that it may just not have been fetched.
        shallow: bool,
    },
    /// Something on the way to an object is missing. Beside a `git gc` that
    /// can pass.
    #[error("{doing}: {detail}")]
    Vanished {
        /// What was to be done.
        doing: String,
        /// What it said.
        detail: String,
    },
    /// Git does not know who is acting.
    #[error("no identity to record the change with")]
    NoIdentity,
    /// A commit is to be signed and cannot be.
    #[error("cannot sign: {detail}")]
    Signing {
        /// What git or its configuration says.
        detail: String,
    },
    /// Somebody else changed a ref in between; try again.
    #[error("lost a race for `{name}`: {detail}")]
    LostRace {
        /// One of the refs.
        name: String,
        /// What git said.
        detail: String,
    },
    /// The `git` program failed.
    #[error("git {command} failed: {detail}")]
    Program {
        /// Its sub-command.
        command: String,
        /// What it said.
        detail: String,
    },
    /// The file system failed.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// How.
        source: std::io::Error,
    },
    /// Something else that the git library reports.
    #[error("{doing}: {detail}")]
    Library {
        /// What was to be done.
        doing: String,
        /// What it said.
        detail: String,
    },
}

impl Error {
    /// May the same call succeed when it is made again?
    pub fn retry(&self) -> bool {
        matches!(self, Self::LostRace { .. } | Self::Vanished { .. } | Self::Missing { shallow: false, .. })
    }

    /// May it succeed later? So may what `retry` would repeat at once, and what git or
    /// the file system failed with for a cause that is not known.
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
            // A gc takes away objects and the directories that they were in.
            let vanished = ["could not be found", "Could not load", "No such file or directory"];
            if vanished.iter().any(|words| detail.contains(words)) {
                return Self::Vanished { doing, detail };
            }
            Self::Library { doing, detail }
        }
    }
}

/// An error of the library in one line.
pub(super) fn describe(error: &gix::Error) -> String {
    format!("{error:#}").lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(": ")
}

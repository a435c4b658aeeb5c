//! Errors of opening a workspace and its parts.

use std::path::PathBuf;

use super::places::Gone;
use crate::domain::CommitId;
use crate::migrations::Ambiguous;
use crate::{config, git, ledger, pg, queue, store};

/// An error of the module `workspace`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on the repository failed.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// git's configuration cannot be read.
    #[error(transparent)]
    GitConfig(#[from] git::config::Error),
    /// A setting is invalid.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The ledger returned an error.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// PostgreSQL returned an error.
    #[error(transparent)]
    Pg(#[from] pg::Error),
    /// A store returned an error.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The queue returned an error.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// The repository that `pggit.repository` names causes this error.
    #[error("{source}")]
    Setting {
        /// The file or variable of the setting.
        origin: String,
        /// The error.
        source: Box<Self>,
    },
    /// The repository cannot hold the records.
    #[error("the repository for records cannot be used: {}", place.display())]
    RecordsRepository {
        /// The path of the repository.
        place: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The value of a directory is empty.
    #[error("the name of a directory is empty")]
    NoDirectory,
    /// A connection string on the command line has a password. Other users can read it there.
    #[error("a password does not belong on the command line")]
    PasswordInArguments,
    /// The `credential_process` of an AWS profile failed.
    #[error("'{program}', the credential_process of the AWS profile: {reason}")]
    Credentials {
        /// The program.
        program: String,
        /// The reason.
        reason: String,
    },
    /// A text of a job has several lines or control characters.
    #[error("{what} must be one line of text, not {text:?}")]
    NotOneLine {
        /// The purpose of the text.
        what: String,
        /// The text.
        text: String,
    },
    /// A store or directory named by records does not exist.
    #[error("{gone}")]
    PlaceMissing {
        /// The store or directory, and the number of its backups.
        gone: Gone,
        /// The command that creates an empty one.
        command: String,
    },
    /// The files of a commit match several migration tools or directories.
    #[error("the migration tool of commit {} is unknown: {ambiguous}", commit.short())]
    AmbiguousMigrations {
        /// The commit.
        commit: CommitId,
        /// The matching tools and directories.
        ambiguous: Ambiguous,
    },
    /// A database has the tables of several migration tools.
    #[error("the database has tables of several migration tools: {}", tables.join(", "))]
    SeveralStateTables {
        /// The tables, each with its tool.
        tables: Vec<String>,
    },
    /// The store has another id than the one in the records.
    #[error("{source}")]
    OtherStore {
        /// The difference.
        source: store::Error,
        /// The command that accepts the store.
        command: String,
    },
}

impl Error {
    /// Returns true if a retry of the same request may succeed.
    pub fn retry(&self) -> bool {
        match self {
            Self::Git(error) | Self::Ledger(ledger::Error::Git(error)) => error.retry_later(),
            Self::GitConfig(error) => error.retry(),
            Self::Config(error) => error.retry(),
            Self::Ledger(error) => error.retry(),
            Self::Pg(error) => error.retry(),
            Self::Store(error) | Self::OtherStore { source: error, .. } => error.retry(),
            Self::Queue(error) => error.retry(),
            Self::Setting { source, .. } => source.retry(),
            // The file system may not be mounted yet.
            Self::PlaceMissing { .. } => true,
            Self::AmbiguousMigrations { .. }
            | Self::SeveralStateTables { .. }
            | Self::RecordsRepository { .. }
            | Self::NoDirectory
            | Self::PasswordInArguments
            | Self::Credentials { .. }
            | Self::NotOneLine { .. } => false,
        }
    }
}

//! Errors of opening a workspace and what belongs to it.

use std::path::PathBuf;

use super::places::Gone;
use crate::domain::CommitId;
use crate::migrations::Ambiguous;
use crate::{config, git, ledger, pg, queue, store};

/// An error of the room `workspace`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository failed.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// git's configuration failed.
    #[error(transparent)]
    GitConfig(#[from] git::config::Error),
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// PostgreSQL failed.
    #[error(transparent)]
    Pg(#[from] pg::Error),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// `pggit.repository` leads to this error.
    #[error("{source}")]
    Setting {
        /// The place of the setting.
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
    /// An empty value was given for a directory.
    #[error("a directory is needed")]
    NoDirectory,
    /// A connection string on the command line has a password, which other users can read there.
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
    /// A text for a job has several lines or control characters.
    #[error("{what} must be one line of text, not {text:?}")]
    NotOneLine {
        /// The purpose of the text.
        what: String,
        /// The text.
        text: String,
    },
    /// A store or directory does not exist, although records name it.
    #[error("{gone}")]
    PlaceMissing {
        /// The place and its backups.
        gone: Gone,
        /// The command that makes an empty one.
        command: String,
    },
    /// The files of a commit fit several migration tools or directories.
    #[error("the migration tool of commit {} is not known: {ambiguous}", commit.short())]
    AmbiguousMigrations {
        /// The commit.
        commit: CommitId,
        /// The tools and directories that fit.
        ambiguous: Ambiguous,
    },
    /// The store is another one than the records name.
    #[error("{source}")]
    OtherStore {
        /// The difference.
        source: store::Error,
        /// The command that accepts the store.
        command: String,
    },
}

impl Error {
    /// True if the same request may succeed later.
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
            // It may be a file system that is not mounted yet.
            Self::PlaceMissing { .. } => true,
            Self::AmbiguousMigrations { .. }
            | Self::RecordsRepository { .. }
            | Self::NoDirectory
            | Self::PasswordInArguments
            | Self::Credentials { .. }
            | Self::NotOneLine { .. } => false,
        }
    }
}

//! What can go wrong with a run.

use crate::domain::{BackupId, CommitId};
use crate::process::interrupt::Signal;
use crate::{config, git, ledger, pg, process, store, tools};

/// An error of the room `backup`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository failed.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The server failed.
    #[error(transparent)]
    Pg(#[from] pg::Error),
    /// A tool failed.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The configured tool is none of those that are known.
    #[error("there is no tool `{name}`")]
    UnknownTool {
        /// What was configured.
        name: String,
    },
    /// The tool has no catalogue of backups to look into.
    #[error("{tool} has no catalogue of its own")]
    NoCatalogue {
        /// The tool.
        tool: String,
    },
    /// The database says that it is at another commit.
    #[error("database `{database}` is marked with commit {}, not with {}", mark.short(), chosen.short())]
    MarkDiffers {
        /// The configured database.
        database: String,
        /// The commit recorded in it.
        mark: CommitId,
        /// The commit that was asked for.
        chosen: CommitId,
    },
    /// The database says that it is at a commit that is not in this repository.
    #[error("database `{database}` is marked with commit {mark}, which is not in this repository")]
    MarkUnknown {
        /// The configured database.
        database: String,
        /// The commit recorded in it.
        mark: String,
    },
    /// The backup that was named cannot be tried again.
    #[error("backup {backup} cannot be made again: {reason}")]
    NotAgain {
        /// The backup.
        backup: BackupId,
        /// Why not.
        reason: String,
    },
    /// The bytes of a backup that this one builds on cannot be had.
    #[error("backup {backup}, which this one builds on, cannot be read")]
    BaseUnreadable {
        /// The backup.
        backup: BackupId,
        /// Why not.
        #[source]
        source: store::Error,
    },
    /// A signal ended the run.
    #[error("interrupted ({signal})")]
    Interrupted {
        /// The signal.
        signal: Signal,
    },
}

impl Error {
    /// May the same run succeed when it is made again?
    pub fn retry(&self) -> bool {
        match self {
            Self::Git(error) => error.retry(),
            Self::Ledger(error) => error.retry(),
            Self::Pg(error) => error.retry(),
            Self::Tools(error) => error.retry(),
            Self::Store(error) | Self::BaseUnreadable { source: error, .. } => error.retry(),
            _ => false,
        }
    }

    /// The stable name that a failed record shows.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Interrupted { .. }
            | Self::Tools(tools::Error::Process(process::Error::Interrupted { .. })) => "interrupted",
            Self::Tools(tools::Error::Process(process::Error::Deadline { .. })) => "timeout",
            Self::Pg(_) => "database-unreachable",
            Self::Tools(error) => match error.kind() {
                tools::Kind::ServerUnreachable | tools::Kind::AuthFailed | tools::Kind::DatabaseMissing => {
                    "database-unreachable"
                }
                tools::Kind::DiskFull => "destination",
                _ => "tool-failed",
            },
            Self::Store(_) => "destination",
            Self::BaseUnreadable { .. } => "base-unreadable",
            Self::Git(_) | Self::Ledger(_) | Self::NotAgain { .. } => "ledger",
            Self::Config(_) | Self::UnknownTool { .. } | Self::NoCatalogue { .. } => "configuration",
            Self::MarkDiffers { .. } | Self::MarkUnknown { .. } => "mark",
        }
    }
}

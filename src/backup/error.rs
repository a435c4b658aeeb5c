//! Errors of a backup run.

use crate::domain::{BackupId, CommitId, DatabaseName, Status};
use crate::migrations::CommitWarning;
use crate::process::interrupt::Signal;
use crate::{artifacts, git, ledger, pg, process, store, tools, workspace};

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
    /// The tool of the database cannot be set up.
    #[error(transparent)]
    Artifacts(#[from] artifacts::Error),
    /// The repository, its configuration, a store or the queue cannot be opened.
    #[error(transparent)]
    Workspace(#[from] workspace::Error),
    /// The tool has no catalogue of backups to import from.
    #[error("{tool} has no catalogue of its own")]
    NoCatalogue {
        /// The tool.
        tool: String,
    },
    /// The commit recorded in the database differs from the requested commit.
    #[error("database `{database}` is marked with commit {}, not with {}", mark.short(), chosen.short())]
    MarkDiffers {
        /// The configured database.
        database: String,
        /// The commit recorded in it.
        mark: CommitId,
        /// The requested commit.
        chosen: CommitId,
    },
    /// The commit recorded in the database is not in this repository.
    #[error("database `{database}` is marked with commit {mark}, which is not in this repository")]
    MarkUnknown {
        /// The configured database.
        database: String,
        /// The commit recorded in it.
        mark: String,
    },
    /// The commit of the backup is doubtful, and the configuration requires one that is not.
    #[error("{}, and pggit.{database}.commitCheck is 'require'", warning.message)]
    CommitDoubtful {
        /// The configured database.
        database: DatabaseName,
        /// The reason.
        warning: CommitWarning,
    },
    /// The backup cannot be retried.
    #[error("backup {backup} cannot be retried: {reason}")]
    NotAgain {
        /// The backup.
        backup: BackupId,
        /// The reason.
        reason: NotAgain,
    },
    /// The bytes of a backup in the chain cannot be read.
    #[error("base backup {backup} cannot be read")]
    BaseUnreadable {
        /// The backup.
        backup: BackupId,
        /// The cause.
        #[source]
        source: store::Error,
    },
    /// A signal interrupted the run.
    #[error("interrupted ({signal})")]
    Interrupted {
        /// The signal.
        signal: Signal,
    },
}

/// The reason why a backup cannot be retried under its id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAgain {
    /// It is expired or deleted.
    #[error("it is {0}")]
    Over(Status),
    /// The backup is one of another database.
    #[error("it belongs to database `{0}`")]
    OtherDatabase(DatabaseName),
    /// Another process is making the backup.
    #[error("another process is working on it")]
    BeingMade,
}

impl Error {
    /// Returns true if the same run may succeed later.
    pub fn retry(&self) -> bool {
        match self {
            Self::Git(error) | Self::Ledger(ledger::Error::Git(error)) => error.retry_later(),
            // An attempt whose worker was killed may have changed the record in between.
            Self::Ledger(ledger::Error::Refused { .. }) => true,
            Self::Ledger(error) => error.retry(),
            Self::Pg(error) => error.retry(),
            Self::Tools(error) => error.retry() || error.is_unexplained(),
            Self::Store(error) | Self::BaseUnreadable { source: error, .. } => error.retry(),
            Self::NotAgain { reason, .. } => *reason == NotAgain::BeingMade,
            Self::Interrupted { .. } => true,
            Self::Workspace(error) => error.retry(),
            Self::Artifacts(error) => error.retry(),
            Self::NoCatalogue { .. }
            | Self::MarkDiffers { .. }
            | Self::MarkUnknown { .. }
            | Self::CommitDoubtful { .. } => false,
        }
    }

    /// Returns the stable name of the failure in the record.
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
                tools::Kind::DiskFull => "storage",
                _ => "tool-failed",
            },
            Self::Store(_) => "storage",
            Self::BaseUnreadable { .. } => "base-unreadable",
            Self::Git(_) | Self::Ledger(_) | Self::NotAgain { .. } => "ledger",
            Self::Artifacts(_) | Self::Workspace(_) | Self::NoCatalogue { .. } => "configuration",
            Self::MarkDiffers { .. } | Self::MarkUnknown { .. } => "mark-mismatch",
            Self::CommitDoubtful { .. } => "commit-check",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::process::Status as Ended;
    use crate::tools::{ExternalError, Kind, Program};

    fn program(kind: Kind) -> Error {
        let stderr = String::new();
        tools::Error::Failed { program: Program::PgDump, kind, status: Ended::Exited(1), stderr }.into()
    }

    fn custom(fault: ExternalError) -> Error {
        tools::Error::Tool { tool: "own".to_owned(), fault }.into()
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let path = || "/x".into();
        let source = || io::Error::from(io::ErrorKind::StorageFull);
        let again = |reason| Error::NotAgain {
            backup: "0193f1a2-0000-7000-8000-000000000000".parse().unwrap(),
            reason,
        };
        for error in [
            program(Kind::DiskFull),
            program(Kind::Busy),
            program(Kind::ServerUnreachable),
            program(Kind::Other),
            tools::Error::Write { program: Program::PgDump, source: source() }.into(),
            custom(ExternalError::Busy("later".to_owned())),
            custom(ExternalError::Failed { status: Ended::Killed(9), words: String::new() }),
            store::Error::Full { path: path() }.into(),
            store::Error::RootMissing { path: path() }.into(),
            git::Error::Io { path: path(), source: source() }.into(),
            ledger::Error::Git(git::Error::Io { path: path(), source: source() }).into(),
            again(NotAgain::BeingMade),
        ] {
            assert!(error.retry(), "{error:?}");
        }
        for error in [
            program(Kind::AuthFailed),
            program(Kind::DatabaseMissing),
            program(Kind::PermissionDenied),
            program(Kind::ServerNewer),
            custom(ExternalError::Permanent { status: Ended::Exited(3), words: String::new() }),
            custom(ExternalError::Missing),
            store::Error::ReadOnly { path: path() }.into(),
            store::Error::Denied { path: path() }.into(),
            git::Error::Io { path: path(), source: io::ErrorKind::PermissionDenied.into() }.into(),
            again(NotAgain::Over(Status::Deleted)),
            artifacts::Error::UnknownTool { name: "x".to_owned() }.into(),
        ] {
            assert!(!error.retry(), "{error:?}");
        }
    }
}

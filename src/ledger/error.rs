//! The errors of the ledger.

use crate::domain::{BackupId, CommitId, EventError, Invalid, RecordError};
use crate::git;

/// An error of the room `ledger`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository failed.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The selector matches no backup.
    #[error("no backup matches `{selector}`")]
    NotFound {
        /// The selector.
        selector: String,
    },
    /// An event is for a backup that has no record.
    #[error("there is no backup {backup}")]
    NotRegistered {
        /// The id of the backup.
        backup: String,
    },
    /// There is no completed backup to select from.
    #[error("no backup matches `{selector}`: none is completed")]
    NoneCompleted {
        /// The selector.
        selector: String,
    },
    /// The selector matches several backups.
    #[error("`{selector}` names {} backups", candidates.len())]
    Ambiguous {
        /// The selector.
        selector: String,
        /// One line for each candidate.
        candidates: Vec<String>,
    },
    /// The state of the backup does not allow the change.
    #[error("backup {backup} cannot be {verb}: {reason}")]
    Refused {
        /// The backup.
        backup: BackupId,
        /// The refused change as a participle: `completed`, `tagged`, ...
        verb: String,
        /// The reason.
        reason: String,
    },
    /// A value is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// An event is invalid.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A record cannot be read.
    #[error("the record of backup {backup} at commit {commit} is damaged: {reason}")]
    Damaged {
        /// The backup.
        backup: String,
        /// The schema commit whose ref has the record.
        commit: CommitId,
        /// The reason.
        reason: String,
    },
    /// An export would be incomplete.
    #[error("the ledger cannot be exported: {reason}")]
    Export {
        /// The reason.
        reason: String,
    },
    /// A line of an export cannot be imported.
    #[error("line {line}: {reason}")]
    Import {
        /// The number of the line, from 1.
        line: u64,
        /// The reason.
        reason: String,
    },
    /// Schema commits of an export are not in this repository.
    #[error("{} schema commits are not in this repository", commits.len())]
    MissingCommits {
        /// The missing commits.
        commits: Vec<CommitId>,
    },
    /// The records of a remote are not accepted.
    #[error("{reason}")]
    RemoteRejected {
        /// The reason.
        reason: String,
    },
    /// Other processes kept changing the same refs.
    #[error("failed after {attempts} attempts: {last}")]
    Busy {
        /// The number of attempts.
        attempts: usize,
        /// The last error.
        last: String,
    },
}

impl Error {
    /// Returns true if the same call may succeed later.
    pub fn retry(&self) -> bool {
        match self {
            Self::Git(error) => error.retry(),
            Self::Busy { .. } => true,
            _ => false,
        }
    }
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Event(event) => Self::Event(event),
            other => Self::Event(EventError::Head(other.to_string())),
        }
    }
}

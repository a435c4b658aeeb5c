//! What can go wrong with the ledger.

use crate::domain::{BackupId, CommitId, EventError, Invalid, RecordError};
use crate::git;

/// An error of the room `ledger`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository failed.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// No backup is selected.
    #[error("no backup matches `{selector}`")]
    NotFound {
        /// What was asked for.
        selector: String,
    },
    /// An event is for a backup that has no record.
    #[error("there is no backup {backup}")]
    NotRegistered {
        /// The id of the backup.
        backup: String,
    },
    /// No completed backup to select from.
    #[error("no backup matches `{selector}`: none is completed")]
    NoneCompleted {
        /// The selector.
        selector: String,
    },
    /// More than one backup is selected.
    #[error("`{selector}` names {} backups", candidates.len())]
    Ambiguous {
        /// What was asked for.
        selector: String,
        /// One line for each candidate.
        candidates: Vec<String>,
    },
    /// The state of the backup does not allow the change.
    #[error("backup {backup} cannot be {verb}: {reason}")]
    Refused {
        /// The backup.
        backup: BackupId,
        /// What was to be done: `completed`, `tagged`, ...
        verb: String,
        /// Why not.
        reason: String,
    },
    /// A value was refused.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// An event was refused.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A record cannot be read.
    #[error("the record of backup {backup} at commit {commit} is damaged: {reason}")]
    Damaged {
        /// The backup.
        backup: String,
        /// The schema commit whose ref holds it.
        commit: CommitId,
        /// What is wrong.
        reason: String,
    },
    /// An export would not be whole.
    #[error("the ledger cannot be exported: {reason}")]
    Export {
        /// What is in the way.
        reason: String,
    },
    /// A line of an export cannot be imported.
    #[error("line {line}: {reason}")]
    Import {
        /// Its number.
        line: u64,
        /// Why not.
        reason: String,
    },
    /// Schema commits of an export are not in this repository.
    #[error("{} schema commits are not in this repository", commits.len())]
    MissingCommits {
        /// Which.
        commits: Vec<CommitId>,
    },
    /// The records of a remote were refused.
    #[error("{reason}")]
    NotTaken {
        /// The reason.
        reason: String,
    },
    /// Others kept changing the same refs.
    #[error("gave up after {attempts} attempts: {last}")]
    Busy {
        /// How often it was tried.
        attempts: usize,
        /// The last failure.
        last: String,
    },
}

impl Error {
    /// May the same call succeed when it is made again?
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

//! The errors of queues.

use crate::domain::JobId;
use crate::{git, pg};

/// An error of the room `queue`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository failed.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The server failed.
    #[error(transparent)]
    Pg(#[from] pg::Error),
    /// There is no such job.
    #[error("no job matches `{selector}`")]
    NotFound {
        /// The id, or its beginning.
        selector: String,
    },
    /// The state of the job does not allow the change.
    #[error("job {job} cannot be {verb}: {reason}")]
    Refused {
        /// The job.
        job: JobId,
        /// The refused change as a participle: `paused`, ...
        verb: &'static str,
        /// The reason.
        reason: String,
    },
    /// The job was given to another worker or removed.
    #[error("this worker has lost the lease of job {job}")]
    Lost {
        /// The job.
        job: JobId,
    },
    /// A job cannot be read.
    #[error("job {job} is damaged: {reason}")]
    Damaged {
        /// The name of the job.
        job: String,
        /// The reason.
        reason: String,
    },
    /// Other processes kept changing the same job.
    #[error("failed after {attempts} attempts: {last}")]
    Busy {
        /// The number of attempts.
        attempts: usize,
        /// The last error.
        last: String,
    },
    /// The schema in PostgreSQL is missing, or has another version than this program needs.
    #[error("the queue in database \"{dbname}\" has version {installed}, and {needed} is needed")]
    Version {
        /// The database.
        dbname: String,
        /// The installed version; 0 if there is no schema.
        installed: u32,
        /// The version that this program needs.
        needed: u32,
    },
    /// Unfinished jobs may have been pushed by other people.
    #[error(
        "{jobs} jobs of this repository may have been pushed by others: pushes to refs/pggit are not forbidden"
    )]
    Exposed {
        /// The number of jobs.
        jobs: usize,
    },
    /// A fetch may bring jobs of other people.
    #[error("a fetch from '{remote}' may bring jobs of others: its refspec is {refspec}")]
    Fetched {
        /// The name of the remote.
        remote: String,
        /// A refspec of the remote.
        refspec: String,
    },
    /// Changes cannot be watched.
    #[error("cannot watch the queue: {detail}")]
    Watch {
        /// The reason.
        detail: String,
    },
}

impl Error {
    /// Returns true if the same call may succeed later.
    pub fn retry(&self) -> bool {
        match self {
            Self::Git(error) => error.retry(),
            Self::Pg(error) => error.retry(),
            Self::Busy { .. } => true,
            _ => false,
        }
    }
}

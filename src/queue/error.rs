//! What can go wrong with a queue.

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
        /// What was asked for.
        selector: String,
    },
    /// The state of the job does not allow it.
    #[error("job {job} cannot be {verb}: {reason}")]
    Refused {
        /// The job.
        job: JobId,
        /// What was to be done: `paused`, ...
        verb: &'static str,
        /// Why not.
        reason: String,
    },
    /// The job was given to another worker, or taken away.
    #[error("job {job} is not this worker's any more")]
    Lost {
        /// The job.
        job: JobId,
    },
    /// A job cannot be read.
    #[error("job {job} is damaged: {reason}")]
    Damaged {
        /// Its name.
        job: String,
        /// What is wrong.
        reason: String,
    },
    /// Others kept changing the same job.
    #[error("gave up after {attempts} attempts: {last}")]
    Busy {
        /// How often it was tried.
        attempts: usize,
        /// The last failure.
        last: String,
    },
    /// The schema in PostgreSQL is missing, or not the one of this program.
    #[error("the queue in database \"{dbname}\" has version {installed}, and {needed} is needed")]
    Version {
        /// The database.
        dbname: String,
        /// Its version; 0 when there is nothing.
        installed: u32,
        /// The version of this program.
        needed: u32,
    },
    /// Unfinished jobs may have come by a push.
    #[error(
        "{jobs} jobs of this repository may have been pushed by others: pushes to refs/pggit are not forbidden"
    )]
    Exposed {
        /// The number of jobs.
        jobs: usize,
    },
    /// Jobs may come by a fetch.
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
        /// Why not.
        detail: String,
    },
}

impl Error {
    /// May the same call succeed when it is made again?
    pub fn retry(&self) -> bool {
        match self {
            Self::Git(error) => error.retry(),
            Self::Pg(error) => error.retry(),
            Self::Busy { .. } => true,
            _ => false,
        }
    }
}

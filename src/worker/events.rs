//! The events of a worker, for listeners in the same process: log, notifications, health.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Failure, Job, Line};

/// An event of a worker.
#[derive(Debug, Clone)]
pub enum Event {
    /// The worker has started.
    Started {
        /// The name of the worker.
        worker: Line,
        /// The maximum number of concurrent jobs.
        concurrency: usize,
    },
    /// The queue became unreachable or reachable.
    Queue {
        /// True if it is reachable.
        reachable: bool,
        /// The error.
        detail: Option<String>,
    },
    /// The worker claimed a job.
    Claimed {
        /// The job.
        job: Box<Job>,
        /// The time since the job became due.
        waited: Duration,
    },
    /// A job was completed.
    Succeeded {
        /// The job.
        job: Box<Job>,
        /// The duration of the attempt.
        took: Duration,
        /// The sizes of the backup.
        measured: Measured,
    },
    /// An attempt failed and will be retried.
    WillRetry {
        /// The job.
        job: Box<Job>,
        /// The error.
        error: Failure,
        /// The duration of the attempt.
        took: Duration,
    },
    /// A job has failed for good.
    FailedForGood {
        /// The job.
        job: Box<Job>,
        /// The error.
        error: Failure,
        /// The duration of the last attempt.
        took: Duration,
    },
    /// A job was cancelled while it ran.
    Cancelled {
        /// The job.
        job: Box<Job>,
    },
    /// A job was returned to the queue, because the worker is stopping.
    HandedBack {
        /// The job.
        job: Box<Job>,
    },
    /// The lease of a job was lost, or the end of the attempt could not be recorded.
    LeaseLost {
        /// The job, as it was claimed.
        job: Box<Job>,
    },
    /// The worker has polled the queue, so it is not stuck.
    Alive,
    /// The worker is stopping and claims no more jobs.
    Stopping,
}

/// The sizes of a new backup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Measured {
    /// The size of the content, in bytes.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// The stored size, in bytes.
    #[serde(default)]
    pub stored_bytes: Option<u64>,
}

/// A listener. It is called by the thread of the event and must not block.
pub trait Listener: Send + Sync {
    /// Handles an event.
    fn on(&self, event: &Event);
}

/// The listeners.
#[derive(Clone, Default)]
pub struct Hub(Vec<Arc<dyn Listener>>);

impl Hub {
    /// Adds a listener.
    pub fn add(&mut self, listener: Arc<dyn Listener>) {
        self.0.push(listener);
    }

    /// Passes an event to all listeners.
    pub fn publish(&self, event: &Event) {
        self.0.iter().for_each(|listener| listener.on(event));
    }
}

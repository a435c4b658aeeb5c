//! What a worker tells about itself to whoever listens in the same process:
//! measures, notifications, health.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Failure, Job, Line};

/// What has happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The worker takes jobs from now on.
    Started {
        /// Its name.
        worker: Line,
        /// How many jobs it runs at once.
        concurrency: usize,
    },
    /// The queue could be reached, or not. Told when that changes.
    Queue {
        /// Can it be reached?
        reachable: bool,
        /// What is wrong.
        detail: Option<String>,
    },
    /// It took a job.
    Claimed {
        /// The job.
        job: Box<Job>,
        /// How long the job had been waiting since it might have run.
        waited: Duration,
    },
    /// A job is done.
    Succeeded {
        /// The job.
        job: Box<Job>,
        /// How long the attempt took.
        took: Duration,
        /// What was measured of the backup.
        measured: Measured,
    },
    /// An attempt failed, and another one follows.
    WillRetry {
        /// The job.
        job: Box<Job>,
        /// Why.
        error: Failure,
        /// How long the attempt took.
        took: Duration,
    },
    /// A job has failed for good.
    FailedForGood {
        /// The job.
        job: Box<Job>,
        /// Why.
        error: Failure,
        /// How long the last attempt took.
        took: Duration,
    },
    /// A job was cancelled while it ran.
    Cancelled {
        /// The job.
        job: Box<Job>,
    },
    /// A job was given back, because the worker ends.
    HandedBack {
        /// The job.
        job: Box<Job>,
    },
    /// A job is another worker's by now, or the queue could not be told.
    Lost {
        /// The job, as it was claimed.
        job: Box<Job>,
    },
    /// The worker has looked for jobs again, and is not stuck.
    Alive,
    /// The worker takes no more jobs.
    Stopping,
}

/// The sizes of a backup that was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Measured {
    /// Of its content.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// Of what it takes in the store.
    #[serde(default)]
    pub stored_bytes: Option<u64>,
}

/// Whoever wants to know. It is told by the thread to which it happened and
/// must not keep it waiting.
pub trait Listener: Send + Sync {
    /// This has happened.
    fn on(&self, event: &Event);
}

/// All who listen.
#[derive(Clone, Default)]
pub struct Hub(Vec<Arc<dyn Listener>>);

impl Hub {
    /// One more.
    pub fn add(&mut self, listener: Arc<dyn Listener>) {
        self.0.push(listener);
    }

    /// Tells all of them.
    pub fn tell(&self, event: &Event) {
        self.0.iter().for_each(|listener| listener.on(event));
    }
}

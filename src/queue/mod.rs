//! The job queue.
//!
//! A [`Queue`] stores jobs and makes the same promises with every backend ([`RefsQueue`]: refs of the
//! git repository, for the workers of one host; [`PostgresQueue`]: tables, for workers on several
//! hosts):
//!
//! - A job is durable when [`Queue::enqueue`] returns.
//! - A claim is short: no lock is held while a job runs. Exactly one worker gets a job, and keeps it as
//!   long as its heartbeats renew the lease.
//! - A worker cannot change a job after its lease was given to another worker: each claim has a fencing
//!   token, and only the newest one counts.
//! - A notification about the end of a job is stored together with that end (an outbox), until it is
//!   marked as sent. If the worker crashes before, another worker sends it.
//! - A job whose lease expired is retried, up to the limit of its policy.
//! - At most one backup of a database runs at a time.
//! - At most one job waits with the same deduplication key.
//! - Jobs run in the order of their priority, then of their age.

mod error;
mod postgres;
mod refs;

use std::time::Duration;

use serde::Serialize;

pub use error::Error;
pub use postgres::PostgresQueue;
pub use refs::RefsQueue;

use crate::domain::{
    AttemptEnd, DatabaseName, Job, JobId, JobKind, JobState, Line, NewJob, Owner, PendingNotification,
    Timestamp,
};
use crate::process::{self, Liveness};

/// The result of [`Queue::enqueue`].
#[derive(Debug, Clone)]
pub struct EnqueueResult {
    /// The new job, or the waiting job with the same deduplication key.
    pub job: Job,
    /// True if the job is new.
    pub is_new: bool,
}

/// A worker that claims jobs.
#[derive(Debug, Clone)]
pub struct Claimant {
    /// The name of the worker.
    pub worker: Line,
    /// The process of the worker, so that others on the same host can detect its death.
    pub owner: Option<Owner>,
    /// The time without a heartbeat after which the lease expires.
    pub lease: Duration,
}

/// A claimed job, with the proof of the claim.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// The fencing token: the number of the claim.
    pub fencing_token: u64,
    /// A secret number that only the claiming worker gets. It is 0 if the queue cannot keep it from
    /// other processes.
    pub key: u64,
}

/// The reply to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatReply {
    /// The worker may continue.
    Continue,
    /// A user has cancelled the job; the worker should stop the attempt.
    CancelRequested,
}

/// A selection of jobs.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only jobs in one of these states; empty for all.
    pub states: Vec<JobState>,
    /// Only jobs of this database.
    pub database: Option<DatabaseName>,
    /// Only jobs of this kind.
    pub kind: Option<JobKind>,
}

impl Filter {
    fn passes(&self, job: &Job) -> bool {
        (self.states.is_empty() || self.states.contains(&job.state))
            && self.database.as_ref().is_none_or(|database| database == job.work.database())
            && self.kind.is_none_or(|kind| kind == job.work.kind())
    }
}

/// Jobs, and those that cannot be read.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The jobs, oldest first.
    pub jobs: Vec<Job>,
    /// The names of the damaged jobs, with the reasons.
    pub damaged: Vec<(String, String)>,
}

/// Statistics of the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// The number of jobs in each state.
    pub by_state: Vec<(JobState, u64)>,
    /// The number of jobs that could run now.
    pub due: u64,
    /// The age of the oldest job that could run now, in seconds.
    pub oldest_due_s: u64,
    /// The number of running jobs whose lease has expired.
    pub expired: u64,
    /// The time at which the last job was completed.
    pub last_completed_at: Option<Timestamp>,
}

impl Stats {
    /// Returns the number of jobs in `state`.
    pub fn count(&self, state: JobState) -> u64 {
        self.by_state.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
    }
}

/// A subscription to changes of the queue.
pub trait Watch: Send {
    /// Waits until the queue may have changed, at most for `timeout`. Returns false after a timeout.
    /// Fails if changes cannot be watched any more.
    fn wait(&mut self, timeout: Duration) -> Result<bool, Error>;
}

/// A job queue. Several threads may use one value. Every function fails if the repository or the server
/// fails.
pub trait Queue: Send + Sync {
    /// Adds a job, unless a job with the same deduplication key is waiting.
    fn enqueue(&self, new: NewJob) -> Result<EnqueueResult, Error>;

    /// Claims the next job that may run now, if there is one. Expired leases are released first.
    fn claim(&self, claimant: &Claimant) -> Result<Option<Claim>, Error>;

    /// Renews the lease of `claim`. Fails with [`Error::Lost`] if another worker has the job by now.
    fn heartbeat(&self, claim: &Claim) -> Result<HeartbeatReply, Error>;

    /// Records the end of an attempt. Fails with [`Error::Lost`], without a change, if another worker has
    /// the job by now.
    fn end(&self, claim: &Claim, ending: &AttemptEnd) -> Result<Job, Error>;

    /// Records the end of an attempt and claims the next job. The end is recorded even if there is no
    /// next job. Fails as [`Queue::end`] does.
    fn end_and_claim(
        &self,
        claim: &Claim,
        ending: &AttemptEnd,
        claimant: &Claimant,
    ) -> Result<(Job, Option<Claim>), Error>;

    /// Claims the pending notifications that no other process is sending, for the process `sender`.
    /// Returns their jobs.
    fn claim_notifications(&self, sender: Option<&Owner>) -> Result<Vec<Job>, Error>;

    /// Marks the notification about the claim `token` of a job as sent.
    fn mark_notified(&self, id: JobId, token: u64) -> Result<(), Error>;

    /// Cancels a waiting job, or requests that a running one stops. Fails if the job is completed or has
    /// failed.
    fn cancel(&self, id: JobId) -> Result<Job, Error>;

    /// Makes a job ready that failed, was cancelled, or waits for its next attempt. Fails if the job is
    /// running, completed or paused.
    fn retry(&self, id: JobId) -> Result<Job, Error>;

    /// Pauses a waiting job until [`Queue::resume`]. Fails if the job is running or finished.
    fn pause(&self, id: JobId) -> Result<Job, Error>;

    /// Resumes a paused job. Fails if the job is neither paused nor ready.
    fn resume(&self, id: JobId) -> Result<Job, Error>;

    /// Returns a job. Fails if there is no such job.
    fn get(&self, id: JobId) -> Result<Job, Error>;

    /// Returns the ids of the jobs that begin with `prefix`.
    fn find(&self, prefix: &str) -> Result<Vec<JobId>, Error>;

    /// Returns the jobs that match `filter`.
    fn list(&self, filter: &Filter) -> Result<Listing, Error>;

    /// Returns the statistics of the queue.
    fn stats(&self) -> Result<Stats, Error>;

    /// Removes finished jobs that have not changed for `age`. Returns their number.
    fn clean(&self, age: Duration) -> Result<u64, Error>;

    /// Returns the time until the next job becomes due or a lease expires; `None` if there is neither.
    fn next_due(&self) -> Result<Option<Duration>, Error>;

    /// Subscribes to changes of the queue.
    fn watch(&self) -> Result<Box<dyn Watch>, Error>;
}

/// Returns true if a pending notification may be claimed: its sender is late, or is dead.
fn is_claimable(pending_notification: &PendingNotification, now: Timestamp) -> bool {
    let is_dead = |owner: &Owner| process::is_alive(owner) == Liveness::Dead;
    pending_notification.is_late(now) || pending_notification.owner.as_ref().is_some_and(is_dead)
}

/// Returns a random number from 0 to 1.
fn random_fraction() -> f64 {
    f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX)
}

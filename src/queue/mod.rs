//! The queue: jobs that wait, and who works on them.
//!
//! A [`Queue`] is a place for jobs with one set of promises, whatever it is
//! made of ([`RefsQueue`]: refs of the git repository, for one machine;
//! [`PostgresQueue`]: tables, for a fleet):
//!
//! - What was put into it is durable when [`Queue::enqueue`] returns.
//! - A claim is short: nothing is locked while a job runs. Exactly one worker
//!   gets a job; it keeps it as long as it is heard of within its lease.
//! - What a worker says after its lease was given to another changes nothing:
//!   each claim has a number, and only the last one counts.
//! - What became of a job and has to be told is remembered with its end until
//!   somebody says that it was told: if its worker dies before, another tells it.
//! - A job whose worker was lost is tried again, as often as its policy says.
//! - At most one backup of a database runs at a time.
//! - Of the jobs that wait with the same key there is only one.
//! - Higher priority goes first, then age.

mod error;
mod postgres;
mod refs;

use std::time::Duration;

use serde::Serialize;

pub use error::Error;
pub use postgres::PostgresQueue;
pub use refs::RefsQueue;

use crate::domain::{
    DatabaseName, Ending, Job, JobId, JobKind, JobState, Line, NewJob, Owner, Timestamp, Untold,
};
use crate::process::{self, Liveness};

/// A job that was put into the queue, or one that was there.
#[derive(Debug, Clone)]
pub struct Enqueued {
    /// The job.
    pub job: Job,
    /// It was not there: no job with the same key was waiting.
    pub is_new: bool,
}

/// Who takes a job.
#[derive(Debug, Clone)]
pub struct Claimant {
    /// The name of the worker.
    pub worker: Line,
    /// Its process, for those on the same machine.
    pub owner: Option<Owner>,
    /// How long it may be silent.
    pub lease: Duration,
}

/// A job that was taken, and the number that proves it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// The number of the claim.
    pub token: u64,
    /// A number that only the worker has that made the claim, where the queue can
    /// keep it from others; else 0.
    pub key: u64,
}

/// What the queue says to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Go on.
    Held,
    /// Somebody wants the attempt to end.
    CancelRequested,
}

/// Which jobs.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In one of these states; empty for all.
    pub states: Vec<JobState>,
    /// Of this database.
    pub database: Option<DatabaseName>,
    /// Of this kind.
    pub kind: Option<JobKind>,
}

impl Filter {
    fn passes(&self, job: &Job) -> bool {
        (self.states.is_empty() || self.states.contains(&job.state))
            && self.database.as_ref().is_none_or(|database| database == job.work.database())
            && self.kind.is_none_or(|kind| kind == job.work.kind())
    }
}

/// Jobs, and what could not be read among them.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The jobs, the oldest first.
    pub jobs: Vec<Job>,
    /// Names and troubles of those that are damaged.
    pub damaged: Vec<(String, String)>,
}

/// The queue in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// How many jobs are in each state.
    pub by_state: Vec<(JobState, u64)>,
    /// How many of them could run now.
    pub due: u64,
    /// How long the oldest of those has been waiting.
    pub oldest_due_s: u64,
    /// How many are running on an expired lease.
    pub expired: u64,
    /// When the last job was completed.
    pub last_completed_at: Option<Timestamp>,
}

impl Stats {
    /// How many jobs are in `state`.
    pub fn count(&self, state: JobState) -> u64 {
        self.by_state.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
    }
}

/// Wakes whoever waits for jobs.
pub trait Watch: Send {
    /// Waits until something may have changed in the queue, at most for
    /// `patience`. Says whether something has.
    fn wait(&mut self, patience: Duration) -> Result<bool, Error>;
}

/// A queue. One value may be used by several threads.
pub trait Queue: Send + Sync {
    /// Puts a job into it, unless one with the same key is waiting.
    fn enqueue(&self, new: NewJob) -> Result<Enqueued, Error>;

    /// Takes the next job, if there is one that may run now. Jobs whose lease
    /// has expired are taken from their workers first.
    fn claim(&self, claimant: &Claimant) -> Result<Option<Claim>, Error>;

    /// Says that the worker of `claim` is still there.
    fn heartbeat(&self, claim: &Claim) -> Result<Standing, Error>;

    /// Says how an attempt ended. [`Error::Lost`] when the job is another's
    /// by now; then nothing has changed.
    fn end(&self, claim: &Claim, ending: &Ending) -> Result<Job, Error>;

    /// Says how an attempt ended and takes the next job. The first has been
    /// done even if there is no next one.
    fn end_and_claim(
        &self,
        claim: &Claim,
        ending: &Ending,
        claimant: &Claimant,
    ) -> Result<(Job, Option<Claim>), Error>;

    /// Jobs about whose end there is something to tell that nobody else is
    /// telling. From now on it is the business of `teller`.
    fn untold(&self, teller: Option<&Owner>) -> Result<Vec<Job>, Error>;

    /// What became of a job by its claim `token` was told.
    fn told(&self, id: JobId, token: u64) -> Result<(), Error>;

    /// Takes a job out that waits; asks a running one to end.
    fn cancel(&self, id: JobId) -> Result<Job, Error>;

    /// Lets a job that failed or was cancelled, or waits for its next attempt,
    /// be tried now.
    fn retry(&self, id: JobId) -> Result<Job, Error>;

    /// Lets a waiting job wait for [`Queue::resume`].
    fn pause(&self, id: JobId) -> Result<Job, Error>;

    /// Lets a paused job run.
    fn resume(&self, id: JobId) -> Result<Job, Error>;

    /// One job.
    fn get(&self, id: JobId) -> Result<Job, Error>;

    /// The jobs whose id begins with `prefix`.
    fn find(&self, prefix: &str) -> Result<Vec<JobId>, Error>;

    /// The jobs that pass `filter`.
    fn list(&self, filter: &Filter) -> Result<Listing, Error>;

    /// The queue in numbers.
    fn stats(&self) -> Result<Stats, Error>;

    /// Removes finished jobs that have not changed for `age`. Says how many.
    fn clean(&self, age: Duration) -> Result<u64, Error>;

    /// In how long the next job becomes due, or a lease expires; `None` when
    /// nothing is expected.
    fn next_due(&self) -> Result<Option<Duration>, Error>;

    /// Something that wakes whoever waits.
    fn watch(&self) -> Result<Box<dyn Watch>, Error>;
}

/// Is who was to send this message late, or known to be dead?
fn is_unattended(untold: &Untold, now: Timestamp) -> bool {
    let is_dead = |owner: &Owner| process::is_alive(owner) == Liveness::Dead;
    untold.is_late(now) || untold.owner.as_ref().is_some_and(is_dead)
}

/// A number from 0 to 1.
fn chance() -> f64 {
    f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX)
}

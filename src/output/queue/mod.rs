//! Results of the commands for the queue.

mod render;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{
    AttemptReport, BackupId, DatabaseName, Failure, Job, JobId, JobKind, JobState, Line, Priority, Timestamp,
    Work,
};
use crate::queue::Stats;
use crate::terminal::ListOutput;

pub use render::job_table;

/// A job of the queue.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub struct JobOutput {
    /// The id of the job.
    pub id: JobId,
    /// The id of the backup that the job makes or verifies.
    pub backup_id: BackupId,
    /// The configured database.
    pub database: DatabaseName,
    /// The requested tool; null if the configuration chooses it.
    pub tool: Option<Line>,
    /// The kind of work.
    pub kind: JobKind,
    /// The state of the job.
    pub state: JobState,
    /// The priority: higher numbers run first.
    pub priority: Priority,
    /// Number of attempts that have begun; attempts that were returned to the queue do not count.
    pub attempts: u32,
    /// Number of attempts after which the job has failed permanently.
    pub max_attempts: u32,
    /// The earliest time of the next attempt; null if the job does not wait for one.
    pub next_retry_at: Option<Timestamp>,
    /// The worker that has the job; null if none has it.
    pub worker: Option<Line>,
    /// The time at which the lease expires without a heartbeat; null if no worker has the job.
    pub lease_expires_at: Option<Timestamp>,
    /// True if a user has requested the cancellation of the running attempt.
    pub cancel_requested: bool,
    /// The error of the last attempt that failed; null if none failed.
    pub last_error: Option<Failure>,
    /// The deduplication key: only one job with this key can wait; null if the job has no key.
    pub dedup_key: Option<Line>,
    /// The time at which the job was enqueued.
    pub created_at: Timestamp,
    /// The author of the job.
    pub created_by: Line,
    /// The start of the last attempt; null if none began.
    pub started_at: Option<Timestamp>,
    /// The time at which the job was completed, failed permanently or was cancelled; null before that.
    pub finished_at: Option<Timestamp>,
    /// The time of the last change of the job.
    pub updated_at: Timestamp,
    /// The work in detail.
    pub work: Work,
    /// The last attempts that ended, oldest first.
    pub history: Vec<AttemptReport>,
}

impl From<&Job> for JobOutput {
    fn from(job: &Job) -> Self {
        let lease = job.lease.as_ref();
        Self {
            id: job.id,
            backup_id: job.work.backup(),
            database: job.work.database().clone(),
            tool: job.work.tool().cloned(),
            kind: job.work.kind(),
            state: job.state,
            priority: job.priority,
            attempts: job.attempts,
            max_attempts: job.policy.max_attempts,
            next_retry_at: job.next_retry_at,
            worker: lease.map(|lease| lease.worker.clone()),
            lease_expires_at: lease.map(|lease| lease.expires_at),
            cancel_requested: job.cancel_requested,
            last_error: job.last_error.clone(),
            dedup_key: job.dedup_key.clone(),
            created_at: job.created_at,
            created_by: job.created_by.clone(),
            started_at: job.started_at,
            finished_at: job.finished_at,
            updated_at: job.updated_at,
            work: job.work.clone(),
            history: job.history.clone(),
        }
    }
}

/// The jobs of the queue, or the jobs that were changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<JobOutput>,
}

impl ListOutput for JobList {
    const FIELD: &'static str = "jobs";
    type Element = JobOutput;
}

/// A job that was enqueued, or the waiting job with the same key.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EnqueuedJob {
    /// The job.
    #[serde(flatten)]
    pub job: JobOutput,
    /// True if the job is new; false if a job with the same key was waiting already.
    pub is_new: bool,
}

/// The jobs for the backups that are due.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DueJobs {
    /// The jobs.
    pub jobs: Vec<DueJob>,
    /// True if nothing was enqueued because of `--dry-run`.
    pub dry_run: bool,
}

/// A job for a backup that is due.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DueJob {
    /// The configured database.
    pub database: DatabaseName,
    /// The reason why a backup is due, in words.
    pub reason: String,
    /// The id of the job; absent with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// True if the job is new; false if a job with the same key was waiting. Absent with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_new: Option<bool>,
}

/// The statistics of the queue.
#[derive(Debug, Serialize, JsonSchema)]
pub struct QueueStats {
    /// Number of jobs by state; a state without jobs may be absent.
    pub jobs: BTreeMap<String, u64>,
    /// Number of jobs that are due now.
    pub due: u64,
    /// Seconds for which the oldest due job has been waiting; 0 if there is none.
    pub oldest_due_s: u64,
    /// Number of running jobs whose lease has expired.
    pub expired_leases: u64,
    /// The time at which the last job was completed; null if none was.
    pub last_completed_at: Option<Timestamp>,
}

impl From<Stats> for QueueStats {
    fn from(stats: Stats) -> Self {
        Self {
            jobs: stats.by_state.iter().map(|(state, count)| (state.to_string(), *count)).collect(),
            due: stats.due,
            oldest_due_s: stats.oldest_due_s,
            expired_leases: stats.expired,
            last_completed_at: stats.last_completed_at,
        }
    }
}

/// The version of the tables of a queue in PostgreSQL.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InstalledQueue {
    /// The version after the command.
    pub version: u32,
    /// The version before the command; 0 if there was no queue.
    pub before: u32,
}

/// The finished jobs that were removed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CleanedQueue {
    /// Number of jobs that were removed.
    pub removed: u64,
}

/// The numbers of the attempts of a worker. A worker that runs without an end prints none.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WorkerSummary {
    /// Number of attempts that completed their job.
    pub completed: u64,
    /// Number of attempts that failed.
    pub failed: u64,
}

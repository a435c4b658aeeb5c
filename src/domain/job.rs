//! A job of the queue: its work, its state, and the possible changes of its state.
//!
//! The work is data and never a command line. Strangers may be able to write to the queue, and must not
//! choose the programs that run. The changes of state are pure functions here. The room `queue` orders
//! concurrent changes and provides the clock.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    BackupId, BackupName, BackupType, CommitId, DatabaseName, Failure, JobId, Line, Owner, TagKey, Timestamp,
    VerificationKind, named_enum::named_enum,
};

named_enum! {
    /// The kind of the work of a job.
    JobKind("job kind") {
        /// A backup of a database.
        Backup = "backup",
        /// A verification of a backup.
        Verify = "verify",
    }
}

named_enum! {
    /// The state of a job.
    JobState("job state") {
        /// The job waits for a worker.
        Ready = "ready",
        /// A worker runs the job.
        InProgress = "in_progress",
        /// An attempt failed; the job waits for the next attempt.
        WillRetry = "will_retry",
        /// The last attempt failed.
        PermanentlyFailed = "permanently_failed",
        /// The work is done.
        Completed = "completed",
        /// A user cancelled the job.
        Cancelled = "cancelled",
        /// A user paused the job; the job waits until it is resumed.
        Paused = "paused",
    }
}

impl JobState {
    /// Returns true if a worker may claim the job now or later.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Ready | Self::WillRetry | Self::Paused)
    }

    /// Returns true if the job does not change any more by itself.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::PermanentlyFailed | Self::Completed | Self::Cancelled)
    }
}

named_enum! {
    /// The outcome of an attempt.
    AttemptOutcome("outcome") {
        /// The work is done.
        Completed = "completed",
        /// The attempt failed.
        Failed = "failed",
        /// The lease of the worker expired.
        Lost = "lost",
        /// The worker stopped and returned the job to the queue.
        HandedBack = "handed_back",
        /// A user cancelled the job during the attempt.
        Cancelled = "cancelled",
    }
}

/// The priority of a job. A higher one runs before a lower one.
pub type Priority = i16;

/// A backup to make. Settings that are absent come from the configuration of the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupWork {
    /// The id of the backup, the same in every attempt.
    pub backup: BackupId,
    /// The configured database.
    pub database: DatabaseName,
    /// The schema commit of the backup; absent if the worker finds the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// The branch that the backup is made for; absent if there is none. Without `commit`, the backup belongs
    /// to the tip of the branch when the job runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<Line>,
    /// True if the requested commit takes precedence over the commit recorded in the database.
    #[serde(default)]
    pub force: bool,
    /// True if the commit recorded in the database takes precedence over `commit`, so that `commit` is only
    /// for databases without a recorded commit. Absent if false.
    #[serde(rename = "yields", default, skip_serializing_if = "std::ops::Not::not")]
    pub prefer_mark: bool,
    /// The type of the backup; absent if the configuration chooses it.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub backup_type: Option<BackupType>,
    /// The tool that makes the backup; absent if the configuration chooses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<Line>,
    /// The name of the backup; absent if the name is chosen when the job runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<BackupName>,
    /// The tags of the backup; absent if there are none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<TagKey, Line>,
}

/// A verification of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyWork {
    /// The id of the backup.
    pub backup: BackupId,
    /// The configured database of the backup.
    pub database: DatabaseName,
    /// The kind of the verification.
    #[serde(rename = "verification")]
    pub kind: VerificationKind,
}

/// The work of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// A backup.
    Backup(BackupWork),
    /// A verification.
    Verify(VerifyWork),
}

impl Work {
    /// Returns the kind of the work.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Backup(_) => JobKind::Backup,
            Self::Verify(_) => JobKind::Verify,
        }
    }

    /// Returns the database of the work.
    pub fn database(&self) -> &DatabaseName {
        match self {
            Self::Backup(work) => &work.database,
            Self::Verify(work) => &work.database,
        }
    }

    /// Returns the backup of the work.
    pub fn backup(&self) -> BackupId {
        match self {
            Self::Backup(work) => work.backup,
            Self::Verify(work) => work.backup,
        }
    }

    /// Returns the requested tool, if any.
    pub fn tool(&self) -> Option<&Line> {
        match self {
            Self::Backup(work) => work.tool.as_ref(),
            Self::Verify(_) => None,
        }
    }
}

/// The number and the delays of the attempts of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The maximum number of attempts; at least 1.
    pub max_attempts: u32,
    /// The delay after the first attempt, in seconds.
    pub base_s: u64,
    /// The maximum delay, in seconds.
    pub cap_s: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 5, base_s: 30, cap_s: 3600 }
    }
}

impl RetryPolicy {
    /// Returns the delay after attempt `attempt`: `base * 2^(attempt - 1)`, at most the cap. The delay
    /// is shortened by up to a quarter, so that jobs that failed together are not retried together.
    /// `chance` is from 0 to 1.
    pub fn delay(&self, attempt: u32, chance: f64) -> Duration {
        let factor = 1u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
        let whole = Duration::from_secs(self.base_s.saturating_mul(factor).min(self.cap_s));
        whole.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 4.0)
    }
}

/// The time since the boot of the machine. Unlike the wall clock, it never goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootTime {
    /// The id of the boot, from the kernel.
    pub boot_id: Line,
    /// Milliseconds since the boot.
    pub millis: u64,
}

impl BootTime {
    /// Returns the time from `earlier` to `self`. Returns `None` if the machine was restarted in
    /// between.
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        (self.boot_id == earlier.boot_id)
            .then(|| Duration::from_millis(self.millis.saturating_sub(earlier.millis)))
    }
}

/// The right of a worker to run a job for a limited time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The name of the worker.
    pub worker: Line,
    /// The fencing token: the number of claims of the job. A result with a lower token comes from a
    /// worker that has lost the job.
    pub token: u64,
    /// The duration of the lease without a heartbeat, in seconds.
    pub lease_s: u64,
    /// The end of the lease by the clock of the queue.
    pub expires_at: Timestamp,
    /// The process of the worker; absent if it cannot be inspected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// The report of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptReport {
    /// The number of the attempt, from 1.
    pub number: u32,
    /// The worker that ran the attempt.
    pub worker: Line,
    /// The start of the attempt.
    pub started_at: Timestamp,
    /// The end of the attempt.
    pub ended_at: Timestamp,
    /// The outcome of the attempt.
    pub outcome: AttemptOutcome,
    /// The error; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The last part of the output of the tools, without secrets; absent if there was none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// A pending notification about the end of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingNotification {
    /// The end of the time that `owner` has to send the notification.
    pub until: Timestamp,
    /// The process that sends it; absent if any process may send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

impl PendingNotification {
    /// The maximum time for one process to send a notification.
    pub const PATIENCE: Duration = Duration::from_secs(300);

    /// Returns a notification that `owner` sends.
    pub fn of(owner: Option<Owner>, at: Timestamp) -> Self {
        Self { until: at.plus(Self::PATIENCE), owner }
    }

    /// Returns a notification that any process may send.
    pub fn of_anyone(at: Timestamp) -> Self {
        Self { until: at, owner: None }
    }

    /// Returns true if another process may send the notification. A clock that was set back does not
    /// extend the wait.
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.until <= now || self.until > now.plus(Self::PATIENCE)
    }
}

/// The result of an attempt as the worker reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The work is done.
    Completed {
        /// The last part of the output of the tools.
        output: String,
        /// True if a notification is to be sent.
        tell: bool,
    },
    /// The attempt failed.
    Failed {
        /// The cause.
        error: Failure,
        /// True if another attempt may succeed.
        retry: bool,
        /// The last part of the output of the tools.
        output: String,
    },
    /// The worker stopped. The attempt does not count.
    HandedBack,
    /// The attempt was cancelled, and none of its processes is running.
    Cancelled {
        /// The last part of the output of the tools.
        output: String,
    },
}

/// A job to enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// The work.
    pub work: Work,
    /// The priority.
    pub priority: Priority,
    /// The key for deduplication. At most one job with the same key waits.
    pub dedup_key: Option<Line>,
    /// The number and the delays of the attempts.
    pub policy: RetryPolicy,
    /// The user who enqueues the job.
    pub created_by: Line,
}

/// A job and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The id of the job.
    pub id: JobId,
    /// The work.
    pub work: Work,
    /// The state.
    pub state: JobState,
    /// The priority.
    pub priority: Priority,
    /// The key for deduplication. At most one job with the same key waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup_key: Option<Line>,
    /// The number of attempts that have begun. An attempt that a stopped worker returned does not
    /// count.
    pub attempts: u32,
    /// The number and the delays of the attempts.
    pub policy: RetryPolicy,
    /// The number of claims.
    pub token: u64,
    /// The lease of the worker that runs the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// True if the running attempt is to be cancelled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_requested: bool,
    /// The time of the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_retry_at: Option<Timestamp>,
    /// The cause of the failure of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Failure>,
    /// The time when the job was enqueued.
    pub created_at: Timestamp,
    /// The user who enqueued the job.
    pub created_by: Line,
    /// The start of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// The time at which the job was completed, failed permanently or was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The time of the last change.
    pub updated_at: Timestamp,
    /// The pending notification about the end of the job.
    #[serde(rename = "untold", default, skip_serializing_if = "Option::is_none")]
    pub pending_notification: Option<PendingNotification>,
    /// The reports of the last attempts, at most [`Self::HISTORY`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<AttemptReport>,
}

/// The reason why a change is not possible. It completes "job ... cannot be ...: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub &'static str);

impl Job {
    /// The maximum number of attempt reports in a job.
    pub const HISTORY: usize = 8;
    /// The maximum size of the recorded output of an attempt, in bytes.
    pub const OUTPUT_BYTES: usize = 8 << 10;

    /// Creates a job that was enqueued at `at`.
    pub fn new(id: JobId, new: NewJob, at: Timestamp) -> Self {
        let NewJob { work, priority, dedup_key, policy, created_by } = new;
        Self {
            id,
            work,
            state: JobState::Ready,
            priority,
            dedup_key,
            attempts: 0,
            policy,
            token: 0,
            lease: None,
            cancel_requested: false,
            next_retry_at: None,
            last_error: None,
            created_at: at,
            created_by,
            started_at: None,
            finished_at: None,
            updated_at: at,
            pending_notification: None,
            history: Vec::new(),
        }
    }

    /// Returns true if the worker with the fencing token `token` still has the lease.
    pub fn is_held_with(&self, token: u64) -> bool {
        self.state == JobState::InProgress && self.lease.as_ref().is_some_and(|lease| lease.token == token)
    }

    /// Gives the job to a worker. `at` is the current time.
    pub fn claim(&mut self, worker: Line, owner: Option<Owner>, lease: Duration, at: Timestamp) {
        self.token = self.token.saturating_add(1);
        self.attempts = self.attempts.saturating_add(1);
        self.state = JobState::InProgress;
        self.next_retry_at = None;
        self.cancel_requested = false;
        self.started_at = Some(at);
        self.updated_at = at;
        let lease_s = lease.as_secs().max(1);
        self.lease = Some(Lease { worker, token: self.token, lease_s, expires_at: at.plus(lease), owner });
    }

    /// Renews the lease after a heartbeat.
    pub fn beat(&mut self, at: Timestamp) {
        if let Some(lease) = &mut self.lease {
            lease.expires_at = at.plus(Duration::from_secs(lease.lease_s));
        }
        self.updated_at = at;
    }

    /// Records the end of the attempt. `chance` is from 0 to 1.
    pub fn end(&mut self, ending: &AttemptEnd, at: Timestamp, chance: f64) {
        let (outcome, error, output) = match ending {
            AttemptEnd::Completed { output, .. } => (AttemptOutcome::Completed, None, output.as_str()),
            AttemptEnd::Failed { error, output, .. } => {
                (AttemptOutcome::Failed, Some(error.clone()), output.as_str())
            }
            AttemptEnd::HandedBack => (AttemptOutcome::HandedBack, None, ""),
            AttemptEnd::Cancelled { output } => (AttemptOutcome::Cancelled, None, output.as_str()),
        };
        let owner = self.lease.as_ref().and_then(|lease| lease.owner.clone());
        self.report(outcome, error, output, at);
        match ending {
            AttemptEnd::Completed { .. } => self.finish(JobState::Completed, at),
            AttemptEnd::Cancelled { .. } => self.finish(JobState::Cancelled, at),
            AttemptEnd::HandedBack => {
                self.attempts = self.attempts.saturating_sub(1);
                match self.cancel_requested {
                    true => self.finish(JobState::Cancelled, at),
                    false => self.state = JobState::Ready,
                }
            }
            AttemptEnd::Failed { .. } if self.cancel_requested => self.finish(JobState::Cancelled, at),
            AttemptEnd::Failed { retry: false, .. } => self.finish(JobState::PermanentlyFailed, at),
            AttemptEnd::Failed { .. } => self.try_again(at, self.policy.delay(self.attempts, chance)),
        }
        let tell = matches!(ending, AttemptEnd::Completed { tell: true, .. });
        if tell || self.state == JobState::PermanentlyFailed {
            self.pending_notification = Some(PendingNotification::of(owner, at));
        }
    }

    /// Records that the lease expired. The first time the job is retried at once. A job that keeps
    /// losing its workers may be the cause of their crashes, so it is retried with backoff.
    pub fn lose(&mut self, at: Timestamp, chance: f64) {
        let again = self.history.last().is_some_and(|before| before.outcome == AttemptOutcome::Lost);
        let worker = self.lease.as_ref().map_or_else(String::new, |lease| lease.worker.to_string());
        let error = Failure {
            code: Line::lossy("worker-lost"),
            message: format!("worker {worker} was not heard of any more"),
        };
        self.report(AttemptOutcome::Lost, Some(error), "", at);
        match self.cancel_requested {
            true => self.finish(JobState::Cancelled, at),
            false if again => self.try_again(at, self.policy.delay(self.attempts.saturating_sub(1), chance)),
            false => self.try_again(at, Duration::ZERO),
        }
        if self.state == JobState::PermanentlyFailed {
            self.pending_notification = Some(PendingNotification::of_anyone(at));
        }
    }

    fn try_again(&mut self, at: Timestamp, delay: Duration) {
        if self.attempts >= self.policy.max_attempts {
            return self.finish(JobState::PermanentlyFailed, at);
        }
        self.state = JobState::WillRetry;
        self.next_retry_at = Some(at.plus(delay));
    }

    fn finish(&mut self, state: JobState, at: Timestamp) {
        self.state = state;
        self.cancel_requested = false;
        self.next_retry_at = None;
        self.finished_at = Some(at);
        self.updated_at = at;
        if state == JobState::Completed {
            self.last_error = None;
        }
    }

    /// Ends the lease and records the report of the attempt.
    fn report(&mut self, outcome: AttemptOutcome, error: Option<Failure>, output: &str, at: Timestamp) {
        self.updated_at = at;
        if error.is_some() {
            self.last_error = error.clone();
        }
        let Some(lease) = self.lease.take() else { return };
        let surplus = (self.history.len() + 1).saturating_sub(Self::HISTORY);
        self.history.drain(..surplus);
        self.history.push(AttemptReport {
            number: self.attempts,
            worker: lease.worker,
            started_at: self.started_at.unwrap_or(at),
            ended_at: at,
            outcome,
            error,
            output: tail(output, Self::OUTPUT_BYTES).to_owned(),
        });
    }

    /// Cancels the job. A running attempt receives a request to end. Fails if the state of the job does
    /// not allow it.
    pub fn cancel(&mut self, at: Timestamp) -> Result<(), Refusal> {
        match self.state {
            JobState::InProgress => {
                self.cancel_requested = true;
                self.updated_at = at;
            }
            state if state.is_waiting() => self.finish(JobState::Cancelled, at),
            JobState::Cancelled => {}
            JobState::Completed => return Err(Refusal("it is completed")),
            _ => return Err(Refusal("it has failed already")),
        }
        Ok(())
    }

    /// Makes the job ready now. A finished job gets all of its attempts again. Fails if the job is
    /// running, completed or paused.
    pub fn retry(&mut self, at: Timestamp) -> Result<(), Refusal> {
        match self.state {
            JobState::PermanentlyFailed | JobState::Cancelled => self.attempts = 0,
            JobState::WillRetry | JobState::Ready => {}
            JobState::InProgress => return Err(Refusal("it is running")),
            JobState::Completed => return Err(Refusal("it is completed")),
            JobState::Paused => return Err(Refusal("it is paused; resume it instead")),
        }
        self.state = JobState::Ready;
        self.next_retry_at = None;
        self.finished_at = None;
        self.updated_at = at;
        self.pending_notification = None;
        Ok(())
    }

    /// Pauses the job until it is resumed. Fails if the state of the job does not allow it.
    pub fn pause(&mut self, at: Timestamp) -> Result<(), Refusal> {
        match self.state {
            JobState::Ready | JobState::WillRetry | JobState::Paused => {}
            JobState::InProgress => return Err(Refusal("it is running; cancel it instead")),
            _ => return Err(Refusal("it is finished")),
        }
        self.state = JobState::Paused;
        self.next_retry_at = None;
        self.updated_at = at;
        Ok(())
    }

    /// Resumes a paused job. Does nothing if the job is ready. Otherwise fails.
    pub fn resume(&mut self, at: Timestamp) -> Result<(), Refusal> {
        match self.state {
            JobState::Paused => self.state = JobState::Ready,
            JobState::Ready => {}
            _ => return Err(Refusal("it is not paused")),
        }
        self.updated_at = at;
        Ok(())
    }
}

/// Returns the end of `text`, of at most `most` bytes.
fn tail(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(seconds).unwrap()
    }

    fn job() -> Job {
        let now = at(1_000);
        let work = Work::Backup(BackupWork {
            backup: BackupId::new(now),
            database: "shop".parse().unwrap(),
            commit: None,
            branch: None,
            force: false,
            prefer_mark: false,
            backup_type: None,
            tool: None,
            name: None,
            tags: BTreeMap::new(),
        });
        let policy = RetryPolicy { max_attempts: 3, base_s: 10, cap_s: 30 };
        let new = NewJob { work, priority: 0, dedup_key: None, policy, created_by: Line::lossy("Ada") };
        Job::new(JobId::new(now), new, now)
    }

    fn failed(retry: bool) -> AttemptEnd {
        let error = Failure { code: Line::lossy("x"), message: "no".to_owned() };
        AttemptEnd::Failed { error, retry, output: "é".repeat(Job::OUTPUT_BYTES) }
    }

    #[test]
    fn delays_double_up_to_the_cap_and_are_shortened_by_chance() {
        let policy = RetryPolicy { max_attempts: 9, base_s: 10, cap_s: 60 };
        let delays: Vec<u64> = (1..=5).map(|n| policy.delay(n, 0.0).as_secs()).collect();
        assert_eq!(delays, [10, 20, 40, 60, 60]);
        assert_eq!(policy.delay(200, 0.0).as_secs(), 60);
        assert_eq!(policy.delay(2, 1.0).as_secs(), 15);
    }

    #[test]
    fn attempts_are_counted_until_there_are_no_more() {
        let mut job = job();
        for (attempt, state) in
            [JobState::WillRetry, JobState::WillRetry, JobState::PermanentlyFailed].into_iter().enumerate()
        {
            job.claim(Line::lossy("w"), None, Duration::from_secs(60), at(2_000));
            assert!(job.is_held_with(attempt as u64 + 1) && !job.is_held_with(attempt as u64));
            job.end(&failed(true), at(2_001), 0.0);
            assert_eq!((job.state, job.attempts), (state, attempt as u32 + 1));
        }
        assert!(job.history.iter().all(|report| report.output.len() <= Job::OUTPUT_BYTES));
        assert_eq!(job.next_retry_at, None);
        job.retry(at(3_000)).unwrap();
        assert_eq!((job.state, job.attempts, job.token), (JobState::Ready, 0, 3));
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
    }

    #[test]
    fn what_is_handed_back_does_not_count_and_what_is_hopeless_is_not_tried_again() {
        let mut job = job();
        for _ in 0..20 {
            job.claim(Line::lossy("w"), None, Duration::from_secs(60), at(2_000));
            job.end(&AttemptEnd::HandedBack, at(2_001), 0.0);
            assert_eq!((job.state, job.attempts), (JobState::Ready, 0));
        }
        assert_eq!(job.history.len(), Job::HISTORY);
        job.claim(Line::lossy("w"), None, Duration::from_secs(60), at(2_000));
        job.end(&failed(false), at(2_001), 0.0);
        assert_eq!(job.state, JobState::PermanentlyFailed);
    }

    #[test]
    fn a_poison_job_that_kills_its_workers_ends() {
        let mut job = job();
        for _ in 0..3 {
            job.claim(Line::lossy("w"), None, Duration::from_secs(60), at(2_000));
            job.lose(at(2_100), 0.0);
            let wait = [Some(2_100), Some(2_110), None][job.attempts as usize - 1];
            assert_eq!(job.next_retry_at, wait.map(at));
        }
        assert_eq!(job.state, JobState::PermanentlyFailed);
        assert_eq!(job.last_error.unwrap().code.as_str(), "worker-lost");
    }

    #[test]
    fn cancelling_a_running_job_asks_and_then_ends_whatever_the_attempt_says() {
        let mut job = job();
        job.claim(Line::lossy("w"), None, Duration::from_secs(60), at(2_000));
        assert!(job.pause(at(2_000)).is_err() && job.retry(at(2_000)).is_err());
        job.cancel(at(2_001)).unwrap();
        assert!(job.cancel_requested && job.state == JobState::InProgress);
        job.end(&failed(true), at(2_002), 0.0);
        assert_eq!(job.state, JobState::Cancelled);
        job.cancel(at(2_003)).unwrap();
        job.retry(at(2_004)).unwrap();
        job.pause(at(2_005)).unwrap();
        job.resume(at(2_006)).unwrap();
        assert_eq!((job.state, job.finished_at), (JobState::Ready, None));
    }
}

//! Detects the first completed backup after failures.

use crate::domain::{AttemptOutcome, Job, JobKind, JobState};

/// Returns true if `job`, which has just been completed, is the first completed backup of its database
/// after a permanent failure. `others` are all jobs of the queue.
pub fn is_recovery(job: &Job, others: &[Job]) -> bool {
    if job.work.kind() != JobKind::Backup {
        return false;
    }
    // A user has retried the failed job, which restarts the numbers of its attempts.
    let is_failure = |outcome| matches!(outcome, AttemptOutcome::Failed | AttemptOutcome::Lost);
    let again = |pair: &[crate::domain::AttemptReport]| {
        is_failure(pair[0].outcome) && pair[1].number <= pair[0].number
    };
    if job.history.windows(2).any(again) {
        return true;
    }
    let before = others.iter().filter(|other| {
        let same = other.work.database() == job.work.database() && other.work.kind() == JobKind::Backup;
        let ended = matches!(other.state, JobState::Completed | JobState::PermanentlyFailed);
        same && ended && other.id != job.id && other.finished_at <= job.finished_at
    });
    let last = before.max_by_key(|other| (other.finished_at, other.id));
    last.is_some_and(|last| last.state == JobState::PermanentlyFailed)
}

//! Enqueues jobs.

use super::Context;
use crate::automation::BackupJob;
use crate::domain::{CommitId, Line, NewJob};
use crate::failure::Failure;
use crate::output::queue::{DueJob, DueJobs, EnqueuedJob};
use crate::queue::EnqueueResult;
use crate::workspace::queue;

/// Enqueues jobs and prints them. Fails if the queue cannot be opened or written.
pub(crate) fn enqueue(jobs: Vec<BackupJob>, dry_run: bool, context: &Context) -> Result<(), Failure> {
    let mut rows: Vec<DueJob> = Vec::new();
    let place = if jobs.is_empty() { None } else { Some(queue::open(context)?) };
    for BackupJob { database, reason, wish } in jobs {
        let mut row = DueJob { database: database.clone(), reason: reason.clone(), job: None, is_new: None };
        if let (false, Some(queue)) = (dry_run, &place) {
            let enqueued = queue.enqueue(queue::backup_job(context, &database, wish)?)?;
            row.job = Some(enqueued.job.id);
            row.is_new = Some(enqueued.is_new);
            let done = if enqueued.is_new { "queued a backup of" } else { "a job is already queued for" };
            context.ui.status(&format!("{done} {database}: {reason}"));
        } else if !context.ui.wants_json() {
            context.ui.line(format!("would queue a backup of {database}: {reason}"))?;
        }
        rows.push(row);
    }
    if context.ui.wants_json() {
        return Ok(context.ui.json(&DueJobs { jobs: rows, dry_run })?);
    }
    if rows.is_empty() {
        context.ui.status("nothing is due");
    }
    Ok(())
}

/// Returns the current commit of a revision or branch, and the branch. Fails if the revision is
/// unknown.
pub(crate) fn revision(
    commit: Option<&str>,
    branch: Option<&str>,
    context: &Context,
) -> Result<(Option<CommitId>, Option<Line>), Failure> {
    let repository = context.repository()?;
    Ok(match (commit, branch) {
        (Some(revision), _) => (Some(repository.resolve_commit(revision)?.to_commit()), None),
        (None, Some(branch)) => {
            let tip = repository.branch_tip(branch)?.to_commit();
            (Some(tip), Some(queue::line(branch, "--branch")?))
        }
        (None, None) => (None, None),
    })
}

/// Enqueues a job and prints it. Fails if the queue cannot be opened or written.
pub(crate) fn enqueue_job(new: NewJob, context: &Context) -> Result<(), Failure> {
    let EnqueueResult { job, is_new } = queue::open(context)?.enqueue(new)?;
    Ok(context.ui.result(&EnqueuedJob { job: (&job).into(), is_new })?)
}

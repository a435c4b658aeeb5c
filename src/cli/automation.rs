//! Enqueues the jobs of schedules and of watched branches.

use super::Context;
use crate::automation::BackupJob;
use crate::failure::Failure;
use crate::output::queue::{DueJob, DueJobs};
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
            let done = if enqueued.is_new { "queued a backup of" } else { "there is a job already for" };
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

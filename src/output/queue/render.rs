//! Jobs and the queue as text.

use super::{CleanedQueue, EnqueuedJob, JobOutput, QueueStats};
use crate::domain::{AttemptReport, Job, JobState, ShortIds, Timestamp, Work};
use crate::terminal::text::{relative_time, utc_time};
use crate::terminal::{OutputError, Render, Style, Table, Ui};

impl JobOutput {
    /// Returns the work of the job in words: `backup of shop`.
    pub fn title(&self) -> String {
        format!("{} of {}", self.kind, self.database)
    }

    /// Prints the state of the job in one line. Fails if standard output cannot be written.
    pub fn print_state(&self, ui: &Ui) -> Result<(), OutputError> {
        let at = utc_time(self.updated_at);
        let error = self.last_error.as_ref().filter(|_| self.state != JobState::Completed);
        let why = error.map(|error| format!(": {}", error.message)).unwrap_or_default();
        ui.line(format!("{at}  {}  {}  {}{why}", self.id, self.title(), self.state))
    }

    /// Returns labels and values.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("Work:", self.title()),
            ("Backup:", self.backup_id.to_string()),
            ("Priority:", self.priority.to_string()),
            ("Attempts:", format!("{} of {}", self.attempts, self.max_attempts)),
            ("Enqueued:", format!("{} by {}", utc_time(self.created_at), self.created_by)),
        ];
        if let Work::Backup(work) = &self.work {
            lines.extend(work.commit.as_ref().map(|commit| ("Commit:", commit.to_string())));
            lines.extend(work.branch.as_ref().map(|branch| ("Branch:", branch.to_string())));
            lines.extend(work.tool.as_ref().map(|tool| ("Tool:", tool.to_string())));
            lines.extend(work.backup_type.map(|kind| ("Type:", kind.to_string())));
            lines.extend(work.name.as_ref().map(|name| ("Name:", name.to_string())));
        }
        lines.extend(self.dedup_key.as_ref().map(|key| ("Key:", key.to_string())));
        if let (Some(worker), Some(expires_at)) = (&self.worker, self.lease_expires_at) {
            lines.push(("Worker:", format!("{worker}, until {}", utc_time(expires_at))));
        }
        if self.cancel_requested {
            lines.push(("Cancelled:", "at the next heartbeat of the worker".to_owned()));
        }
        lines.extend(self.next_retry_at.map(|at| ("Next try:", utc_time(at))));
        lines.extend(self.finished_at.map(|at| ("Finished:", utc_time(at))));
        lines.extend(self.last_error.as_ref().map(|error| ("Error:", error.message.clone())));
        lines
    }
}

impl Render for JobOutput {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let (id, state) = (self.id.to_string(), self.state.as_str());
        ui.spans(&[(Style::Id, "job "), (Style::Id, &id), (Style::Plain, " "), (state_style(state), state)])?;
        for (label, value) in self.lines() {
            ui.line(format!("{label:<13}{value}").trim_end())?;
        }
        for attempt in &self.history {
            ui.line("")?;
            ui.line(attempt_line(attempt))?;
            if let Some(error) = &attempt.error {
                ui.line(format!("    {}: {}", error.code, error.message))?;
            }
            for line in attempt.output.lines() {
                ui.line(format!("    | {line}"))?;
            }
        }
        Ok(())
    }
}

/// Returns an attempt in one line: `attempt 2 on db1-4711: failed after 3 s`.
fn attempt_line(attempt: &AttemptReport) -> String {
    let AttemptReport { number, worker, started_at, ended_at, outcome, .. } = attempt;
    format!(
        "attempt {number} on {worker}: {outcome} after {} s, at {}",
        ended_at.seconds_since(*started_at).max(0),
        utc_time(*ended_at)
    )
}

impl Render for EnqueuedJob {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let title = self.job.title();
        match self.is_new {
            true => ui.status(&format!("enqueued a {title}")),
            false => ui.status(&format!("a {title} with this key is already waiting")),
        }
        ui.line(self.job.id)
    }
}

impl Render for CleanedQueue {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let plural = if self.removed == 1 { "" } else { "s" };
        ui.status(&format!("removed {} finished job{plural}", self.removed));
        Ok(())
    }
}

impl Render for QueueStats {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        for state in JobState::ALL {
            let count = self.jobs.get(state.as_str()).copied().unwrap_or(0);
            ui.line(format!("{:<20}{count:>8}", state.as_str()))?;
        }
        ui.line(format!("{:<20}{:>8}", "due now", self.due))?;
        if self.due > 0 {
            ui.line(format!("the oldest due job has been waiting for {} s", self.oldest_due_s))?;
        }
        if self.expired_leases > 0 {
            ui.line(format!("running jobs with an expired lease: {}", self.expired_leases))?;
        }
        if let Some(at) = self.last_completed_at {
            ui.line(format!("the last job was completed at {}", utc_time(at)))?;
        }
        Ok(())
    }
}

/// Returns the table of jobs, one row each.
pub fn job_table(jobs: &[Job], ids: &ShortIds, now: Timestamp) -> Table {
    let header = ["ID", "KIND", "DATABASE", "STATE", "PRIORITY", "ATTEMPTS", "AGE", "DETAILS"];
    let mut table = Table::new(header).right(4).right(5).paint(0, Style::of_id).paint(3, state_style);
    for job in jobs {
        table.row([
            ids.of(job.id),
            job.work.kind().to_string(),
            job.work.database().to_string(),
            job.state.to_string(),
            job.priority.to_string(),
            format!("{}/{}", job.attempts, job.policy.max_attempts),
            relative_time(job.created_at, now),
            details(job),
        ]);
    }
    table
}

/// Returns the worker or the error of a job in one line.
fn details(job: &Job) -> String {
    match (job.state, &job.lease, &job.last_error) {
        (JobState::InProgress, Some(lease), _) if job.cancel_requested => {
            format!("on {}, to be cancelled", lease.worker)
        }
        (JobState::InProgress, Some(lease), _) => format!("on {}", lease.worker),
        (JobState::WillRetry, _, error) => {
            let at = job.next_retry_at.map(|at| format!("at {}", utc_time(at))).unwrap_or_default();
            let why = error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default();
            format!("{at}{why}")
        }
        (JobState::PermanentlyFailed, _, Some(error)) => error.message.clone(),
        _ => String::new(),
    }
}

fn state_style(state: &str) -> Style {
    match state {
        "completed" => Style::Good,
        "permanently_failed" => Style::Bad,
        "in_progress" | "will_retry" => Style::Attention,
        "cancelled" | "paused" => Style::Dim,
        _ => Style::Plain,
    }
}

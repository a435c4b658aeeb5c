//! `git pggit queue show`

use crate::cli::Context;
use crate::domain::{AttemptReport, Job, Work};
use crate::failure::Failure;
use crate::output::queue::JobOutput;
use crate::terminal::Style;
use crate::workspace::queue;

use super::view;

/// Show a job with its attempts
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The job: its id, or the beginning of it
    #[arg(value_name = "JOB")]
    job: String,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit queue show 0193f1a2
    git pggit queue show 0193f1a2 --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let queue = queue::open(context)?;
    let job = queue.get(super::find(queue.as_ref(), &args.job)?)?;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&JobOutput::from(&job))?);
    }
    context.page()?;
    let (id, state) = (job.id.to_string(), job.state.as_str());
    context.ui.spans(&[
        (Style::Id, "job "),
        (Style::Id, &id),
        (Style::Plain, " "),
        (view::state_style(state), state),
    ])?;
    for (label, value) in lines(&job) {
        context.ui.line(format!("{label:<13}{value}").trim_end())?;
    }
    for attempt in &job.history {
        context.ui.line("")?;
        context.ui.line(attempt_line(attempt))?;
        if let Some(error) = &attempt.error {
            context.ui.line(format!("    {}: {}", error.code, error.message))?;
        }
        for line in attempt.output.lines() {
            context.ui.line(format!("    | {line}"))?;
        }
    }
    Ok(())
}

fn lines(job: &Job) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("Work:", view::title(job)),
        ("Backup:", job.work.backup().to_string()),
        ("Priority:", job.priority.to_string()),
        ("Attempts:", format!("{} of {}", job.attempts, job.policy.max_attempts)),
        ("Enqueued:", format!("{} by {}", view::time(job.created_at), job.created_by)),
    ];
    if let Work::Backup(work) = &job.work {
        lines.extend(work.commit.as_ref().map(|commit| ("Commit:", commit.to_string())));
        lines.extend(work.branch.as_ref().map(|branch| ("Branch:", branch.to_string())));
        lines.extend(work.tool.as_ref().map(|tool| ("Tool:", tool.to_string())));
        lines.extend(work.backup_type.map(|kind| ("Type:", kind.to_string())));
        lines.extend(work.name.as_ref().map(|name| ("Name:", name.to_string())));
    }
    lines.extend(job.dedup_key.as_ref().map(|key| ("Key:", key.to_string())));
    if let Some(lease) = &job.lease {
        lines.push(("Worker:", format!("{}, until {}", lease.worker, view::time(lease.expires_at))));
    }
    if job.cancel_requested {
        lines.push(("Cancelled:", "as soon as the worker hears of it".to_owned()));
    }
    lines.extend(job.next_retry_at.map(|at| ("Next try:", view::time(at))));
    lines.extend(job.finished_at.map(|at| ("Finished:", view::time(at))));
    lines.extend(job.last_error.as_ref().map(|error| ("Error:", error.message.clone())));
    lines
}

/// `attempt 2 on db1-4711: failed after 3 s`
fn attempt_line(attempt: &AttemptReport) -> String {
    let AttemptReport { number, worker, started_at, ended_at, outcome, .. } = attempt;
    format!(
        "attempt {number} on {worker}: {outcome} after {} s, at {}",
        ended_at.seconds_since(*started_at).max(0),
        view::time(*ended_at)
    )
}

//! Logs the events of the worker.

use tracing::{error, info, warn};

use super::events::{Event, Listener};
use crate::domain::Job;

/// Writes events to the server log.
#[derive(Debug)]
pub struct EventLogger;

/// `backup of shop`
fn title(job: &Job) -> String {
    format!("{} of {}", job.work.kind(), job.work.database())
}

macro_rules! job_line {
    ($level:ident, $job:expr, $message:literal $(, $name:ident = $value:expr)*) => {
        $level!(
            job = %$job.id, backup = %$job.work.backup(), database = %$job.work.database(), attempt = $job.attempts
            $(, $name = $value)*, "{}: {}", title($job), $message
        )
    };
}

impl Listener for EventLogger {
    fn on(&self, event: &Event) {
        match event {
            Event::Started { worker, concurrency } => {
                info!(%worker, concurrency, "worker started");
            }
            Event::Queue { reachable: true, .. } => info!("queue reachable again"),
            Event::Queue { detail, .. } => {
                warn!(detail = detail.as_deref().unwrap_or_default(), "queue unreachable");
            }
            Event::Claimed { job, waited } => {
                job_line!(info, job, "claimed", waited_ms = waited.as_millis() as u64);
            }
            Event::Succeeded { job, took, measured } => {
                let (size, stored) = (measured.size_bytes, measured.stored_bytes);
                job_line!(
                    info,
                    job,
                    "completed",
                    took_ms = took.as_millis() as u64,
                    size_bytes = size,
                    stored_bytes = stored
                );
            }
            Event::WillRetry { job, error, took } => {
                let at = job.next_retry_at.map(|at| at.to_string());
                job_line!(
                    warn,
                    job,
                    "failed, will be retried",
                    took_ms = took.as_millis() as u64,
                    error = error.message.as_str(),
                    code = error.code.as_str(),
                    next_retry_at = at
                );
            }
            Event::FailedForGood { job, error, took } => {
                let took_ms = took.as_millis() as u64;
                job_line!(
                    error,
                    job,
                    "failed permanently",
                    took_ms = took_ms,
                    error = error.message.as_str(),
                    code = error.code.as_str()
                );
            }
            Event::Cancelled { job } => job_line!(info, job, "cancelled"),
            Event::HandedBack { job } => job_line!(info, job, "handed back"),
            Event::LeaseLost { job } => job_line!(warn, job, "lease lost, another worker may have the job"),
            Event::Alive => {}
            Event::Stopping => info!("worker stopping, claims no more jobs"),
        }
    }
}

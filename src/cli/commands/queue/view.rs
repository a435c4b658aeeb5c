//! How jobs are shown.

use serde_json::{Value, json};

use crate::cli::ui::Style;
use crate::domain::{Job, Timestamp};

/// A job for machines: what the view `backup_jobs` shows of it, and the rest.
pub(super) fn json(job: &Job) -> Value {
    let lease = job.lease.as_ref();
    json!({
        "id": job.id,
        "backup_id": job.work.backup(),
        "database": job.work.database(),
        "tool": job.work.tool(),
        "kind": job.work.kind(),
        "state": job.state,
        "priority": job.priority,
        "attempts": job.attempts,
        "max_attempts": job.policy.max_attempts,
        "next_retry_at": job.next_retry_at,
        "worker": lease.map(|lease| &lease.worker),
        "lease_expires_at": lease.map(|lease| lease.expires_at),
        "cancel_requested": job.cancel_requested,
        "last_error": job.last_error,
        "dedup_key": job.dedup_key,
        "created_at": job.created_at,
        "created_by": job.created_by,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "updated_at": job.updated_at,
        "work": job.work,
        "history": job.history,
    })
}

/// `backup of shop`
pub(super) fn title(job: &Job) -> String {
    format!("{} of {}", job.work.kind(), job.work.database())
}

/// How a state looks.
pub(super) fn state_style(state: &str) -> Style {
    match state {
        "completed" => Style::Good,
        "permanently_failed" => Style::Bad,
        "in_progress" | "will_retry" => Style::Attention,
        "cancelled" | "paused" => Style::Dim,
        _ => Style::Plain,
    }
}

/// How an id looks.
pub(super) fn id_style(_: &str) -> Style {
    Style::Id
}

/// A time in UTC to the second.
pub(super) fn time(at: Timestamp) -> String {
    at.as_datetime().format("%Y-%m-%d %H:%M:%SZ").to_string()
}

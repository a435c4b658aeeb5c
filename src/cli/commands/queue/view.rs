//! How jobs are shown.

use crate::domain::{Job, Timestamp};
use crate::terminal::Style;

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

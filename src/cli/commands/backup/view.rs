//! How records are shown, and how a command says that it changed one.

use crate::backup;
use crate::cli::Context;
use crate::domain::{Backup, Timestamp, VerificationStatus, Verified};
use crate::failure::Failure;
use crate::git::{Oid, Repository};
use crate::ledger::{Entry, Row};
use crate::output::backup::RecordOutput;
use crate::terminal::Style;
use crate::terminal::text::relative_time;

/// The state of a backup as people are told it.
pub(super) fn displayed(row: &Row<'_>) -> &'static str {
    backup::displayed(row.status(), row.owner().as_ref())
}

/// What the verifications of a backup come to, and since when: `restore-test 2
/// days ago`.
pub(super) fn verified(verified: Option<Verified>, now: Timestamp) -> String {
    let Some(Verified { kind, status, at }) = verified else { return "-".to_owned() };
    let status = match status {
        VerificationStatus::Passed => "",
        VerificationStatus::Warning => " warning",
        VerificationStatus::Failed => " failed",
    };
    format!("{}{status} {}", kind.word(), relative_time(at, now))
}

/// How that looks.
pub(super) fn verified_style(verified: &str) -> Style {
    match verified {
        "-" => Style::Plain,
        text if text.contains(" failed ") => Style::Bad,
        text if text.contains(" warning ") => Style::Attention,
        _ => Style::Good,
    }
}

/// How a state looks.
pub(super) fn status_style(status: &str) -> Style {
    match status {
        "completed" | "ok" => Style::Good,
        "failed"
        | "interrupted"
        | "no_backup"
        | "no_full_backup"
        | "bytes_missing"
        | "verification_failed" => Style::Bad,
        "in_progress" => Style::Attention,
        "expired" | "deleted" => Style::Dim,
        _ => Style::Plain,
    }
}

/// How an id or a commit looks.
pub(in crate::cli) fn id_style(_: &str) -> Style {
    Style::Id
}

/// A time in UTC to the second.
pub(in crate::cli) fn time(at: Timestamp) -> String {
    at.as_datetime().format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `shop/nightly (0193f1a2-...)`, to be found again by all three.
pub(super) fn title(backup: &Backup) -> String {
    format!("{} of {} ({})", backup.name, backup.database, backup.id)
}

/// First line of the message of a commit; empty when the commit cannot be read,
/// as in a shallow clone.
pub(super) fn subject(backup: &Backup, context: &Context) -> Result<String, Failure> {
    Ok(subject_of(Oid::from(&backup.commit), context.repository()?))
}

/// The same of the commit itself.
pub(super) fn subject_of(commit: Oid, repository: &Repository) -> String {
    repository.summary(commit).map(|summary| summary.subject).unwrap_or_default()
}

/// Says that a record was changed, or with `--json` what it is now.
pub(super) fn changed(entry: &Entry, said: &str, context: &Context) -> Result<(), Failure> {
    if context.ui.wants_json() {
        return Ok(context.ui.json(&RecordOutput::from(&entry.backup))?);
    }
    context.ui.status(said);
    Ok(())
}

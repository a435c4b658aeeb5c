//! Titles, verifications and states of backups in words and colours.

use super::RecordOutput;
use crate::domain::{Backup, Timestamp, VerificationStatus, Verified};
use crate::ledger::Entry;
use crate::migrations::{CommitWarning, Doubt};
use crate::terminal::text::relative_time;
use crate::terminal::{OutputError, Style, Ui};

/// Returns the name, database and id of a backup: `nightly of shop (0193f1a2-...)`.
pub fn title(backup: &Backup) -> String {
    format!("{} of {} ({})", backup.name, backup.database, backup.id)
}

/// Returns the best verification of a backup and its age: `restore-test 2 days ago`.
pub(super) fn verified(verified: Option<Verified>, now: Timestamp) -> String {
    let Some(Verified { kind, status, at }) = verified else { return "-".to_owned() };
    let status = match status {
        VerificationStatus::Passed => "",
        VerificationStatus::Warning => " warning",
        VerificationStatus::Failed => " failed",
    };
    format!("{}{status} {}", kind.word(), relative_time(at, now))
}

/// Returns the style of a text of [`verified`].
pub(super) fn verified_style(verified: &str) -> Style {
    match verified {
        "-" => Style::Plain,
        text if text.contains(" failed ") => Style::Bad,
        text if text.contains(" warning ") => Style::Attention,
        _ => Style::Good,
    }
}

/// Returns the style of a displayed status of a backup, a state of coverage or a kind of event.
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

/// Prints a changed record: with `--json` the record, otherwise `text`. Fails if standard output cannot
/// be written.
pub fn print_changed(entry: &Entry, text: &str, ui: &Ui) -> Result<(), OutputError> {
    if ui.wants_json() {
        return ui.json(&RecordOutput::from(&entry.backup));
    }
    ui.status(text);
    Ok(())
}

/// Prints the reasons to doubt the commit of a new backup, and what to do.
pub fn print_commit_warnings(warnings: &[CommitWarning], ui: &Ui) {
    for warning in warnings {
        ui.warning(&warning.message);
        match warning.doubt {
            Doubt::Assumed => ui.hint("'git pggit mark' records the commit in the database"),
            Doubt::MigrationsDiffer | Doubt::MigrationsUnknown => {
                ui.hint("'git pggit migrations' shows the state of each migration");
            }
            Doubt::SchemasDiffer => ui.hint("'git pggit backup diff' shows the difference"),
            Doubt::MarkDiffers => {}
        }
    }
}

//! The text of a backup with its dependencies and its events.

use serde_json::Value;

use super::words::status_style;
use super::{CommitWarningOutput, IgnoredEvent, LedgerPlace, ShownBackup};
use crate::backup::{displayed_row_status, displayed_status};
use crate::domain::{
    Artifact, Backup, BackupId, Event, Hold, Ignored, Restoration, Verification, human_bytes,
};
use crate::ledger::{Entry, Overview, REFS_PREFIX, Row, reason};
use crate::migrations::CommitWarning;
use crate::terminal::text::utc_time;
use crate::terminal::{OutputError, Style, Ui};

/// A record with its schema commit and the related backups.
pub struct BackupStory<'a> {
    entry: &'a Entry,
    subject: String,
    names: Vec<String>,
    warnings: Vec<CommitWarning>,
    needs: Vec<String>,
    needed_by: Vec<Row<'a>>,
}

impl<'a> BackupStory<'a> {
    /// Collects the backups that this one needs and the backups that depend on it. `subject` is that of
    /// the schema commit, `names` are its branches and tags, `warnings` the reasons to doubt it.
    pub fn new(
        entry: &'a Entry,
        subject: String,
        names: Vec<String>,
        warnings: Vec<CommitWarning>,
        overview: &'a Overview,
    ) -> Self {
        let backup = &entry.backup;
        let needs_it = |other: &Row<'_>| other.needs().any(|needed| needed == backup.id);
        Self {
            entry,
            subject,
            names,
            warnings,
            needs: backup.depends_on.iter().map(|needed| needed_line(needed.id, overview)).collect(),
            needed_by: overview.rows().filter(needs_it).collect(),
        }
    }

    /// Prints the backup as text. Fails if standard output cannot be written.
    pub fn print(&self, ui: &Ui) -> Result<(), OutputError> {
        let backup = &self.entry.backup;
        let (status, id) = (displayed_status(backup), backup.id.to_string());
        ui.spans(&[
            (Style::Id, "backup "),
            (Style::Id, &id),
            (Style::Plain, " "),
            (status_style(status), status),
        ])?;
        self.lines().iter().try_for_each(|(label, value)| ui.line(format!("{label:<13}{value}").trim_end()))
    }

    fn reference(&self) -> String {
        format!("{REFS_PREFIX}{}", self.entry.backup.commit)
    }

    /// Returns labels and values. The label appears only on the first of several lines of one kind.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let backup = &self.entry.backup;
        let names =
            if self.names.is_empty() { String::new() } else { format!(" ({})", self.names.join(", ")) };
        let mut lines = vec![
            ("Name:", backup.name.to_string()),
            ("Database:", backup.database.to_string()),
            ("Commit:", format!("{} {}{names}", backup.commit, self.subject)),
        ];
        lines.extend(block("Warning:", self.warnings.iter().map(|warning| warning.message.clone())));
        lines.extend(backup.branch.as_ref().map(|branch| ("Branch:", branch.to_string())));
        lines.push(("Type:", backup.kind.to_string()));
        let version = backup.tool.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        lines.push(("Tool:", format!("{}{version}", backup.tool.name)));
        lines.extend(stored(backup));
        lines.extend(times(backup));
        lines.extend(server(backup));
        if let Some(error) = &backup.error {
            lines.extend(block(
                "Error:",
                format!("{}: {}", error.code, error.message).lines().map(str::to_owned),
            ));
        }
        lines.extend(block("Needs:", self.needs.iter().cloned()));
        let needed_by =
            |other: &Row<'_>| format!("{} {} ({})", other.id(), other.name(), displayed_row_status(other));
        lines.extend(block("Needed by:", self.needed_by.iter().map(needed_by)));
        lines.extend(block("Tags:", [backup.tags_line()].into_iter().filter(|tags| !tags.is_empty())));
        let hold = |hold: &Hold| format!("{} {} by {}: {}", hold.id, utc_time(hold.at), hold.by, hold.reason);
        lines.extend(block("Held:", backup.holds.iter().map(hold)));
        let verified =
            |it: &Verification| format!("{} {} {} by {}", it.kind, it.status, utc_time(it.at), it.by);
        lines.extend(block("Verified:", backup.verifications.iter().map(verified)));
        let restored = |it: &Restoration| {
            let (commit, at) = (it.commit.short(), utc_time(it.at));
            format!("{} {at} at commit {commit} by {} as {}", it.mode, it.by, it.target)
        };
        lines.extend(block("Restored:", backup.restores.iter().map(restored)));
        let fact = |(key, value): (&String, &Value)| format!("{key}={value}");
        lines.extend(block("Metadata:", backup.metadata.as_map().iter().map(fact)));
        lines.extend(block("Events:", self.entry.record.ordered().into_iter().map(event_line)));
        let ignored = |it: &Ignored| format!("{} was ignored: {}", it.id, it.reason);
        lines.extend(block("Ignored:", self.entry.ignored.iter().map(ignored)));
        lines.push(("Ledger:", format!("{} in {}", self.reference(), self.entry.tip)));
        lines
    }
}

impl From<&BackupStory<'_>> for ShownBackup {
    fn from(story: &BackupStory<'_>) -> Self {
        let entry = story.entry;
        let ignored = entry.ignored.iter();
        Self {
            record: (&entry.backup).into(),
            subject: story.subject.clone(),
            names: story.names.clone(),
            needed_by: story.needed_by.iter().map(Row::id).collect(),
            events: entry.record.ordered().into_iter().map(Into::into).collect(),
            ignored: ignored.map(|it| IgnoredEvent { id: it.id, reason: it.reason.clone() }).collect(),
            warnings: CommitWarningOutput::of(entry.backup.id, story.warnings.clone()),
            ledger: LedgerPlace { reference: story.reference(), commit: entry.tip.to_string() },
        }
    }
}

fn needed_line(id: BackupId, overview: &Overview) -> String {
    match overview.get(id) {
        Some(row) => format!("{id} {} ({})", row.name(), displayed_row_status(&row)),
        None => format!("{id} (no such record)"),
    }
}

fn block(
    label: &'static str,
    values: impl Iterator<Item = String>,
) -> impl Iterator<Item = (&'static str, String)> {
    values.enumerate().map(move |(at, value)| (if at == 0 { label } else { "" }, value))
}

/// Returns an event in one line: `2026-11-21 03:40:06Z completed by Ada <ada@example.com> on db1`.
fn event_line(event: &Event) -> String {
    let said = reason(event).map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{} {} by {} on {}{said}", utc_time(event.at), event.body.kind(), event.by, event.host)
}

/// Returns the sizes, digests and place of the bytes.
fn stored(backup: &Backup) -> Vec<(&'static str, String)> {
    let size = |bytes: u64| format!("{} ({bytes} bytes)", human_bytes(bytes));
    let mut lines = Vec::new();
    lines.extend(backup.size_bytes.map(|bytes| ("Size:", size(bytes))));
    lines.extend(backup.stored_bytes.map(|bytes| ("Stored:", size(bytes))));
    lines.extend(backup.compression.as_ref().map(|it| ("Compression:", it.to_string())));
    lines.extend(backup.encryption.as_ref().map(|it| ("Encrypted:", format!("with {}", it.key_id))));
    lines.extend(backup.location.as_ref().map(|it| ("Location:", it.to_string())));
    lines.extend(backup.digest.as_ref().map(|it| ("Digest:", it.to_string())));
    let artifact = |it: &Artifact| format!("{} {} {}", it.name, size(it.size_bytes), it.digest);
    lines.extend(block("Artifacts:", backup.artifacts.iter().map(artifact)));
    lines
}

fn times(backup: &Backup) -> Vec<(&'static str, String)> {
    let (by, host) = (&backup.created_by, &backup.host);
    let mut lines = vec![("Registered:", format!("{} by {by} on {host}", utc_time(backup.registered_at)))];
    if let Some(attempt) = backup.attempt.as_ref().filter(|attempt| attempt.number > 1) {
        lines.push(("Attempt:", attempt.number.to_string()));
    }
    lines.extend(backup.started_at.map(|at| ("Started:", utc_time(at))));
    lines.extend(backup.completed_at.map(|at| ("Completed:", utc_time(at))));
    lines.extend(backup.expires_at.map(|at| ("Expires:", utc_time(at))));
    lines
}

/// Returns the lines about the server that was backed up.
fn server(backup: &Backup) -> Vec<(&'static str, String)> {
    let Some(postgres) = &backup.postgres else { return Vec::new() };
    let facts = [
        postgres.version.as_ref().map(|it| format!("PostgreSQL {it}")),
        postgres.dbname.as_ref().map(|it| format!("database {it}")),
        postgres.size_bytes.map(|it| format!("{} in the server", human_bytes(it))),
        postgres.system_identifier.as_ref().map(|it| format!("system {it}")),
        postgres.timeline.map(|it| format!("timeline {it}")),
        postgres.start_lsn.map(|it| format!("from {it}")),
        postgres.stop_lsn.map(|it| format!("to {it}")),
    ];
    vec![("Server:", facts.into_iter().flatten().collect::<Vec<_>>().join(", "))]
}

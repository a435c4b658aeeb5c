//! `git pggit backup show`

use serde_json::Value;

use crate::backup::displayed_status;
use crate::cli::Context;
use crate::domain::{Backup, Event, human_bytes};
use crate::failure::Failure;
use crate::git::Oid;
use crate::ledger::{Entry, Overview, REFS_PREFIX, Row, reason};
use crate::output::backup::{IgnoredEvent, LedgerPlace, ShownBackup};
use crate::terminal::Style;

use super::select::One;
use super::view;

/// Show a backup with everything that is known about it
///
/// Shows the record, the commit with its branches and tags, the backups it
/// needs and those that need it, its events, and where git has the record.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup show latest
    git pggit backup show nightly --database shop
    git pggit backup show 0193f1a2 --json";

/// A record with its surroundings.
struct Story<'a> {
    entry: &'a Entry,
    subject: String,
    names: Vec<String>,
    needs: Vec<String>,
    needed_by: Vec<Row<'a>>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let overview = context.overview()?;
    let entry = &context.ledger()?.entry(&args.one.find_in(&overview)?)?;
    let backup = &entry.backup;
    let names = context.repository()?.names_at(Oid::from(&backup.commit))?;
    let story = Story {
        entry,
        subject: view::subject(backup, context)?,
        names,
        needs: backup.depends_on.iter().map(|needed| needed_line(needed.id, &overview)).collect(),
        needed_by: needed_by(backup, &overview),
    };
    if context.ui.wants_json() {
        return Ok(context.ui.json(&story.output())?);
    }
    context.page()?;
    let status = displayed_status(backup);
    let id = backup.id.to_string();
    context.ui.spans(&[
        (Style::Id, "backup "),
        (Style::Id, &id),
        (Style::Plain, " "),
        (view::status_style(status), status),
    ])?;
    for (label, value) in story.lines() {
        context.ui.line(format!("{label:<13}{value}").trim_end())?;
    }
    Ok(())
}

fn needed_line(id: crate::domain::BackupId, overview: &Overview) -> String {
    match overview.get(id) {
        Some(row) => format!("{id} {} ({})", row.name(), view::displayed(&row)),
        None => format!("{id} (there is no such record)"),
    }
}

fn needed_by<'a>(backup: &Backup, overview: &'a Overview) -> Vec<Row<'a>> {
    overview.rows().filter(|other| other.needs().any(|needed| needed == backup.id)).collect()
}

impl Story<'_> {
    fn output(&self) -> ShownBackup {
        let ignored = self.entry.ignored.iter();
        ShownBackup {
            record: (&self.entry.backup).into(),
            subject: self.subject.clone(),
            names: self.names.clone(),
            needed_by: self.needed_by.iter().map(Row::id).collect(),
            events: self.entry.record.ordered().into_iter().map(Into::into).collect(),
            ignored: ignored.map(|it| IgnoredEvent { id: it.id, reason: it.reason.clone() }).collect(),
            ledger: LedgerPlace { reference: self.reference(), commit: self.entry.tip.to_string() },
        }
    }

    fn reference(&self) -> String {
        format!("{REFS_PREFIX}{}", self.entry.backup.commit)
    }

    /// Labels and values; several lines of one kind have the label once.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let backup = &self.entry.backup;
        let names =
            if self.names.is_empty() { String::new() } else { format!(" ({})", self.names.join(", ")) };
        let mut lines = vec![
            ("Name:", backup.name.to_string()),
            ("Database:", backup.database.to_string()),
            ("Commit:", format!("{} {}{names}", backup.commit, self.subject)),
        ];
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
            |other: &Row<'_>| format!("{} {} ({})", other.id(), other.name(), view::displayed(other));
        lines.extend(block("Needed by:", self.needed_by.iter().map(needed_by)));
        lines.extend(block("Tags:", [backup.tags_line()].into_iter().filter(|tags| !tags.is_empty())));
        let hold = |hold: &crate::domain::Hold| {
            format!("{} {} by {}: {}", hold.id, view::time(hold.at), hold.by, hold.reason)
        };
        lines.extend(block("Held:", backup.holds.iter().map(hold)));
        let verified = |it: &crate::domain::Verification| {
            format!("{} {} {} by {}", it.kind, it.status, view::time(it.at), it.by)
        };
        lines.extend(block("Verified:", backup.verifications.iter().map(verified)));
        let restored = |it: &crate::domain::Restoration| {
            let (commit, at) = (it.commit.short(), view::time(it.at));
            format!("{} {at} at commit {commit} by {} as {}", it.mode, it.by, it.target)
        };
        lines.extend(block("Restored:", backup.restores.iter().map(restored)));
        let fact = |(key, value): (&String, &Value)| format!("{key}={value}");
        lines.extend(block("Metadata:", backup.metadata.as_map().iter().map(fact)));
        lines.extend(block("Events:", self.entry.record.ordered().into_iter().map(event_line)));
        let ignored = |it: &crate::domain::Ignored| format!("{} was ignored: {}", it.id, it.reason);
        lines.extend(block("Ignored:", self.entry.ignored.iter().map(ignored)));
        lines.push(("Ledger:", format!("{} in {}", self.reference(), self.entry.tip)));
        lines
    }
}

fn block(
    label: &'static str,
    values: impl Iterator<Item = String>,
) -> impl Iterator<Item = (&'static str, String)> {
    values.enumerate().map(move |(at, value)| (if at == 0 { label } else { "" }, value))
}

/// `2026-11-21 03:40:06Z completed by Ada <ada@example.com> on db1`
fn event_line(event: &Event) -> String {
    let said = reason(event).map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{} {} by {} on {}{said}", view::time(event.at), event.body.kind(), event.by, event.host)
}

/// What and where the bytes are.
fn stored(backup: &Backup) -> Vec<(&'static str, String)> {
    let size = |bytes: u64| format!("{} ({bytes} bytes)", human_bytes(bytes));
    let mut lines = Vec::new();
    lines.extend(backup.size_bytes.map(|bytes| ("Size:", size(bytes))));
    lines.extend(backup.stored_bytes.map(|bytes| ("Stored:", size(bytes))));
    lines.extend(backup.compression.as_ref().map(|it| ("Compression:", it.to_string())));
    lines.extend(backup.encryption.as_ref().map(|it| ("Encrypted:", format!("with {}", it.key_id))));
    lines.extend(backup.location.as_ref().map(|it| ("Location:", it.to_string())));
    lines.extend(backup.digest.as_ref().map(|it| ("Digest:", it.to_string())));
    let artifact =
        |it: &crate::domain::Artifact| format!("{} {} {}", it.name, size(it.size_bytes), it.digest);
    lines.extend(block("Artifacts:", backup.artifacts.iter().map(artifact)));
    lines
}

fn times(backup: &Backup) -> Vec<(&'static str, String)> {
    let (by, host) = (&backup.created_by, &backup.host);
    let mut lines = vec![("Registered:", format!("{} by {by} on {host}", view::time(backup.registered_at)))];
    if let Some(attempt) = backup.attempt.as_ref().filter(|attempt| attempt.number > 1) {
        lines.push(("Attempt:", attempt.number.to_string()));
    }
    lines.extend(backup.started_at.map(|at| ("Started:", view::time(at))));
    lines.extend(backup.completed_at.map(|at| ("Completed:", view::time(at))));
    lines.extend(backup.expires_at.map(|at| ("Expires:", view::time(at))));
    lines
}

/// The server that was backed up.
fn server(backup: &Backup) -> Vec<(&'static str, String)> {
    let Some(postgres) = &backup.postgres else { return Vec::new() };
    let facts = [
        postgres.version.as_ref().map(|it| format!("PostgreSQL {it}")),
        postgres.dbname.as_ref().map(|it| format!("database {it}")),
        postgres.size_bytes.map(|it| format!("{} there", human_bytes(it))),
        postgres.system_identifier.as_ref().map(|it| format!("system {it}")),
        postgres.timeline.map(|it| format!("timeline {it}")),
        postgres.start_lsn.map(|it| format!("from {it}")),
        postgres.stop_lsn.map(|it| format!("to {it}")),
    ];
    vec![("Server:", facts.into_iter().flatten().collect::<Vec<_>>().join(", "))]
}

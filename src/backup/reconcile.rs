//! Compares the catalogue of a backup tool with the ledger, in both directions.

use crate::domain::{Backup, Body, Deleted, Expired, Line, Status};
use crate::ledger::{Entry, RecordChange};
use crate::tools::adapter::CatalogEntry;

use super::import::{catalogue_of, is_unfinished, record_of, recorded};
use super::{Error, Import};

/// The differences between the ledger and a catalogue.
#[derive(Debug, Default)]
pub struct Differences {
    /// Recorded backups that are missing in the catalogue.
    pub gone: Vec<Entry>,
    /// Backups of the catalogue that have no record.
    pub unknown: Vec<CatalogEntry>,
    /// Backups in both that differ, each with its differences.
    pub changed: Vec<(Entry, Vec<String>)>,
    /// The number of backups that do not differ.
    pub same: usize,
}

/// Returns the differences and changes nothing. Fails if the catalogue or a record cannot be read.
pub fn reconcile(import: &Import<'_>) -> Result<Differences, Error> {
    let (catalogue, entries) = (catalogue_of(import.adapter)?, recorded(import)?);
    let mut differences = Differences::default();
    for item in &catalogue {
        match record_of(&entries, item) {
            None => differences.unknown.push(item.clone()),
            Some(entry) => match changes(&entry.backup, item) {
                changes if changes.is_empty() => differences.same += 1,
                changes => differences.changed.push((entry.clone(), changes)),
            },
        }
    }
    let is_here =
        |entry: &Entry| catalogue.iter().any(|item| record_of(std::slice::from_ref(entry), item).is_some());
    for entry in entries {
        let backup = &entry.backup;
        let expected = matches!(backup.status, Status::Completed | Status::Expired);
        let held = backup.location.as_ref().is_some_and(|location| import.adapter.holds(location));
        if expected && held && !is_here(&entry) {
            differences.gone.push(entry);
        }
    }
    Ok(differences)
}

/// Records that a backup is missing in the catalogue, as expired and deleted. Fails if the ledger
/// cannot be written.
pub fn record_gone(import: &Import<'_>, entry: &Entry) -> Result<Entry, Error> {
    let reason = Line::lossy(&format!("missing in the catalogue of {}", import.adapter.name()));
    let decide = |entry: &Entry| {
        let mut bodies = Vec::new();
        if entry.backup.status == Status::Completed {
            bodies.push(Body::from(Expired { reason: reason.clone() }));
        }
        if matches!(entry.backup.status, Status::Completed | Status::Expired) {
            bodies.push(Body::from(Deleted { reason: reason.clone() }));
        }
        Ok(RecordChange { bodies, schema: None })
    };
    Ok(import.ledger.append_at(&entry.backup.commit, entry.backup.id, decide)?)
}

/// Returns the differences between a record and the catalogue as messages.
fn changes(backup: &Backup, item: &CatalogEntry) -> Vec<String> {
    let mut changes = Vec::new();
    match (backup.status, &item.usable) {
        (Status::Deleted, _) => changes.push("it is recorded as deleted, but still exists".to_owned()),
        (Status::Completed | Status::Expired, Err(why)) => changes.push(format!("it is not usable: {why}")),
        (_, Ok(())) if is_unfinished(backup) => {
            changes.push("it is complete, but not recorded as completed".to_owned());
        }
        _ => {}
    }
    if !matches!(backup.status, Status::Completed | Status::Expired) {
        return changes;
    }
    if backup.kind != item.kind {
        changes.push(format!("its type is {}, not {}", item.kind, backup.kind));
    }
    if let Some(commit) = item.commit.as_ref().filter(|commit| **commit != backup.commit) {
        changes.push(format!(
            "it is annotated with commit {}, not {}",
            commit.short(),
            backup.commit.short()
        ));
    }
    let postgres = backup.postgres.clone().unwrap_or_default();
    for (what, recorded, now) in [
        ("first LSN", postgres.start_lsn, item.made.postgres.start_lsn),
        ("last LSN", postgres.stop_lsn, item.made.postgres.stop_lsn),
    ] {
        if let (Some(recorded), Some(now)) = (recorded, now)
            && recorded != now
        {
            changes.push(format!("its {what} is {now}, not {recorded}"));
        }
    }
    if let (Some(recorded), Some(now)) = (&postgres.system_identifier, &item.made.postgres.system_identifier)
        && recorded != now
    {
        changes.push(format!("it belongs to cluster {now}, not {recorded}"));
    }
    changes
}

//! Imports the catalogue of a backup tool into the ledger.
//!
//! Two imports, also in two clones, give the same records. A backup that was made through this program
//! has its id in the catalogue of the tool. For any other backup every clone derives the same id from
//! the catalogue.

use std::cell::OnceCell;

use crate::domain::{
    Backup, BackupId, Body, CommitId, Completed, DatabaseName, Dependency, DependencyKind, Encryption, Line,
    Metadata, Postgres, Record, Started, Status, Timestamp, Tool,
};
use crate::git::{Oid, Repository, Walk};
use crate::ledger::{self, Entry, Filter, Ledger, NewBackup, RecordChange, is_interrupted};
use crate::migrations::{COMMIT_SOURCE, CommitSource};
use crate::tools::Adapter;
use crate::tools::adapter::CatalogEntry;

use super::create::default_name;
use super::{CommitSpec, Error};

/// The catalogue to import and its destination.
pub struct Import<'a> {
    /// The ledger.
    pub ledger: Ledger<'a>,
    /// The tool.
    pub adapter: &'a dyn Adapter,
    /// The database that the tool has backups of.
    pub database: &'a DatabaseName,
    /// The branch whose history gives the commit of a backup; `None` for HEAD.
    pub branch: Option<&'a str>,
}

/// The result for one backup of the catalogue.
#[derive(Debug)]
pub enum ImportResult {
    /// The backup was registered.
    Imported(Box<Entry>),
    /// The record was in progress or failed; now it is completed.
    Completed(Box<Entry>),
    /// The backup was recorded already.
    Known(BackupId),
    /// The backup is not usable, so it was not imported.
    LeftOut(String),
}

/// One backup of the catalogue and its result.
#[derive(Debug)]
pub struct Imported {
    /// The label of the backup in the catalogue.
    pub label: String,
    /// The result.
    pub outcome: ImportResult,
}

/// Returns the catalogue of a tool. Fails if the tool has none.
pub(super) fn catalogue_of(adapter: &dyn Adapter) -> Result<Vec<CatalogEntry>, Error> {
    let catalogue = adapter.catalogue().map_err(Error::from)?;
    catalogue.ok_or_else(|| Error::NoCatalogue { tool: adapter.name().to_owned() })
}

/// Returns all records of the tool and the database.
pub(super) fn recorded(import: &Import<'_>) -> Result<Vec<Entry>, Error> {
    let filter = Filter {
        databases: vec![import.database.clone()],
        tools: vec![Line::lossy(import.adapter.name())],
        ..Filter::default()
    };
    let overview = import.ledger.overview()?;
    let mut entries = Vec::new();
    import.ledger.each_entry(
        &overview.select(&filter),
        |entry| entry,
        |entry| {
            entries.push(entry);
            Ok::<_, Error>(())
        },
    )?;
    Ok(entries)
}

/// Returns the record of a backup in the catalogue.
pub(super) fn record_of<'e>(entries: &'e [Entry], item: &CatalogEntry) -> Option<&'e Entry> {
    let same = |entry: &&Entry| {
        Some(entry.backup.id) == item.known_as() || entry.backup.location.as_ref() == Some(&item.location)
    };
    entries.iter().find(same)
}

/// Registers the backups of the catalogue that have no record, and completes unfinished records.
///
/// # Errors
/// Fails if the catalogue cannot be read or a record cannot be written.
pub fn import(import: &Import<'_>) -> Result<Vec<Imported>, Error> {
    let catalogue = catalogue_of(import.adapter)?;
    let repository = import.ledger.schema_repository();
    let branch = match import.branch {
        Some(branch) => Some(branch.to_owned()),
        None => repository.head_branch(),
    };
    let asked = import.branch.map_or(CommitSpec::Nothing, |branch| CommitSpec::Branch(branch.to_owned()));
    let history = History { repository, asked, commits: OnceCell::new() };
    let mut entries = recorded(import)?;
    let mut outcomes = Vec::new();
    for item in &catalogue {
        let known = record_of(&entries, item).cloned();
        let outcome = match (known, &item.usable) {
            (Some(entry), Ok(())) if is_unfinished(&entry.backup) => adopt(import, &entry, item, &entries)?,
            (Some(entry), _) => ImportResult::Known(entry.backup.id),
            (None, Err(why)) => ImportResult::LeftOut(why.clone()),
            (None, Ok(())) => register(import, item, &catalogue, &entries, &history, branch.as_deref())?,
        };
        if let ImportResult::Imported(entry) | ImportResult::Completed(entry) = &outcome {
            entries.retain(|known| known.backup.id != entry.backup.id);
            entries.push((**entry).clone());
        }
        outcomes.push(Imported { label: item.label.clone(), outcome });
    }
    Ok(outcomes)
}

/// Returns true if the record is failed or interrupted. Then the backup may be complete in the
/// catalogue.
pub(super) fn is_unfinished(backup: &Backup) -> bool {
    backup.status == Status::Failed || is_interrupted(backup)
}

/// Completes the record of a backup that was made although its process crashed.
fn adopt(
    import: &Import<'_>,
    entry: &Entry,
    item: &CatalogEntry,
    entries: &[Entry],
) -> Result<ImportResult, Error> {
    let decide = |entry: &Entry| {
        if !is_unfinished(&entry.backup) {
            return Ok(RecordChange::default());
        }
        let attempt = attempt_of(&entry.record, &entry.backup);
        let mut bodies = Vec::new();
        if entry.backup.status == Status::Failed {
            bodies.push(Started { attempt, owner: None, started_at: item.made.started_at }.into());
        }
        let depends = dependency(item, entries);
        bodies.push(Body::from(completed(item, Some(attempt), depends, Metadata::default())));
        Ok(RecordChange { bodies, schema: None })
    };
    let entry = import.ledger.append_at(&entry.backup.commit, entry.backup.id, decide)?;
    Ok(ImportResult::Completed(Box::new(entry)))
}

fn attempt_of(record: &Record, backup: &Backup) -> u32 {
    match (backup.status, &backup.attempt) {
        (Status::InProgress, Some(attempt)) => attempt.number,
        _ => record.next_attempt(),
    }
}

fn register(
    import: &Import<'_>,
    item: &CatalogEntry,
    catalogue: &[CatalogEntry],
    entries: &[Entry],
    history: &History<'_>,
    branch: Option<&str>,
) -> Result<ImportResult, Error> {
    let (Some(id), Some(stopped)) = (item.known_as(), item.made.stopped_at) else {
        return Ok(ImportResult::LeftOut("its end time is unknown".to_owned()));
    };
    let mut metadata = Metadata::default();
    metadata.insert("imported", true);
    let (commit, branch) = match annotated(history.repository, item)? {
        Some(commit) => {
            metadata.insert(COMMIT_SOURCE, CommitSource::Annotation.as_str());
            (commit, None)
        }
        None => {
            metadata.insert(COMMIT_SOURCE, CommitSource::Inferred.as_str());
            let (commit, how) = history.at(stopped)?;
            metadata.insert("inferred", format!("{how} {}", branch.unwrap_or("HEAD")));
            (commit, branch.map(Line::lossy))
        }
    };
    let parent = parent_of(item, catalogue).and_then(|parent| dependency_on(item, parent, entries));
    let new = NewBackup {
        id,
        name: default_name(import.database.as_str(), stopped).map_err(ledger::Error::from)?,
        database: import.database.clone(),
        commit,
        branch,
        kind: item.kind,
        tool: Tool { name: Line::lossy(import.adapter.name()), version: None },
        depends_on: parent.into_iter().collect(),
        expires_at: None,
        tags: std::collections::BTreeMap::new(),
        metadata,
    };
    let done = Body::from(completed(item, None, None, Metadata::default()));
    match import.ledger.register(&new, &[done]) {
        Ok(entry) => Ok(ImportResult::Imported(Box::new(entry))),
        // Another process registered the backup first.
        Err(ledger::Error::Refused { .. }) if import.ledger.by_id(id).is_ok() => Ok(ImportResult::Known(id)),
        Err(error) => Err(error.into()),
    }
}

/// Returns the commit that the catalogue of the tool names, if this repository has it.
fn annotated(repository: &Repository, item: &CatalogEntry) -> Result<Option<CommitId>, Error> {
    let Some(commit) = &item.commit else { return Ok(None) };
    match repository.resolve_commit(commit.as_str()) {
        Ok(oid) => Ok(Some(oid.to_commit())),
        Err(crate::git::Error::UnknownRevision { .. } | crate::git::Error::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the parent of this backup in the catalogue: the one with the label of the parent, preferably
/// at the corresponding location.
fn parent_of<'c>(item: &CatalogEntry, catalogue: &'c [CatalogEntry]) -> Option<&'c CatalogEntry> {
    let label = item.parent.as_deref()?;
    let beside = item.location.as_str().replace(&item.label, label);
    let named = || catalogue.iter().filter(|known| known.label == label);
    named().find(|known| known.location.as_str() == beside).or_else(|| named().next())
}

fn dependency_on(item: &CatalogEntry, parent: &CatalogEntry, entries: &[Entry]) -> Option<Dependency> {
    let entry = record_of(entries, parent)?;
    Some(Dependency {
        id: entry.backup.id,
        kind: DependencyKind::between(item.kind, entry.backup.kind).ok()?,
    })
}

/// Returns the dependency of a backup according to the records.
fn dependency(item: &CatalogEntry, entries: &[Entry]) -> Option<Dependency> {
    let label = item.parent.as_deref()?;
    let at = item.location.as_str().replace(&item.label, label);
    let parent =
        entries.iter().find(|entry| entry.backup.location.as_ref().is_some_and(|it| it.as_str() == at))?;
    Some(Dependency {
        id: parent.backup.id,
        kind: DependencyKind::between(item.kind, parent.backup.kind).ok()?,
    })
}

fn completed(
    item: &CatalogEntry,
    attempt: Option<u32>,
    depends: Option<Dependency>,
    mut metadata: Metadata,
) -> Completed {
    let made = &item.made;
    metadata.apply(&made.metadata);
    Completed {
        attempt,
        location: Some(item.location.clone()),
        store_id: None,
        size_bytes: made.size_bytes,
        stored_bytes: made.stored_bytes,
        compression: None,
        encryption: made.encryption.as_ref().map(|key| Encryption { key_id: Line::lossy(key) }),
        digest: None,
        backup_type: depends.is_some().then_some(item.kind),
        depends_on: depends.map(|depends| vec![depends]),
        artifacts: Vec::new(),
        started_at: made.started_at,
        completed_at: made.stopped_at,
        // Events omit absent facts.
        postgres: (made.postgres != Postgres::default()).then(|| made.postgres.clone()),
        tool_version: made.tool_version.as_deref().map(Line::lossy),
        metadata,
    }
}

/// The history of a branch, to find the commit that was current at a time.
struct History<'a> {
    repository: &'a Repository,
    asked: CommitSpec,
    /// The commits along first parents, the tip first, each with its commit time in Unix seconds.
    commits: OnceCell<Vec<(Oid, i64)>>,
}

impl History<'_> {
    fn commits(&self) -> Result<&[(Oid, i64)], Error> {
        if let Some(commits) = self.commits.get() {
            return Ok(commits);
        }
        let tip = match &self.asked {
            CommitSpec::Branch(branch) => self.repository.branch_tip(branch)?,
            _ => self.repository.head()?,
        };
        let walk = Walk { first_parent: true, limit: None };
        let mut commits = Vec::new();
        for commit in self.repository.walk(&[tip], &[], walk)? {
            commits.push((commit, self.repository.summary(commit)?.committed_at));
        }
        Ok(self.commits.get_or_init(|| commits))
    }

    /// Returns the commit that was current at `time`, and the kind of the match.
    fn at(&self, time: Timestamp) -> Result<(CommitId, &'static str), Error> {
        let (commits, seconds) = (self.commits()?, time.unix_millis().div_euclid(1000));
        let current = commits.iter().find(|(_, committed_at)| *committed_at <= seconds);
        match (current, commits.last()) {
            (Some((commit, _)), _) => Ok((commit.to_commit(), "current at that time on")),
            (None, Some((first, _))) => Ok((first.to_commit(), "older than the first commit of")),
            // This cannot happen, because a branch has a tip.
            (None, None) => Ok((self.repository.head()?.to_commit(), "the only commit of")),
        }
    }
}

//! Reads records.

use crate::domain::{Backup, BackupId, CommitId, Ignored, Record, Status, Timestamp};
use crate::git::{self, Oid, Repository};
use crate::migrations::{CommitWarning, Doubt, schemas_differ};

use super::{Error, Ledger, layout};

/// One record and the state of its backup.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The state that the events add up to.
    pub backup: Backup,
    /// The events.
    pub record: Record,
    /// The events that had no effect on the state.
    pub ignored: Vec<Ignored>,
    /// The ledger commit that the record was read from.
    pub tip: Oid,
}

/// A ref or file of the ledger that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The full name of the ref.
    pub reference: String,
    /// The path of the file; empty if the ref itself is damaged.
    pub file: String,
    /// The reason.
    pub reason: String,
}

/// All records, oldest first, and all damage.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The records in the order of their registration.
    pub entries: Vec<Entry>,
    /// The refs and files that cannot be read.
    pub damaged: Vec<Damage>,
}

/// The location of a record in the repository.
pub(super) struct RecordLocation {
    pub(super) id: BackupId,
    pub(super) commit: CommitId,
    pub(super) tip: Oid,
    pub(super) blob: Oid,
}

impl Ledger<'_> {
    /// Reads all records from git, without the index. Use [`Ledger::overview`] where a summary of each
    /// backup is enough. Fails only if the refs cannot be read.
    pub fn catalog(&self) -> Result<Catalog, Error> {
        let mut catalog = Catalog::default();
        let places = self.record_locations(&mut catalog.damaged)?;
        for place in places {
            match self.read(&place) {
                Ok(entry) => catalog.entries.push(entry),
                Err(reason) => catalog.damaged.push(Damage {
                    reference: layout::ref_name(&place.commit),
                    file: layout::record_path(place.id),
                    reason,
                }),
            }
        }
        catalog.entries.sort_by_key(age);
        Ok(catalog)
    }

    /// Reads the records of one schema commit. Fails if its ref or tree cannot be read.
    pub fn at_commit(&self, commit: &CommitId) -> Result<Catalog, Error> {
        let mut catalog = Catalog::default();
        let Some(tip) = self.repository.ref_tip(&layout::ref_name(commit))? else { return Ok(catalog) };
        for place in self.record_locations_at(commit, tip)? {
            match self.read(&place) {
                Ok(entry) => catalog.entries.push(entry),
                Err(reason) => catalog.damaged.push(Damage {
                    reference: layout::ref_name(commit),
                    file: layout::record_path(place.id),
                    reason,
                }),
            }
        }
        catalog.entries.sort_by_key(age);
        Ok(catalog)
    }

    /// Returns the stored content of the record file of an entry. Fails if it cannot be read.
    pub fn record_bytes(&self, entry: &Entry) -> Result<Vec<u8>, Error> {
        let path = layout::record_path(entry.backup.id);
        self.repository.blob_at(entry.tip, &path)?.ok_or(Error::NotFound { selector: path })
    }

    /// Returns the schema that was recorded with a backup, if any. Fails if it cannot be read.
    pub fn schema(&self, entry: &Entry) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.repository.blob_at(entry.tip, &layout::schema_path(entry.backup.id))?)
    }

    /// Returns true if a schema was recorded with a backup. Fails if the tree cannot be read.
    pub fn has_schema(&self, entry: &Entry) -> Result<bool, Error> {
        Ok(self.repository.entry_at(entry.tip, &layout::schema_path(entry.backup.id))?.is_some())
    }

    /// Returns the reasons to doubt the commit of a backup. Fails if its record or those of the same commit
    /// cannot be read.
    pub fn commit_warnings(&self, entry: &Entry) -> Result<Vec<CommitWarning>, Error> {
        let backup = &entry.backup;
        let mut warnings = CommitWarning::of(&backup.commit, &backup.metadata);
        let blob = |other: &Entry| -> Result<Option<Oid>, Error> {
            let path = layout::schema_path(other.backup.id);
            Ok(self.repository.entry_at(other.tip, &path)?)
        };
        let Some(schema) = blob(entry)? else { return Ok(warnings) };
        for other in self.at_commit(&backup.commit)?.entries.iter().rev() {
            let is_comparable = other.backup.id != backup.id
                && other.backup.database == backup.database
                && other.backup.status == Status::Completed;
            if is_comparable && blob(other)?.is_some_and(|blob| blob != schema) {
                let message = schemas_differ(other.backup.id);
                warnings.push(CommitWarning { doubt: Doubt::SchemasDiffer, message });
                break;
            }
        }
        Ok(warnings)
    }

    /// Returns the git revision of the recorded schema: `<commit>:<path>`.
    pub fn schema_revision(entry: &Entry) -> String {
        format!("{}:{}", entry.tip, layout::schema_path(entry.backup.id))
    }

    /// Returns the locations of all records, and adds unreadable refs to `damaged`.
    pub(super) fn record_locations(
        &self,
        damaged: &mut Vec<super::Damage>,
    ) -> Result<Vec<RecordLocation>, Error> {
        let mut places = Vec::new();
        for (name, tip) in self.repository.refs_under(layout::REFS_PREFIX)? {
            let here = match name.parse::<CommitId>() {
                Ok(commit) => self.record_locations_at(&commit, tip).map_err(|error| error.to_string()),
                Err(invalid) => Err(invalid.to_string()),
            };
            match here {
                Ok(here) => places.extend(here),
                Err(reason) => damaged.push(Damage {
                    reference: format!("{}{name}", layout::REFS_PREFIX),
                    file: String::new(),
                    reason,
                }),
            }
        }
        Ok(places)
    }

    fn record_locations_at(&self, commit: &CommitId, tip: Oid) -> Result<Vec<RecordLocation>, git::Error> {
        record_locations_at(self.repository, commit, tip)
    }

    fn read(&self, place: &RecordLocation) -> Result<Entry, String> {
        read(self.repository, place)
    }
}

/// Returns the locations of the records in the tree of `tip`, a ledger commit of `commit`.
pub(super) fn record_locations_at(
    repository: &Repository,
    commit: &CommitId,
    tip: Oid,
) -> Result<Vec<RecordLocation>, git::Error> {
    let files = repository.files_at(tip, layout::DIRECTORY)?;
    let place = |(name, blob): (String, Oid)| {
        Some(RecordLocation { id: layout::record_of(&name)?, commit: commit.clone(), tip, blob })
    };
    Ok(files.into_iter().filter_map(place).collect())
}

/// Reads one record. The error is the reason why it cannot be read.
pub(super) fn read(repository: &Repository, place: &RecordLocation) -> Result<Entry, String> {
    let bytes = repository.blob(place.blob).map_err(|error| error.to_string())?;
    let record = Record::parse(&bytes).map_err(|error| error.to_string())?;
    let folded = record.fold().map_err(|error| error.to_string())?;
    let backup = folded.backup;
    if backup.id != place.id {
        return Err(format!("the file has the record of backup {}", backup.id));
    }
    if backup.commit != place.commit {
        return Err(format!("the record belongs to commit {}", backup.commit));
    }
    Ok(Entry { backup, record, ignored: folded.ignored, tip: place.tip })
}

fn age(entry: &Entry) -> (Timestamp, BackupId) {
    (entry.backup.registered_at, entry.backup.id)
}

//! Reading records back.

use crate::domain::{Backup, BackupId, CommitId, Ignored, Record, Timestamp};
use crate::git::{self, Oid, Repository};

use super::{Error, Ledger, layout};

/// One record as it was read.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its state.
    pub backup: Backup,
    /// Its events.
    pub record: Record,
    /// The events that changed nothing.
    pub ignored: Vec<Ignored>,
    /// The ledger commit it was read from.
    pub tip: Oid,
}

/// Something in the ledger that is not a record and should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The ref it is under.
    pub reference: String,
    /// The file; empty when the ref itself is wrong.
    pub file: String,
    /// What is wrong.
    pub reason: String,
}

/// All records, oldest first, and what could not be read.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The records by time of registration.
    pub entries: Vec<Entry>,
    /// What could not be read.
    pub damaged: Vec<Damage>,
}

/// Where a record is.
pub(super) struct Place {
    pub(super) id: BackupId,
    pub(super) commit: CommitId,
    pub(super) tip: Oid,
    pub(super) blob: Oid,
}

impl Ledger<'_> {
    /// Reads all records, each from git: what the index knows does not count.
    /// [`Ledger::overview`] is for those who only want to know what there is.
    pub fn catalog(&self) -> Result<Catalog, Error> {
        let mut catalog = Catalog::default();
        let places = self.places(&mut catalog.damaged)?;
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

    /// Reads the records of one schema commit.
    pub fn at_commit(&self, commit: &CommitId) -> Result<Catalog, Error> {
        let mut catalog = Catalog::default();
        let Some(tip) = self.repository.ref_tip(&layout::ref_name(commit))? else { return Ok(catalog) };
        for place in self.places_at(commit, tip)? {
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

    /// The content of the record file of an entry, as it is stored.
    pub fn record_bytes(&self, entry: &Entry) -> Result<Vec<u8>, Error> {
        let path = layout::record_path(entry.backup.id);
        self.repository.blob_at(entry.tip, &path)?.ok_or(Error::NotFound { selector: path })
    }

    /// The schema that was recorded with a backup; `None` when there is none.
    pub fn schema(&self, entry: &Entry) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.repository.blob_at(entry.tip, &layout::schema_path(entry.backup.id))?)
    }

    /// Was a schema recorded with a backup?
    pub fn has_schema(&self, entry: &Entry) -> Result<bool, Error> {
        Ok(self.repository.entry_at(entry.tip, &layout::schema_path(entry.backup.id))?.is_some())
    }

    /// The name under which git finds the recorded schema: `<commit>:<path>`.
    pub fn schema_revision(entry: &Entry) -> String {
        format!("{}:{}", entry.tip, layout::schema_path(entry.backup.id))
    }

    /// Where all records are; what is not as it should be goes to `damaged`.
    pub(super) fn places(&self, damaged: &mut Vec<super::Damage>) -> Result<Vec<Place>, Error> {
        let mut places = Vec::new();
        for (name, tip) in self.repository.refs_under(layout::REFS_PREFIX)? {
            let here = match name.parse::<CommitId>() {
                Ok(commit) => self.places_at(&commit, tip).map_err(|error| error.to_string()),
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

    fn places_at(&self, commit: &CommitId, tip: Oid) -> Result<Vec<Place>, git::Error> {
        places_at(self.repository, commit, tip)
    }

    fn read(&self, place: &Place) -> Result<Entry, String> {
        read(self.repository, place)
    }
}

/// The records in the tree of `tip`, the ledger commit of `commit`.
pub(super) fn places_at(
    repository: &Repository,
    commit: &CommitId,
    tip: Oid,
) -> Result<Vec<Place>, git::Error> {
    let files = repository.files_at(tip, layout::DIRECTORY)?;
    let place = |(name, blob): (String, Oid)| {
        Some(Place { id: layout::record_of(&name)?, commit: commit.clone(), tip, blob })
    };
    Ok(files.into_iter().filter_map(place).collect())
}

/// Reads one record, or says why it cannot be read.
pub(super) fn read(repository: &Repository, place: &Place) -> Result<Entry, String> {
    let bytes = repository.blob(place.blob).map_err(|error| error.to_string())?;
    let record = Record::parse(&bytes).map_err(|error| error.to_string())?;
    let folded = record.fold().map_err(|error| error.to_string())?;
    let backup = folded.backup;
    if backup.id != place.id {
        return Err(format!("it is the record of backup {}", backup.id));
    }
    if backup.commit != place.commit {
        return Err(format!("it belongs to commit {}", backup.commit));
    }
    Ok(Entry { backup, record, ignored: folded.ignored, tip: place.tip })
}

fn age(entry: &Entry) -> (Timestamp, BackupId) {
    (entry.backup.registered_at, entry.backup.id)
}

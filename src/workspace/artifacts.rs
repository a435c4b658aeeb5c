//! The artifacts of stores and the records that name them: names, replicas, removal.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Error, Workspace, places, store};
use crate::domain::{Annotated, Backup, BackupId, Body, Deleted, Expired, Line, Metadata, Status};
use crate::ledger::{Damage, Entry, Error as LedgerError, RecordChange};
use crate::process::crash_point;
use crate::progress::Progress;
use crate::store::{
    Access, CheckOptions, CheckReport, ListedArtifact, Portion, RepairReport, ReplicatedArtifact, Store,
    StoreUrl, StoredBackup,
};

/// The metadata key of the locations of replicas of a backup.
const COPIES: &str = "copies";

/// The records of a repository as the backups of artifacts.
#[derive(Default)]
pub struct ArtifactRecords {
    entries: Vec<Entry>,
    damaged: Vec<Damage>,
}

impl ArtifactRecords {
    /// Reads all records; outside of a repository there are none. Fails if the ledger cannot be read.
    pub fn load(workspace: &Workspace) -> Result<Self, Error> {
        match workspace.existing_repository()? {
            None => Ok(Self::default()),
            Some(_) => {
                let catalog = workspace.ledger()?.catalog()?;
                Ok(Self { entries: catalog.entries, damaged: catalog.damaged })
            }
        }
    }

    /// Returns the backups whose bytes are at `location`.
    fn at(&self, location: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| is_at(&entry.backup, location))
    }

    /// Returns the backups whose bytes this artifact probably has although their records name another
    /// location. Either the store was moved, or no record names this replica.
    fn moved_to(&self, artifact: &ListedArtifact) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| {
            let (backup, location) = (&entry.backup, &artifact.location);
            let id = backup.id.to_string();
            let is_its =
                artifact.id.strip_prefix(&id).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
            is_its && !is_at(backup, location) && !copies(backup).contains(location)
        })
    }

    /// Returns the backups that have a replica of their bytes at `location`.
    fn copied_to(&self, location: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| copies(&entry.backup).contains(location))
    }

    /// Returns the name of the backup of an artifact, or `None` if there is no record.
    pub fn name(&self, location: &str, id: &str) -> Option<String> {
        let backup = self
            .at(location)
            .chain(self.copied_to(location))
            .chain(self.entries.iter().filter(|entry| entry.backup.id.to_string() == id))
            .map(|entry| &entry.backup)
            .next()?;
        Some(format!("{} of {}", backup.name, backup.database))
    }

    /// Returns the locations below the URL `store` at which records expect bytes.
    fn expected(&self, store: &str) -> Vec<String> {
        let alive = self
            .entries
            .iter()
            .filter(|entry| matches!(entry.backup.status, Status::Completed | Status::Expired));
        let locations = alive.flat_map(|entry| {
            let own = entry.backup.location.as_ref().map(|location| location.as_str().to_owned());
            own.into_iter().chain(copies(&entry.backup))
        });
        let artifacts = format!("{store}artifacts/");
        locations
            .filter(|location| location.starts_with(&artifacts))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Returns true if an unreadable record may belong to the artifact `id`.
    fn may_hide(&self, id: &str) -> bool {
        self.damaged.iter().any(|damage| damage.file.contains(id) || damage.file.is_empty())
    }

    /// Fails if a record requires that the bytes of `artifact` stay. `removed` are all artifacts that
    /// are about to be removed. `recorded` is true if the records may be changed.
    pub fn check_removal(
        &self,
        artifact: &ListedArtifact,
        removed: &[ListedArtifact],
        recorded: bool,
    ) -> Result<(), RemovalRefused> {
        if self.may_hide(&artifact.id) {
            return Err(RemovalRefused::RecordUnreadable { artifact: artifact.id.clone() });
        }
        let running = self.entries.iter().find(|entry| {
            entry.backup.status == Status::InProgress && entry.backup.id.to_string() == artifact.id
        });
        if let Some(entry) = running {
            return Err(RemovalRefused::InProgress { backup: title(&entry.backup) });
        }
        for entry in self.at(&artifact.location).chain(self.moved_to(artifact)) {
            let backup = title(&entry.backup);
            match entry.backup.status {
                Status::Failed => continue,
                // Any user with push access can record a deletion, and the bytes still exist.
                Status::Deleted if !recorded => return Err(RemovalRefused::Deleted { backup }),
                Status::Deleted => continue,
                Status::InProgress | Status::Completed | Status::Expired => {}
            }
            if !entry.backup.holds.is_empty() {
                return Err(RemovalRefused::Held { backup });
            }
            if let Some(by) = self.dependent(entry.backup.id, removed) {
                return Err(RemovalRefused::Needed { backup, by });
            }
            if !recorded {
                return Err(RemovalRefused::Recorded { backup });
            }
        }
        Ok(())
    }

    /// Returns a backup whose artifact stays and which needs the backup `id`, if there is one.
    fn dependent(&self, id: BackupId, removed: &[ListedArtifact]) -> Option<BackupId> {
        let stays = |id: &str| !removed.iter().any(|other| other.id == id);
        let dependent = self.entries.iter().find(|other| {
            matches!(other.backup.status, Status::Completed | Status::Expired | Status::InProgress)
                && other.backup.depends_on.iter().any(|dependency| dependency.id == id)
                && stays(&other.backup.id.to_string())
        });
        dependent.map(|entry| entry.backup.id)
    }

    /// Records that `artifact` is removed, and then removes it from the store. Fails if a hold was
    /// placed on the backup in the meantime.
    pub fn remove(
        &self,
        artifact: &ListedArtifact,
        store: &Store,
        reason: &Line,
        workspace: &Workspace,
    ) -> Result<(), Error> {
        self.record_removal(artifact, reason, workspace)?;
        crash_point("store.remove.recorded");
        Ok(store.remove(&artifact.location)?)
    }

    fn record_removal(
        &self,
        artifact: &ListedArtifact,
        reason: &Line,
        workspace: &Workspace,
    ) -> Result<(), Error> {
        for entry in self.copied_to(&artifact.location) {
            set_copies(entry, workspace, |copies| copies.remove(&artifact.location))?;
        }
        let moved = self.lost_with(artifact, workspace)?;
        for entry in self.at(&artifact.location).chain(moved) {
            workspace.ledger()?.append_at(&entry.backup.commit, entry.backup.id, |entry| {
                let Backup { id, holds, status, .. } = &entry.backup;
                if !holds.is_empty() && *status != Status::Deleted {
                    let (verb, reason) = ("deleted".to_owned(), "it is held".to_owned());
                    return Err(LedgerError::Refused { backup: *id, verb, reason });
                }
                let expired = Body::from(Expired { reason: reason.clone() });
                let deleted = Body::from(Deleted { reason: reason.clone() });
                let bodies = match status {
                    Status::Completed => vec![expired, deleted],
                    Status::Expired => vec![deleted],
                    Status::InProgress | Status::Failed | Status::Deleted => Vec::new(),
                };
                Ok(RecordChange { bodies, schema: None })
            })?;
        }
        Ok(())
    }

    /// Returns the backups of a moved artifact whose bytes are not available anywhere else.
    fn lost_with(&self, artifact: &ListedArtifact, workspace: &Workspace) -> Result<Vec<&Entry>, Error> {
        let mut lost = Vec::new();
        for entry in self.moved_to(artifact) {
            let mut access = places::access_to(workspace, &entry.backup)?;
            access.roots.retain(|root| !root.contains_location(&artifact.location));
            if StoredBackup::open(&entry.backup, &access).is_err() {
                lost.push(entry);
            }
        }
        Ok(lost)
    }

    /// Adds the location of a replica to the record of its backup. Fails if the ledger cannot be
    /// written.
    pub fn record_copy(&self, copy: &ReplicatedArtifact, workspace: &Workspace) -> Result<(), Error> {
        let alive = |entry: &&Entry| matches!(entry.backup.status, Status::Completed | Status::Expired);
        for entry in self.at(&copy.of).filter(alive) {
            if copies(&entry.backup).contains(&copy.location) {
                continue;
            }
            set_copies(entry, workspace, |copies| copies.insert(copy.location.clone()))?;
        }
        Ok(())
    }
}

/// The reason why an artifact cannot be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemovalRefused {
    /// An unreadable record may belong to the artifact.
    #[error("a record that may belong to {artifact} cannot be read")]
    RecordUnreadable {
        /// The id of the artifact.
        artifact: String,
    },
    /// The backup is in progress.
    #[error("backup {backup} is in progress")]
    InProgress {
        /// The name, database and id of the backup.
        backup: String,
    },
    /// The backup is recorded as deleted, and its bytes still exist.
    #[error("backup {backup} is recorded as deleted, but its bytes exist")]
    Deleted {
        /// The name, database and id of the backup.
        backup: String,
    },
    /// The backup has a hold.
    #[error("backup {backup} is held")]
    Held {
        /// The name, database and id of the backup.
        backup: String,
    },
    /// Another backup depends on this one.
    #[error("backup {backup} is needed by another")]
    Needed {
        /// The name, database and id of the backup.
        backup: String,
        /// The id of the dependent backup.
        by: BackupId,
    },
    /// A record names the artifact as the location of its backup.
    #[error("backup {backup} is stored there")]
    Recorded {
        /// The name, database and id of the backup.
        backup: String,
    },
}

/// The result of a check of a store after repairs.
pub struct CheckedStore {
    /// The result of the last check.
    pub checked: CheckReport,
    /// The repaired objects, and the objects that could not be repaired.
    pub repaired: RepairReport,
    /// The records.
    pub records: ArtifactRecords,
}

/// Checks the store that is named by `url` or configured, and repairs it from the replica at
/// `repair_from`. Fails if a store cannot be opened or read. Damage is not an error but part of the
/// result.
pub fn check(
    workspace: &Workspace,
    url: Option<&str>,
    read: Option<Portion>,
    repair_from: Option<&str>,
    progress: &dyn Progress,
) -> Result<CheckedStore, Error> {
    // A cache could hide damage of the store.
    let fresh = |url: &StoreUrl| -> Result<Store, Error> {
        Ok(Store::open(url, &Access { cache: None, ..store::access(workspace, url)? })?)
    };
    let store = fresh(&store::general_url(workspace, url)?)?;
    let records = ArtifactRecords::load(workspace)?;
    let thoroughness = CheckOptions { read, expected: records.expected(&store.url().join("")) };
    let mut checked = store.check(&thoroughness, workspace.now(), progress)?;
    let mut repaired = RepairReport::default();
    if let Some(url) = repair_from {
        let copy = fresh(&store::url(workspace, Some(url), None)?)?;
        while !checked.is_sound() {
            let round = store.repair(&checked, &copy, progress)?;
            let stuck = round.objects.is_empty();
            repaired.objects.extend(round.objects);
            repaired.failed = round.failed;
            if stuck {
                break;
            }
            // A repaired manifest may name damaged packs. A fresh store is needed, because the old one
            // keeps the damaged files open.
            let store = fresh(store.url())?;
            checked = store.check(&thoroughness, workspace.now(), progress)?;
        }
    }
    Ok(CheckedStore { checked, repaired, records })
}

fn is_at(backup: &Backup, location: &str) -> bool {
    backup.location.as_ref().is_some_and(|known| known.as_str() == location)
}

/// `nightly of shop (0193f1a2-...)`
fn title(backup: &Backup) -> String {
    format!("{} of {} ({})", backup.name, backup.database, backup.id)
}

/// Returns the locations of the replicas of the bytes of a backup.
fn copies(backup: &Backup) -> BTreeSet<String> {
    let Some(Value::Array(copies)) = backup.metadata.as_map().get(COPIES) else { return BTreeSet::new() };
    copies.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Changes the list of replicas in a record if `change` returns true.
fn set_copies(
    entry: &Entry,
    workspace: &Workspace,
    change: impl Fn(&mut BTreeSet<String>) -> bool,
) -> Result<(), Error> {
    workspace.ledger()?.append_at(&entry.backup.commit, entry.backup.id, |entry| {
        let mut after = copies(&entry.backup);
        if !change(&mut after) || entry.backup.status == Status::Deleted {
            return Ok(RecordChange::default());
        }
        let list = match after.is_empty() {
            true => Value::Null,
            false => after.into_iter().map(Value::from).collect(),
        };
        let metadata = Metadata::try_from(Value::Object([(COPIES.to_owned(), list)].into_iter().collect()));
        Ok(Annotated { metadata: metadata.map_err(LedgerError::Invalid)?.into() }.into())
    })?;
    Ok(())
}

//! What the ledger knows of artifacts.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cli::{Context, Failure};
use crate::domain::{Backup, Status};
use crate::ledger::{Damage, Entry};
use crate::store::ListedArtifact;

/// In the metadata of a backup: the locations of its copies.
pub(super) const COPIES: &str = "copies";

/// The records of this repository; none outside of one.
#[derive(Default)]
pub(super) struct Known {
    pub(super) entries: Vec<Entry>,
    damaged: Vec<Damage>,
}

impl Known {
    pub(super) fn load(context: &Context) -> Result<Self, Failure> {
        match context.existing_repository()? {
            None => Ok(Self::default()),
            Some(_) => {
                let catalog = context.ledger()?.catalog()?;
                Ok(Self { entries: catalog.entries, damaged: catalog.damaged })
            }
        }
    }

    /// The backups whose bytes are at `location`.
    pub(super) fn at(&self, location: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| is_at(&entry.backup, location))
    }

    /// Returns the backups whose bytes this artifact seems to have although their records name
    /// another location: either the store was moved, or no record names this copy.
    pub(super) fn moved_to(&self, artifact: &ListedArtifact) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| {
            let (backup, location) = (&entry.backup, &artifact.location);
            let id = backup.id.to_string();
            let is_its =
                artifact.id.strip_prefix(&id).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
            is_its && !is_at(backup, location) && !copies(backup).contains(location)
        })
    }

    /// The backups that have a copy of their bytes there.
    pub(super) fn copied_to(&self, location: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| copies(&entry.backup).contains(location))
    }

    /// Names the backup of an artifact, if there is a record.
    pub(super) fn name(&self, location: &str, id: &str) -> Option<String> {
        let backup = self
            .at(location)
            .chain(self.copied_to(location))
            .chain(self.entries.iter().filter(|entry| entry.backup.id.to_string() == id))
            .map(|entry| &entry.backup)
            .next()?;
        Some(format!("{} of {}", backup.name, backup.database))
    }

    /// The locations below `store` where there have to be bytes.
    pub(super) fn expected(&self, store: &str) -> Vec<String> {
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

    /// Whether a record that cannot be read may be that of `id`.
    pub(super) fn may_hide(&self, id: &str) -> bool {
        self.damaged.iter().any(|damage| damage.file.contains(id) || damage.file.is_empty())
    }
}

fn is_at(backup: &Backup, location: &str) -> bool {
    backup.location.as_ref().is_some_and(|known| known.as_str() == location)
}

/// Where there are copies of the bytes of a backup.
pub(super) fn copies(backup: &Backup) -> BTreeSet<String> {
    let Some(Value::Array(copies)) = backup.metadata.as_map().get(COPIES) else { return BTreeSet::new() };
    copies.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

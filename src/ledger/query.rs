//! Finding records.

use crate::domain::{
    Backup, BackupId, BackupName, BackupSelector, BackupType, CommitId, DatabaseName, Line, Status, TagKey,
    Timestamp,
};

use super::{Catalog, Entry, Error, Ledger, catalog::Place, layout};

/// A tag that a backup must have, with this value where one is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFilter {
    /// Its key.
    pub key: TagKey,
    /// Its value.
    pub value: Option<Line>,
}

/// What a backup must be like; what is empty does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of one of these databases.
    pub databases: Vec<DatabaseName>,
    /// On one of these schema commits.
    pub commits: Vec<CommitId>,
    /// Made for one of these branches.
    pub branches: Vec<Line>,
    /// In one of these states.
    pub statuses: Vec<Status>,
    /// Of one of these types.
    pub types: Vec<BackupType>,
    /// Made by one of these tools.
    pub tools: Vec<Line>,
    /// With one of these names.
    pub names: Vec<BackupName>,
    /// With all of these tags.
    pub tags: Vec<TagFilter>,
    /// Registered at this time or later.
    pub since: Option<Timestamp>,
    /// Registered before this time.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Does `backup` pass?
    pub fn matches(&self, backup: &Backup) -> bool {
        fn any<T: PartialEq>(wanted: &[T], value: &T) -> bool {
            wanted.is_empty() || wanted.contains(value)
        }
        let tagged = |filter: &TagFilter| {
            backup
                .tags
                .get(&filter.key)
                .is_some_and(|value| filter.value.as_ref().is_none_or(|wanted| wanted == value))
        };
        any(&self.databases, &backup.database)
            && any(&self.commits, &backup.commit)
            && (self.branches.is_empty()
                || backup.branch.as_ref().is_some_and(|branch| self.branches.contains(branch)))
            && any(&self.statuses, &backup.status)
            && any(&self.types, &backup.kind)
            && any(&self.tools, &backup.tool.name)
            && any(&self.names, &backup.name)
            && self.tags.iter().all(tagged)
            && self.since.is_none_or(|since| backup.registered_at >= since)
            && self.until.is_none_or(|until| backup.registered_at < until)
    }
}

impl Catalog {
    /// The entries that pass, oldest first.
    pub fn select(&self, filter: &Filter) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| filter.matches(&entry.backup)).collect()
    }

    /// The one entry that `selector` names among those that pass `filter`.
    /// A name wins over the beginning of an id.
    pub fn find(&self, selector: &BackupSelector, filter: &Filter) -> Result<&Entry, Error> {
        let entries = self.select(filter);
        let found: Vec<&Entry> = match selector {
            BackupSelector::Latest => entries.last().copied().into_iter().collect(),
            BackupSelector::Oldest => entries.first().copied().into_iter().collect(),
            BackupSelector::Id(id) => entries.into_iter().filter(|entry| entry.backup.id == *id).collect(),
            BackupSelector::Text(text) => {
                let named: Vec<_> =
                    entries.iter().copied().filter(|entry| entry.backup.name.as_str() == text).collect();
                let begins = |entry: &&Entry| {
                    BackupSelector::is_prefix(text) && entry.backup.id.to_string().starts_with(text)
                };
                if named.is_empty() { entries.into_iter().filter(begins).collect() } else { named }
            }
        };
        match found.as_slice() {
            [] => Err(self.missing(selector)),
            [one] => Ok(one),
            many => Err(Error::Ambiguous {
                selector: selector.to_string(),
                candidates: many.iter().map(|entry| candidate(&entry.backup)).collect(),
            }),
        }
    }

    /// A record that is there but cannot be read is not simply missing.
    fn missing(&self, selector: &BackupSelector) -> Error {
        let text = selector.to_string();
        let hit = |file: &str| file.rsplit('/').next().is_some_and(|name| name.starts_with(&text));
        let damaged =
            self.damaged.iter().find(|damage| BackupSelector::is_prefix(&text) && hit(&damage.file));
        let commit =
            damaged.and_then(|damage| damage.reference.strip_prefix(layout::REFS_PREFIX)?.parse().ok());
        match (damaged, commit) {
            (Some(damage), Some(commit)) => {
                Error::Damaged { backup: text, commit, reason: damage.reason.clone() }
            }
            _ => Error::NotFound { selector: text },
        }
    }
}

fn candidate(backup: &Backup) -> String {
    format!(
        "{} {} ({}, {}, {})",
        backup.id, backup.name, backup.database, backup.status, backup.registered_at
    )
}

impl Ledger<'_> {
    /// The record of the backup `id`.
    pub fn by_id(&self, id: BackupId) -> Result<Entry, Error> {
        let place = self.places(&mut Vec::new())?.into_iter().find(|place| place.id == id);
        let place = place.ok_or_else(|| Error::NotFound { selector: id.to_string() })?;
        self.read_place(&place)
    }

    /// The one record that `selector` names.
    pub fn find(&self, selector: &BackupSelector, filter: &Filter) -> Result<Entry, Error> {
        match selector {
            BackupSelector::Id(id) if *filter == Filter::default() => self.by_id(*id),
            _ => self.catalog()?.find(selector, filter).cloned(),
        }
    }

    pub(super) fn read_place(&self, place: &Place) -> Result<Entry, Error> {
        self.read(place).map_err(|reason| Error::Damaged {
            backup: place.id.to_string(),
            commit: place.commit.clone(),
            reason,
        })
    }
}

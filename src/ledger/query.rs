//! Finds records by filters and selectors.

use crate::domain::{
    Backup, BackupId, BackupName, BackupSelector, BackupType, CommitId, DatabaseName, Line, Status, TagKey,
    Timestamp,
};

use super::catalog::{RecordLocation, read};
use super::{Catalog, Damage, Entry, Error, Ledger, layout};

/// A tag that a backup must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFilter {
    /// The key.
    pub key: TagKey,
    /// The value; `None` matches every value.
    pub value: Option<Line>,
}

/// Conditions on a backup. An empty field matches every backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only backups of one of these databases.
    pub databases: Vec<DatabaseName>,
    /// Only backups of one of these schema commits.
    pub commits: Vec<CommitId>,
    /// Only backups made for one of these branches.
    pub branches: Vec<Line>,
    /// Only backups with one of these statuses.
    pub statuses: Vec<Status>,
    /// Only backups of one of these types.
    pub types: Vec<BackupType>,
    /// Only backups made by one of these tools.
    pub tools: Vec<Line>,
    /// Only backups with one of these names.
    pub names: Vec<BackupName>,
    /// Only backups with all of these tags.
    pub tags: Vec<TagFilter>,
    /// Only backups registered at this time or later.
    pub since: Option<Timestamp>,
    /// Only backups registered before this time.
    pub until: Option<Timestamp>,
}

/// The facts of a backup that filters and selectors use.
pub(super) trait FilterFields {
    fn id(&self) -> BackupId;
    fn name(&self) -> &str;
    fn database(&self) -> &str;
    fn is_on(&self, commit: &CommitId) -> bool;
    fn branch(&self) -> Option<&str>;
    fn status(&self) -> Status;
    fn kind(&self) -> BackupType;
    fn tool(&self) -> &str;
    fn tag(&self, key: &str) -> Option<&str>;
    fn registered_at(&self) -> Timestamp;
}

impl FilterFields for Backup {
    fn id(&self) -> BackupId {
        self.id
    }

    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn database(&self) -> &str {
        self.database.as_str()
    }

    fn is_on(&self, commit: &CommitId) -> bool {
        self.commit == *commit
    }

    fn branch(&self) -> Option<&str> {
        self.branch.as_ref().map(Line::as_str)
    }

    fn status(&self) -> Status {
        self.status
    }

    fn kind(&self) -> BackupType {
        self.kind
    }

    fn tool(&self) -> &str {
        self.tool.name.as_str()
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|(known, _)| known.as_str() == key).map(|(_, value)| value.as_str())
    }

    fn registered_at(&self) -> Timestamp {
        self.registered_at
    }
}

impl Filter {
    /// Returns true if `backup` meets all conditions.
    pub fn matches(&self, backup: &Backup) -> bool {
        self.passes(backup)
    }

    pub(super) fn passes(&self, backup: &impl FilterFields) -> bool {
        fn any<T>(wanted: &[T], is: impl Fn(&T) -> bool) -> bool {
            wanted.is_empty() || wanted.iter().any(is)
        }
        let tagged = |filter: &TagFilter| {
            let value = backup.tag(filter.key.as_str());
            value.is_some_and(|value| filter.value.as_ref().is_none_or(|wanted| wanted.as_str() == value))
        };
        any(&self.databases, |it| it.as_str() == backup.database())
            && any(&self.commits, |it| backup.is_on(it))
            && any(&self.branches, |it| backup.branch() == Some(it.as_str()))
            && any(&self.statuses, |it| *it == backup.status())
            && any(&self.types, |it| *it == backup.kind())
            && any(&self.tools, |it| it.as_str() == backup.tool())
            && any(&self.names, |it| it.as_str() == backup.name())
            && self.tags.iter().all(tagged)
            && self.since.is_none_or(|since| backup.registered_at() >= since)
            && self.until.is_none_or(|until| backup.registered_at() < until)
    }
}

/// Returns the backup that `selector` names. `backups` are in the order of their registration. A
/// name takes precedence over the beginning of an id. `latest` and `oldest` select among completed
/// backups.
pub(super) fn one<B, F: FilterFields>(
    backups: impl Iterator<Item = B>,
    facts: impl for<'x> Fn(&'x B) -> &'x F,
    selector: &BackupSelector,
    damaged: &[Damage],
) -> Result<B, Error> {
    let is_completed = |backup: &B| facts(backup).status() == Status::Completed;
    let mut found: Vec<B> = match selector {
        BackupSelector::Latest => backups.filter(is_completed).last().into_iter().collect(),
        BackupSelector::Oldest => backups.filter(is_completed).take(1).collect(),
        BackupSelector::Id(id) => backups.filter(|backup| facts(backup).id() == *id).collect(),
        BackupSelector::Text(text) => {
            let can_begin = BackupSelector::is_prefix(text);
            let begins = |backup: &F| can_begin && backup.id().to_string().starts_with(text.as_str());
            let (mut named, mut beginning) = (Vec::new(), Vec::new());
            for backup in backups {
                if facts(&backup).name() == text {
                    named.push(backup);
                } else if named.is_empty() && begins(facts(&backup)) {
                    beginning.push(backup);
                }
            }
            if named.is_empty() { beginning } else { named }
        }
    };
    match found.len() {
        0 if matches!(selector, BackupSelector::Latest | BackupSelector::Oldest) => {
            Err(Error::NoneCompleted { selector: selector.to_string() })
        }
        0 => Err(missing(selector, damaged)),
        1 => Ok(found.remove(0)),
        _ => Err(Error::Ambiguous {
            selector: selector.to_string(),
            candidates: found.iter().map(|backup| candidate(facts(backup))).collect(),
        }),
    }
}

/// Returns [`Error::Damaged`] if `selector` is the beginning of the id of a damaged record, otherwise
/// [`Error::NotFound`].
fn missing(selector: &BackupSelector, damaged: &[Damage]) -> Error {
    let text = selector.to_string();
    let hit = |file: &str| file.rsplit('/').next().is_some_and(|name| name.starts_with(&text));
    let damaged = damaged.iter().find(|damage| BackupSelector::is_prefix(&text) && hit(&damage.file));
    let commit = damaged.and_then(|damage| damage.reference.strip_prefix(layout::REFS_PREFIX)?.parse().ok());
    match (damaged, commit) {
        (Some(damage), Some(commit)) => {
            Error::Damaged { backup: text, commit, reason: damage.reason.clone() }
        }
        _ => Error::NotFound { selector: text },
    }
}

fn candidate(backup: &impl FilterFields) -> String {
    let (id, name, database) = (backup.id(), backup.name(), backup.database());
    format!("{id} {name} ({database}, {}, {})", backup.status(), backup.registered_at())
}

impl Catalog {
    /// Returns the entries that match `filter`, oldest first.
    pub fn select(&self, filter: &Filter) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| filter.matches(&entry.backup)).collect()
    }

    /// Returns the entry that `selector` names among those that match `filter`. A name takes precedence
    /// over the beginning of an id. Fails if there is no such entry or more than one.
    pub fn find(&self, selector: &BackupSelector, filter: &Filter) -> Result<&Entry, Error> {
        one(self.select(filter).into_iter(), |entry| &entry.backup, selector, &self.damaged)
    }
}

impl Ledger<'_> {
    /// Returns the record of the backup `id`. Fails if it is missing or cannot be read.
    pub fn by_id(&self, id: BackupId) -> Result<Entry, Error> {
        // The commit from the index may be stale. The record is then not found in it by its file name,
        // and the full lookup follows.
        let guesses = self.guess(id).into_iter().map(Ok).chain(std::iter::once_with(|| self.look_up(id)));
        for commit in guesses {
            let commit = commit?;
            if let Some(tip) = self.repository.ref_tip(&layout::ref_name(&commit))?
                && let Some(blob) = self.repository.entry_at(tip, &layout::record_path(id))?
            {
                return self.read_at(&RecordLocation { id, commit, tip, blob });
            }
        }
        Err(Error::NotFound { selector: id.to_string() })
    }

    /// Returns the record that `selector` names among those that match `filter`. Fails if there is no
    /// such record, if there are several, or if it cannot be read.
    pub fn find(&self, selector: &BackupSelector, filter: &Filter) -> Result<Entry, Error> {
        match selector {
            BackupSelector::Id(id) if *filter == Filter::default() => self.by_id(*id),
            _ => self.entry(&self.overview()?.find(selector, filter)?),
        }
    }

    pub(super) fn read_at(&self, place: &RecordLocation) -> Result<Entry, Error> {
        read(self.repository, place).map_err(|reason| Error::Damaged {
            backup: place.id.to_string(),
            commit: place.commit.clone(),
            reason,
        })
    }
}

//! The backups of the ledger, with the facts that decide whether they can be restored.

use std::collections::btree_map::Entry::Vacant;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use crate::domain::{Backup, BackupId, ChainError, DatabaseName, dependency_chain};
use crate::git::Oid;
use crate::ledger::{self, Entry, Overview, Row, is_abandoned};
use crate::recovery::Error;
use crate::report::{BackupFacts, BackupIndex};
use crate::store::Access;
use crate::workspace::{Workspace, places};

use super::Refusal;

/// Returns all backups. The bytes of the backups in `missing` are unavailable.
pub fn records(overview: &Overview, missing: &BTreeSet<BackupId>) -> BackupIndex<Oid> {
    records_of(overview.rows(), missing)
}

/// Returns the backups of a database, or of all if it is `None`. The bytes of the backups in `missing` are
/// unavailable.
pub(super) fn records_of_database(
    overview: &Overview,
    missing: &BTreeSet<BackupId>,
    database: Option<&DatabaseName>,
) -> BackupIndex<Oid> {
    let is_of = |row: &Row<'_>| database.is_none_or(|name| row.database() == name.as_str());
    records_of(overview.rows().filter(is_of), missing)
}

/// Returns these backups and all backups that they need.
pub fn records_for(ids: impl IntoIterator<Item = BackupId>, overview: &Overview) -> BackupIndex<Oid> {
    let mut rows = BTreeMap::new();
    // A backup that is already in the index ends the search, and so does a missing one.
    let mut needed_by = |id| {
        let Vacant(place) = rows.entry(id) else { return Ok::<_, Infallible>(None) };
        Ok(overview.get(id).map(|row| ((), place.insert(row).needs().next())))
    };
    for id in ids {
        if let Ok(Some(((), parent))) = needed_by(id) {
            let _ = dependency_chain(id, parent, &mut needed_by);
        }
    }
    records_of(rows.into_values(), &BTreeSet::new())
}

fn records_of<'a>(rows: impl Iterator<Item = Row<'a>>, missing: &BTreeSet<BackupId>) -> BackupIndex<Oid> {
    BackupIndex::new(rows.map(|row| BackupFacts {
        id: row.id(),
        commit: row.commit_oid(),
        kind: row.kind(),
        status: row.status(),
        interrupted: is_abandoned(row.status(), row.owner().as_ref()),
        registered_at: row.registered_at(),
        stored_bytes: row.stored_bytes().unwrap_or(0),
        needs: row.needs().next(),
        verified: row.is_verified(),
        verification: row.verified(),
        missing: missing.contains(&row.id()),
    }))
}

/// Returns the backup chain, the full backup first, each with the access to its bytes.
///
/// # Errors
/// If a backup of the chain is not recorded.
pub(super) fn members(entry: &Entry, workspace: &Workspace) -> Result<Vec<(Backup, Access)>, Error> {
    let (ledger, id) = (workspace.ledger()?, entry.backup.id);
    let access = |backup: &Backup| places::access_to(workspace, backup);
    let mut members = vec![(entry.backup.clone(), access(&entry.backup)?)];
    let needed = |id| match ledger.by_id(id) {
        Ok(Entry { backup, .. }) => {
            let (access, parent) = (access(&backup)?, backup.parent());
            Ok(Some(((backup, access), parent)))
        }
        Err(ledger::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(Error::from(error)),
    };
    match dependency_chain(id, entry.backup.parent(), needed) {
        Ok(chain) => members.extend(chain),
        Err(ChainError::Missing(missing)) => {
            return Err(Refusal::DependencyMissing { backup: id, missing }.into());
        }
        Err(ChainError::Cycle(backup)) => return Err(Refusal::DependencyCycle { backup }.into()),
        Err(ChainError::Lookup(error)) => return Err(error),
    }
    members.reverse();
    Ok(members)
}

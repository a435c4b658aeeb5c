//! Dependencies between backups.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Backup, BackupId, BackupType, Status};

/// The kind of a dependency between backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DependencyKind {
    /// An incremental's parent is a backup that needs no other.
    Base,
    /// An incremental's parent is itself incremental or differential.
    IncrementalChain,
    /// The full backup of a differential.
    DifferentialBase,
}

/// One backup that another cannot be restored without.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// The backup that is needed.
    pub id: BackupId,
    /// The kind.
    pub kind: DependencyKind,
}

impl DependencyKind {
    /// Returns the kind of the dependency of a backup of type `child` on one of type `parent`. Fails
    /// with the reason if there cannot be one.
    pub fn between(child: BackupType, parent: BackupType) -> Result<Self, String> {
        match (child, parent) {
            (BackupType::Full | BackupType::Snapshot, _) => {
                Err(format!("a {child} backup depends on no other backup"))
            }
            (BackupType::Incremental, BackupType::Full) => Ok(Self::Base),
            (BackupType::Incremental, BackupType::Incremental | BackupType::Differential) => {
                Ok(Self::IncrementalChain)
            }
            (BackupType::Differential, BackupType::Full) => Ok(Self::DifferentialBase),
            (child, parent) => Err(format!(
                "{} {child} backup cannot depend on {} {parent} backup",
                article(child),
                article(parent)
            )),
        }
    }
}

/// Checks the dependencies of a new backup of type `child`. A full backup has none. An incremental or
/// differential backup has exactly one. Fails with the reason.
pub fn check_dependencies(
    child: BackupType,
    database: &str,
    parents: &[&Backup],
) -> Result<Vec<Dependency>, String> {
    match (child, parents.len()) {
        (BackupType::Full | BackupType::Snapshot, 0)
        | (BackupType::Incremental | BackupType::Differential, 1) => {}
        (BackupType::Full | BackupType::Snapshot, _) => {
            return Err(format!("a {child} backup depends on no other backup"));
        }
        (_, 0) => return Err(format!("{} {child} backup depends on another one", article(child))),
        (_, many) => {
            return Err(format!(
                "{} {child} backup depends on one other backup, not on {many}",
                article(child)
            ));
        }
    }
    parents
        .iter()
        .map(|parent| {
            if parent.database.as_str() != database {
                return Err(format!(
                    "backup {} is of database `{}`, not of `{database}`",
                    parent.id, parent.database
                ));
            }
            if parent.status != Status::Completed {
                return Err(format!("backup {} is {}, not completed", parent.id, parent.status));
            }
            Ok(Dependency { id: parent.id, kind: DependencyKind::between(child, parent.kind)? })
        })
        .collect()
}

fn article(kind: BackupType) -> &'static str {
    if kind == BackupType::Incremental { "an" } else { "a" }
}

/// The reason why the dependencies of a backup cannot be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainError<E> {
    /// A backup in the chain has no record.
    Missing(BackupId),
    /// The backup depends on itself, directly or indirectly.
    Cycle(BackupId),
    /// The lookup of a backup failed.
    Lookup(E),
}

/// Returns the dependencies of `start`, its parent first and the full backup last.
///
/// `parent` is the direct dependency of `start`. `lookup` returns a backup with the id of its
/// parent, or `None` if there is no such backup.
///
/// # Errors
/// Fails if a backup is missing, if one occurs twice, or if `lookup` fails. The walk ends for every
/// input, because no backup is looked up twice.
pub fn dependency_chain<T, E>(
    start: BackupId,
    parent: Option<BackupId>,
    mut lookup: impl FnMut(BackupId) -> Result<Option<(T, Option<BackupId>)>, E>,
) -> Result<Vec<T>, ChainError<E>> {
    let (mut seen, mut chain, mut next) = (BTreeSet::new(), Vec::new(), parent);
    while let Some(id) = next {
        if id == start || !seen.insert(id) {
            return Err(ChainError::Cycle(id));
        }
        let (member, parent) = lookup(id).map_err(ChainError::Lookup)?.ok_or(ChainError::Missing(id))?;
        chain.push(member);
        next = parent;
    }
    Ok(chain)
}

/// A problem with the dependencies in a set of records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DependencyProblem {
    /// The required record is missing.
    Missing {
        /// The backup that depends on it.
        backup: BackupId,
        /// The missing backup.
        needs: BackupId,
    },
    /// The required bytes were deleted or never complete.
    Unusable {
        /// The backup that depends on it.
        backup: BackupId,
        /// The unusable backup.
        needs: BackupId,
        /// The status of the unusable backup.
        status: Status,
    },
    /// The backup depends on itself, directly or indirectly.
    Cycle {
        /// A backup of the cycle.
        backup: BackupId,
    },
}

/// Returns the problems of all records together: missing and unusable parents, and cycles. Only
/// completed backups can have a missing or unusable parent.
pub fn check_graph<'a>(backups: impl IntoIterator<Item = &'a Backup>) -> BTreeSet<DependencyProblem> {
    let all: BTreeMap<BackupId, &Backup> = backups.into_iter().map(|backup| (backup.id, backup)).collect();
    let mut problems = BTreeSet::new();
    for backup in all.values() {
        let usable = backup.status == Status::Completed;
        for needed in backup.depends_on.iter().filter(|_| usable) {
            problems.extend(match all.get(&needed.id) {
                None => Some(DependencyProblem::Missing { backup: backup.id, needs: needed.id }),
                Some(parent) if parent.status == Status::Completed => None,
                Some(parent) => Some(DependencyProblem::Unusable {
                    backup: backup.id,
                    needs: needed.id,
                    status: parent.status,
                }),
            });
        }
        if reaches_itself(backup.id, &all) {
            problems.insert(DependencyProblem::Cycle { backup: backup.id });
        }
    }
    problems
}

fn reaches_itself(start: BackupId, all: &BTreeMap<BackupId, &Backup>) -> bool {
    let parents = |id: &BackupId| {
        all.get(id).map_or(&[][..], |backup| &backup.depends_on[..]).iter().map(|needed| needed.id)
    };
    let mut seen = BTreeSet::new();
    let mut next: Vec<BackupId> = parents(&start).collect();
    while let Some(id) = next.pop() {
        if id == start {
            return true;
        }
        if seen.insert(id) {
            next.extend(parents(&id));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn id(number: u8) -> BackupId {
        BackupId::from_bytes([number; 16])
    }

    /// Returns the chain of backup 1. `parents` has the parent of each backup.
    fn chain(parents: &[(u8, Option<u8>)]) -> Result<Vec<u8>, ChainError<Infallible>> {
        let parent_of = |wanted: BackupId| parents.iter().find(|(known, _)| id(*known) == wanted);
        let first = parent_of(id(1)).and_then(|(_, parent)| parent.map(id));
        dependency_chain(id(1), first, |wanted| {
            Ok(parent_of(wanted).map(|(known, parent)| (*known, parent.map(id))))
        })
    }

    #[test]
    fn a_chain_ends_with_the_backup_that_needs_no_other() {
        assert_eq!(chain(&[(1, None)]), Ok(vec![]));
        assert_eq!(chain(&[(1, Some(2)), (2, Some(3)), (3, None)]), Ok(vec![2, 3]));
    }

    #[test]
    fn a_missing_backup_and_a_cycle_are_errors() {
        assert_eq!(chain(&[(1, Some(2))]), Err(ChainError::Missing(id(2))));
        assert_eq!(chain(&[(1, Some(1))]), Err(ChainError::Cycle(id(1))));
        assert_eq!(chain(&[(1, Some(2)), (2, Some(1))]), Err(ChainError::Cycle(id(1))));
        assert_eq!(chain(&[(1, Some(2)), (2, Some(3)), (3, Some(2))]), Err(ChainError::Cycle(id(2))));
    }

    #[test]
    fn a_failed_lookup_is_handed_on() {
        let failed = dependency_chain(id(1), Some(id(2)), |_| Err::<Option<((), _)>, _>("no disk"));
        assert_eq!(failed, Err(ChainError::Lookup("no disk")));
    }
}

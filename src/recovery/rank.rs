//! The order of backups by their fitness for a commit. Pure functions: the result has a reason for
//! each position.
//!
//! The possible steps after a restore decide. A backup of the commit itself needs no further step. A
//! backup of an ancestor needs the migrations in between. A backup of a descendant or of another
//! branch may contain migrations that the commit lacks. No step removes these, so that such a backup is
//! listed and never chosen. If it contains none, it is chosen after all backups of ancestors.

use std::cmp::Reverse;

use super::MigrationConflict;
use crate::domain::{BackupId, BackupType, CommitId, Timestamp};

/// The relation of the commit of a backup to the wanted commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The commit of the backup is the wanted commit.
    Exact,
    /// The commit of the backup is in the history of the wanted commit.
    Ancestor {
        /// The number of commits that the wanted commit has and the commit of the backup lacks.
        commits: usize,
        /// The number of migration files that differ between the two commits.
        migrations: usize,
    },
    /// The wanted commit is in the history of the commit of the backup: the backup is newer.
    Newer {
        /// The number of commits that the commit of the backup has and the wanted commit lacks.
        commits: usize,
        /// The number of migrations that lead to the wanted commit; `None` if none do.
        migrations: Option<usize>,
    },
    /// Neither commit is in the history of the other: the backup is of another branch.
    Side {
        /// The number of migrations that lead to the wanted commit; `None` if none do.
        migrations: Option<usize>,
    },
}

impl Relation {
    /// Returns true if only forward migrations lead from the backup to the commit.
    pub fn leads_there(self) -> bool {
        match self {
            Self::Exact | Self::Ancestor { .. } => true,
            Self::Newer { migrations, .. } | Self::Side { migrations } => migrations.is_some(),
        }
    }
}

/// A completed backup, with the facts that determine its rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The id of the backup.
    pub backup: BackupId,
    /// The name of the backup.
    pub name: String,
    /// The commit of the backup.
    pub commit: CommitId,
    /// The backup type.
    pub kind: BackupType,
    /// The tool that made the backup.
    pub tool: String,
    /// The time at which the backup was complete.
    pub completed_at: Option<Timestamp>,
    /// The size of the content in bytes.
    pub size_bytes: Option<u64>,
    /// True if the backup was verified successfully.
    pub verified: bool,
    /// The relation of its commit to the wanted commit.
    pub relation: Relation,
    /// The reason why the backup cannot be used, if there is one.
    pub unusable: Option<String>,
    /// The problem with the migrations, if that is the reason.
    pub gap: Option<MigrationConflict>,
    /// The program that has to run the migrations, quoted for a shell.
    pub command: Option<String>,
}

impl Candidate {
    /// Returns true if a restore may choose the backup.
    pub fn is_eligible(&self) -> bool {
        self.unusable.is_none() && self.relation.leads_there()
    }

    /// Returns the reason for the rank of the backup, in words.
    pub fn reason(&self) -> String {
        if let Some(reason) = &self.unusable {
            return reason.clone();
        }
        match self.relation {
            Relation::Ancestor { commits, .. } if self.command.is_some() => {
                let (commits, command) = (counted(commits, "commit"), self.command.as_deref());
                format!("{commits} older, '{}' to run", command.unwrap_or_default())
            }
            Relation::Exact => "made of this commit".to_owned(),
            Relation::Ancestor { commits, migrations: 0 } => {
                format!("{} older, no migration between", counted(commits, "commit"))
            }
            Relation::Ancestor { commits, migrations } => {
                let (commits, migrations) = (counted(commits, "commit"), counted(migrations, "migration"));
                format!("{commits} older, {migrations} to run")
            }
            Relation::Newer { commits, migrations: None } => {
                format!("{} newer: migrations are not undone", counted(commits, "commit"))
            }
            Relation::Side { migrations: None } => "on another branch".to_owned(),
            Relation::Newer { commits, migrations: Some(migrations) } => {
                format!("{} newer, {}", counted(commits, "commit"), to_run(migrations))
            }
            Relation::Side { migrations: Some(migrations) } => {
                format!("on another branch, {}", to_run(migrations))
            }
        }
    }

    /// Returns the sort key among all candidates. Smaller is better.
    fn rank(&self) -> impl Ord + use<> {
        (!self.relation.leads_there(), self.unusable.is_some(), self.nearness())
    }

    /// The sort key among usable candidates. Smaller is better.
    fn nearness(&self) -> impl Ord + use<> {
        let (class, migrations, commits) = match self.relation {
            Relation::Exact => (0, 0, 0),
            Relation::Ancestor { commits, migrations } => (1, migrations, commits),
            Relation::Newer { commits, migrations } => (2, migrations.unwrap_or_default(), commits),
            Relation::Side { migrations } => (3, migrations.unwrap_or_default(), 0),
        };
        (class, migrations, commits, Reverse((self.completed_at, self.backup)))
    }
}

/// Returns the unusable candidates that are nearer than the chosen one, or as near and newer.
pub fn passed_over<'a>(
    candidates: &'a [Candidate],
    chosen: &'a Candidate,
) -> impl Iterator<Item = &'a Candidate> {
    let is_better = move |one: &&Candidate| one.unusable.is_some() && one.nearness() < chosen.nearness();
    candidates.iter().filter(is_better)
}

/// Sorts the candidates, the best one first.
pub fn rank(candidates: &mut [Candidate]) {
    candidates.sort_by_cached_key(Candidate::rank);
}

fn to_run(migrations: usize) -> String {
    match migrations {
        0 => "with the same migrations".to_owned(),
        migrations => format!("{} to run", counted(migrations, "migration")),
    }
}

/// `1 commit`, `2 commits`
fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(relation: Relation, verified: bool, unusable: bool, second: i64) -> Candidate {
        let at = Timestamp::from_unix(1_700_000_000 + second).unwrap();
        Candidate {
            backup: BackupId::new(at),
            name: "nightly".to_owned(),
            commit: "a".repeat(40).parse().unwrap(),
            kind: BackupType::Full,
            tool: "pg_dump".to_owned(),
            completed_at: Some(at),
            size_bytes: None,
            verified,
            relation,
            unusable: unusable.then(|| "its bytes are gone".to_owned()),
            gap: None,
            command: None,
        }
    }

    const FAR: Relation = Relation::Ancestor { commits: 9, migrations: 1 };
    const NEAR: Relation = Relation::Ancestor { commits: 2, migrations: 3 };

    #[test]
    fn exact_then_fewest_migrations_then_nearest_then_newest() {
        let in_order = [
            candidate(Relation::Exact, false, false, 9),
            candidate(Relation::Exact, false, false, 8),
            candidate(Relation::Exact, true, false, 1),
            candidate(Relation::Ancestor { commits: 50, migrations: 0 }, false, false, 0),
            candidate(FAR, false, false, 0),
            candidate(NEAR, false, false, 99),
            candidate(NEAR, true, false, 0),
            candidate(Relation::Exact, true, true, 1),
            candidate(FAR, true, true, 1),
            candidate(Relation::Newer { commits: 1, migrations: None }, true, false, 1),
        ];
        let mut shuffled: Vec<Candidate> = in_order.iter().rev().cloned().collect();
        rank(&mut shuffled);
        assert_eq!(shuffled, in_order);
        assert_eq!(in_order[4].reason(), "9 commits older, 1 migration to run");
        assert_eq!(in_order[7].reason(), "its bytes are gone");
        assert!(!in_order[9].is_eligible());
    }

    #[test]
    fn what_was_passed_over_is_nearer_or_newer_and_cannot_be_used() {
        let mut candidates = [
            candidate(Relation::Exact, false, true, 9),
            candidate(Relation::Exact, true, false, 5),
            candidate(Relation::Exact, true, true, 1),
            candidate(NEAR, true, true, 99),
            candidate(Relation::Newer { commits: 1, migrations: None }, true, true, 99),
        ];
        rank(&mut candidates);
        let passed: Vec<&Candidate> = passed_over(&candidates, &candidates[0]).collect();
        assert_eq!(passed.len(), 1);
        assert_eq!(passed[0].completed_at, Some(Timestamp::from_unix(1_700_000_009).unwrap()));
        let nearer: Vec<&Candidate> = passed_over(&candidates, &candidates[4]).collect();
        assert_eq!(nearer.len(), 3);
    }

    proptest! {
        #[test]
        fn what_cannot_be_used_never_comes_before_what_can(
            facts in proptest::collection::vec((0..4_u8, 0..4_usize, 0..4_usize, any::<bool>(), any::<bool>()), 0..20)
        ) {
            let mut candidates: Vec<_> = facts.into_iter().map(|(class, commits, migrations, verified, unusable)| {
                let relation = match class {
                    0 => Relation::Exact,
                    1 => Relation::Ancestor { commits, migrations },
                    2 => Relation::Newer { commits, migrations: (migrations > 0).then_some(migrations) },
                    _ => Relation::Side { migrations: (migrations > 0).then_some(migrations) },
                };
                candidate(relation, verified, unusable, 0)
            }).collect();
            rank(&mut candidates);
            let eligible: Vec<bool> = candidates.iter().map(Candidate::is_eligible).collect();
            prop_assert!(eligible.windows(2).all(|pair| pair[0] || !pair[1]), "{eligible:?}");
        }
    }
}

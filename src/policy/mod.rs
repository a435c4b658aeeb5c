//! Decides which moves of branches require a backup. Pure.
//!
//! A [`BranchRule`] has, for one database, the branches to watch and the paths of the schema. [`decide`]
//! decides about a branch that has just moved, for hooks. [`lacks_backup`] decides about the current state
//! of a branch, to find moves for which no hook ran.

use crate::domain::{BackupType, CommitId, DatabaseName, Line};
use crate::git::{BranchPatterns, PathPatterns};

/// A rule for backups after moves of branches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchRule {
    /// The database to back up.
    pub database: DatabaseName,
    /// The branches to watch. A branch is watched if one of the values matches it.
    pub branches: Vec<BranchPatterns>,
    /// The paths of the schema, one of which must have changed.
    pub paths: Vec<PathPatterns>,
    /// The tool; `None` for the tool of the database.
    pub tool: Option<Line>,
    /// The type of backup; `None` for that of the database.
    pub kind: Option<BackupType>,
    /// The priority of the job.
    pub priority: i16,
}

impl BranchRule {
    /// Returns true if the rule watches the branch `name`.
    pub fn watches(&self, name: &str) -> bool {
        self.branches.iter().any(|patterns| patterns.matches(name))
    }

    /// Returns true if the file `path` is a part of the schema.
    pub fn is_schema(&self, path: &str) -> bool {
        self.paths.iter().any(|patterns| patterns.matches(path))
    }
}

/// The change of a branch by a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchChange {
    /// The branch is new, or its old tip is unknown: everything may have changed.
    Everything,
    /// The paths of both tips were compared.
    Paths {
        /// True if a path of the schema has changed.
        schema: bool,
    },
}

/// The decision about a branch that has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A backup is required.
    Backup,
    /// The rule does not watch this branch.
    OtherBranch,
    /// No path of the schema has changed.
    NoSchemaChange,
}

/// Decides about a branch that has moved. `change` is expensive, and is called only if the rule watches
/// the branch. Fails if `change` fails.
pub fn decide<E>(
    rule: &BranchRule,
    branch: &str,
    change: impl FnOnce() -> Result<BranchChange, E>,
) -> Result<Decision, E> {
    if !rule.watches(branch) {
        return Ok(Decision::OtherBranch);
    }
    Ok(match change()? {
        BranchChange::Everything | BranchChange::Paths { schema: true } => Decision::Backup,
        BranchChange::Paths { schema: false } => Decision::NoSchemaChange,
    })
}

/// Returns true if a watched branch lacks a backup. `line` has its commits, from the tip along the first
/// parents. `is_attended` returns true for a commit that has a record or a job. The newest commit that
/// changes the schema, or a later one, must be attended. Fails if `changes_schema` fails.
pub fn lacks_backup<E>(
    line: &[CommitId],
    mut is_attended: impl FnMut(&CommitId) -> bool,
    mut changes_schema: impl FnMut(&CommitId) -> Result<bool, E>,
) -> Result<bool, E> {
    for commit in line {
        if is_attended(commit) {
            return Ok(false);
        }
        if changes_schema(commit)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(branches: &[&str], paths: &[&str]) -> BranchRule {
        BranchRule {
            database: "shop".parse().unwrap(),
            branches: branches.iter().map(|text| text.parse().unwrap()).collect(),
            paths: paths.iter().map(|text| text.parse().unwrap()).collect(),
            tool: None,
            kind: None,
            priority: 0,
        }
    }

    fn decision(rule: &BranchRule, branch: &str, change: BranchChange) -> Decision {
        decide(rule, branch, || Ok::<_, ()>(change)).unwrap()
    }

    #[test]
    fn a_watched_branch_with_a_new_schema_requires_a_backup() {
        let rule = rule(&["main", "release/*"], &["*.sql"]);
        assert!(rule.is_schema("db/1.sql") && !rule.is_schema("README.md"));
        assert_eq!(decision(&rule, "main", BranchChange::Everything), Decision::Backup);
        assert_eq!(decision(&rule, "release/1", BranchChange::Paths { schema: true }), Decision::Backup);
        assert_eq!(decision(&rule, "main", BranchChange::Paths { schema: false }), Decision::NoSchemaChange);
        let not_asked = decide(&rule, "feature", || Err("asked"));
        assert_eq!(not_asked, Ok(Decision::OtherBranch));
        assert_eq!(decide(&rule, "main", || Err("asked")), Err("asked"));
    }

    #[test]
    fn the_newest_change_or_a_later_commit_must_be_attended() {
        let commit = |n: usize| -> CommitId { format!("{n:040x}").parse().unwrap() };
        let line: Vec<CommitId> = (0..5).map(commit).collect();
        let lacks = |attended: &[usize], changes: &[usize]| {
            lacks_backup(
                &line,
                |it| attended.iter().any(|n| commit(*n) == *it),
                |it| Ok::<_, ()>(changes.iter().any(|n| commit(*n) == *it)),
            )
            .unwrap()
        };
        assert!(lacks(&[], &[0]) && lacks(&[], &[4]) && lacks(&[3], &[2]) && lacks(&[4], &[0, 3]));
        assert!(!lacks(&[], &[]) && !lacks(&[0], &[0, 1]) && !lacks(&[1], &[3]) && !lacks(&[2], &[2]));
    }
}

//! Which moves of branches want a backup: pure decisions over facts.
//!
//! A [`Rule`] says for one database which branches matter and which paths of
//! the repository are its schema. A hook asks about a branch that has just
//! moved ([`verdict`]); [`uncovered`] asks about a branch as it is, so that what
//! a hook has missed is found.

use crate::domain::{BackupType, CommitId, DatabaseName, Line};
use crate::git::{BranchPatterns, PathPatterns};

/// What is to happen when branches move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The database that is backed up.
    pub database: DatabaseName,
    /// When one of these branches moves; each value by itself.
    pub branches: Vec<BranchPatterns>,
    /// And something on these paths has changed.
    pub paths: Vec<PathPatterns>,
    /// With this tool, if not with the one of the database.
    pub tool: Option<Line>,
    /// As this type of backup, if not as that of the database.
    pub kind: Option<BackupType>,
    /// The priority of the job.
    pub priority: i16,
}

impl Rule {
    /// Does it watch the branch `name`?
    pub fn watches(&self, name: &str) -> bool {
        self.branches.iter().any(|patterns| patterns.matches(name))
    }

    /// Does the file `path` count as schema?
    pub fn is_schema(&self, path: &str) -> bool {
        self.paths.iter().any(|patterns| patterns.matches(path))
    }
}

/// What has become of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new, or where it was is not known: everything may have changed.
    Everything,
    /// It moved, and this says whether a path changed that counts as schema.
    Paths {
        /// Whether one did.
        schema: bool,
    },
}

/// What a rule says about a branch that has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A backup is wanted.
    Backup,
    /// The rule does not watch this branch.
    OtherBranch,
    /// Nothing has changed that counts as schema.
    NoSchemaChange,
}

/// Decides about a branch that has moved. `change` is only asked for when it
/// matters: it costs more than all the rest.
pub fn verdict<E>(
    rule: &Rule,
    branch: &str,
    change: impl FnOnce() -> Result<Change, E>,
) -> Result<Verdict, E> {
    if !rule.watches(branch) {
        return Ok(Verdict::OtherBranch);
    }
    Ok(match change()? {
        Change::Everything | Change::Paths { schema: true } => Verdict::Backup,
        Change::Paths { schema: false } => Verdict::NoSchemaChange,
    })
}

/// Whether a branch that a rule watches lacks a backup. `line` are its commits
/// from the tip along the first parents; of each is asked whether it changed
/// the schema and whether it is attended to: has a record or a job. The newest
/// change must be attended to, or something that came after it.
pub fn uncovered<E>(
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

    fn rule(branches: &[&str], paths: &[&str]) -> Rule {
        Rule {
            database: "shop".parse().unwrap(),
            branches: branches.iter().map(|text| text.parse().unwrap()).collect(),
            paths: paths.iter().map(|text| text.parse().unwrap()).collect(),
            tool: None,
            kind: None,
            priority: 0,
        }
    }

    fn decide(rule: &Rule, branch: &str, change: Change) -> Verdict {
        verdict(rule, branch, || Ok::<_, ()>(change)).unwrap()
    }

    #[test]
    fn a_branch_that_is_watched_and_has_a_new_schema_wants_a_backup() {
        let rule = rule(&["main", "release/*"], &["*.sql"]);
        assert!(rule.is_schema("db/1.sql") && !rule.is_schema("README.md"));
        assert_eq!(decide(&rule, "main", Change::Everything), Verdict::Backup);
        assert_eq!(decide(&rule, "release/1", Change::Paths { schema: true }), Verdict::Backup);
        assert_eq!(decide(&rule, "main", Change::Paths { schema: false }), Verdict::NoSchemaChange);
        let not_asked = verdict(&rule, "feature", || Err("asked"));
        assert_eq!(not_asked, Ok(Verdict::OtherBranch));
        assert_eq!(verdict(&rule, "main", || Err("asked")), Err("asked"));
    }

    #[test]
    fn the_newest_change_has_to_be_attended_to_or_what_came_after_it() {
        let commit = |n: usize| -> CommitId { format!("{n:040x}").parse().unwrap() };
        let line: Vec<CommitId> = (0..5).map(commit).collect();
        let lacks = |attended: &[usize], changes: &[usize]| {
            uncovered(
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

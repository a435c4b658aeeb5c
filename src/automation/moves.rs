//! Backups that follow moves of branches.

use std::collections::BTreeSet;

use crate::domain::{BackupType, CommitId, DatabaseName, Job, Line, Work};
use crate::git::hooks::Hook;
use crate::git::{self, Branch, Oid, Repository, Walk};
use crate::ledger::Overview;
use crate::policy::{self, BranchChange, BranchRule, Decision};

/// The tag of backups that follow a move of a branch. Its value is the commit that the branch moved to.
/// The backup itself belongs to another commit if the database records another one.
pub const MERGE_TAG: &str = "merge";

/// Maximum number of commits of a branch that are searched for missing backups.
const COMMITS_MAX: usize = 200;

/// A branch that has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchMove {
    /// The name of the branch.
    pub branch: String,
    /// The old tip; `None` if it is unknown or the branch is new.
    pub old: Option<Oid>,
    /// The new tip.
    pub new: Oid,
}

/// A backup that a rule requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedBackup {
    /// The database.
    pub database: DatabaseName,
    /// The branch that moved.
    pub branch: String,
    /// The new tip of the branch.
    pub commit: CommitId,
    /// The tool; `None` for the tool of the database.
    pub tool: Option<Line>,
    /// The type of backup; `None` for that of the database.
    pub kind: Option<BackupType>,
    /// The priority of the job.
    pub priority: i16,
}

impl WantedBackup {
    fn new(rule: &BranchRule, branch: &str, commit: CommitId) -> Self {
        Self {
            database: rule.database.clone(),
            branch: branch.to_owned(),
            commit,
            tool: rule.tool.clone(),
            kind: rule.kind,
            priority: rule.priority,
        }
    }

    /// Returns the deduplication key of the job.
    pub fn job_key(&self) -> Line {
        Line::lossy(&format!("merge:{}:{}", self.database, self.commit))
    }
}

/// Returns the branches that have moved when git runs `hook` with `arguments` and the standard input
/// `input`. Fails if the repository cannot be read.
pub fn branch_moves(
    repository: &Repository,
    hook: Hook,
    arguments: &[String],
    input: &[u8],
) -> Result<Vec<BranchMove>, git::Error> {
    let first = arguments.first().map(String::as_str);
    match hook {
        // A squashed merge is not committed yet.
        Hook::PostMerge if first == Some("1") => Ok(Vec::new()),
        Hook::PostMerge => checked_out(repository, true, false),
        Hook::PostRewrite if first == Some("rebase") => checked_out(repository, true, false),
        Hook::PostCommit | Hook::PostRewrite => checked_out(repository, false, true),
        Hook::PostReceive => Ok(received(input)),
    }
}

/// Returns the move of the branch that is checked out.
fn checked_out(
    repository: &Repository,
    from_orig: bool,
    only_merges: bool,
) -> Result<Vec<BranchMove>, git::Error> {
    let Some(branch) = repository.head_branch() else { return Ok(Vec::new()) };
    let new = repository.head()?;
    let parents = repository.commit(new)?.parents;
    if only_merges && parents.len() < 2 {
        return Ok(Vec::new());
    }
    // ORIG_HEAD is the tip of the branch before a merge or a rebase.
    let orig = if from_orig { repository.resolve_commit("ORIG_HEAD").ok() } else { None };
    let old = orig.filter(|old| *old != new).or(parents.first().copied());
    Ok(vec![BranchMove { branch, old, new }])
}

/// Parses the input of post-receive: lines `<old> <new> <ref>`.
fn received(input: &[u8]) -> Vec<BranchMove> {
    let text = String::from_utf8_lossy(input);
    let oid = |hex: &str| Oid::from_hex(hex).filter(|_| hex.bytes().any(|byte| byte != b'0'));
    let line = |line: &str| {
        let mut fields = line.splitn(3, ' ');
        let (old, new, name) = (fields.next()?, fields.next()?, fields.next()?);
        let branch = name.strip_prefix("refs/heads/")?.to_owned();
        Some(BranchMove { branch, old: oid(old), new: oid(new)? })
    };
    text.lines().filter_map(line).collect()
}

/// Returns the backups that `rules` require after `moves`. Fails if the repository cannot be read.
pub fn wanted_backups(
    repository: &Repository,
    rules: &[BranchRule],
    moves: &[BranchMove],
) -> Result<Vec<WantedBackup>, git::Error> {
    let mut wanted = Vec::new();
    for BranchMove { branch, old, new } in moves {
        for rule in rules {
            let decision = policy::decide(rule, branch, || match old {
                None => Ok(BranchChange::Everything),
                Some(old) => {
                    changes(repository, rule, Some(*old), *new).map(|schema| BranchChange::Paths { schema })
                }
            })?;
            if decision == Decision::Backup {
                wanted.push(WantedBackup::new(rule, branch, new.to_commit()));
            }
        }
    }
    Ok(wanted)
}

/// Returns true if a schema file of `rule` differs between two commits. A missing `old` commit counts as
/// empty.
fn changes(
    repository: &Repository,
    rule: &BranchRule,
    old: Option<Oid>,
    new: Oid,
) -> Result<bool, git::Error> {
    let old = old.and_then(|old| repository.commit(old).ok()).map(|commit| commit.tree);
    let new = repository.commit(new)?.tree;
    repository.differs_where(old, Some(new), &mut |path| rule.is_schema(path))
}

/// Returns the backups that `rules` require for the current branches and that have neither a record nor
/// a job. Fails if the repository cannot be read.
pub fn missing_backups(
    repository: &Repository,
    rules: &[BranchRule],
    backups: &Overview,
    jobs: &[Job],
) -> Result<Vec<WantedBackup>, git::Error> {
    let mut missing = Vec::new();
    if rules.is_empty() {
        return Ok(missing);
    }
    let branches = repository.branches()?;
    for rule in rules {
        let attended = attended(&rule.database, backups, jobs);
        for Branch { name, tip } in branches.iter().filter(|branch| rule.watches(&branch.name)) {
            let walk = Walk { first_parent: true, limit: Some(COMMITS_MAX) };
            let line = repository.walk(&[*tip], &[], walk)?;
            let line: Vec<CommitId> = line.into_iter().map(Oid::to_commit).collect();
            let lacks_backup = policy::lacks_backup(
                &line,
                |commit| attended.contains(commit.as_str()),
                |commit| {
                    let commit = Oid::from(commit);
                    changes(repository, rule, repository.commit(commit)?.parents.first().copied(), commit)
                },
            )?;
            if lacks_backup {
                missing.push(WantedBackup::new(rule, name, tip.to_commit()));
            }
        }
    }
    Ok(missing)
}

/// Returns the commits for which there is a record or a job of `database`. Failed ones are included,
/// because the queue retries and reports them.
fn attended(database: &DatabaseName, backups: &Overview, jobs: &[Job]) -> BTreeSet<String> {
    let rows = backups.rows().filter(|row| row.database() == database.as_str());
    let recorded = rows.flat_map(|row| {
        let moved = row.tag(MERGE_TAG).map(str::to_owned);
        [Some(row.commit().to_string()), moved].into_iter().flatten()
    });
    let queued = jobs.iter().filter_map(|job| match &job.work {
        Work::Backup(work) if work.database == *database => work.commit.as_ref().map(ToString::to_string),
        _ => None,
    });
    recorded.chain(queued).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_lines_about_branches_are_moves() {
        let (a, b, null) = ("a".repeat(40), "b".repeat(40), "0".repeat(40));
        let input = format!(
            "{a} {b} refs/heads/main\n{null} {b} refs/heads/release/$(x) 'y'\n{a} {null} refs/heads/gone\n\
             {a} {b} refs/tags/v1\nnonsense\n{a} {b}\n"
        );
        let moves = received(input.as_bytes());
        assert_eq!(moves.len(), 2);
        assert_eq!((moves[0].branch.as_str(), moves[0].old), ("main", Oid::from_hex(&a)));
        assert_eq!((moves[1].branch.as_str(), moves[1].old), ("release/$(x) 'y'", None));
        assert!(received(b"\xff\0\n").is_empty());
    }
}

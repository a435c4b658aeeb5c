//! What moves of branches want.

use std::collections::BTreeSet;

use crate::domain::{BackupType, CommitId, DatabaseName, Job, Line, Work};
use crate::git::hooks::Hook;
use crate::git::{self, Branch, Oid, Repository, Walk};
use crate::ledger::Overview;
use crate::policy::{self, Change, Rule, Verdict};

/// The tag of backups that follow a move: the commit that the branch moved to.
/// The backup itself may belong to another one, when the database says so.
pub const MERGE_TAG: &str = "merge";

/// How many commits of a branch are looked at for what was missed.
const LOOK_BACK: usize = 200;

/// A branch that has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Its name.
    pub branch: String,
    /// Where it was; `None` when that is not known, or it is new.
    pub old: Option<Oid>,
    /// Where it is.
    pub new: Oid,
}

/// A backup that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The database.
    pub database: DatabaseName,
    /// The branch that moved.
    pub branch: String,
    /// Where it moved to.
    pub commit: CommitId,
    /// The tool, if it is not the one of the database.
    pub tool: Option<Line>,
    /// The type of backup, if it is not the one of the database.
    pub kind: Option<BackupType>,
    /// The priority of the job.
    pub priority: i16,
}

impl Wanted {
    fn new(rule: &Rule, branch: &str, commit: CommitId) -> Self {
        Self {
            database: rule.database.clone(),
            branch: branch.to_owned(),
            commit,
            tool: rule.tool.clone(),
            kind: rule.kind,
            priority: rule.priority,
        }
    }

    /// The key of its job: of those that wait there is one.
    pub fn job_key(&self) -> Line {
        Line::lossy(&format!("merge:{}:{}", self.database, self.commit))
    }
}

/// The branches that have moved when git runs `hook` with `arguments` and with
/// `input` on its standard input.
pub fn moves_of(
    repository: &Repository,
    hook: Hook,
    arguments: &[String],
    input: &[u8],
) -> Result<Vec<Move>, git::Error> {
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

/// The branch that is checked out, as one that has just moved.
fn checked_out(repository: &Repository, from_orig: bool, only_merges: bool) -> Result<Vec<Move>, git::Error> {
    let Some(branch) = repository.head_branch() else { return Ok(Vec::new()) };
    let new = repository.head()?;
    let parents = repository.commit(new)?.parents;
    if only_merges && parents.len() < 2 {
        return Ok(Vec::new());
    }
    // Git keeps there where a branch was before a merge or a rebase.
    let orig = if from_orig { repository.resolve_commit("ORIG_HEAD").ok() } else { None };
    let old = orig.filter(|old| *old != new).or(parents.first().copied());
    Ok(vec![Move { branch, old, new }])
}

/// The lines `<old> <new> <ref>` that git gives to post-receive.
fn received(input: &[u8]) -> Vec<Move> {
    let text = String::from_utf8_lossy(input);
    let oid = |hex: &str| Oid::from_hex(hex).filter(|_| hex.bytes().any(|byte| byte != b'0'));
    let line = |line: &str| {
        let mut fields = line.splitn(3, ' ');
        let (old, new, name) = (fields.next()?, fields.next()?, fields.next()?);
        let branch = name.strip_prefix("refs/heads/")?.to_owned();
        Some(Move { branch, old: oid(old), new: oid(new)? })
    };
    text.lines().filter_map(line).collect()
}

/// The backups that `rules` want after `moves`.
pub fn wanted(repository: &Repository, rules: &[Rule], moves: &[Move]) -> Result<Vec<Wanted>, git::Error> {
    let mut wanted = Vec::new();
    for Move { branch, old, new } in moves {
        for rule in rules {
            let verdict = policy::verdict(rule, branch, || match old {
                None => Ok(Change::Everything),
                Some(old) => {
                    changes(repository, rule, Some(*old), *new).map(|schema| Change::Paths { schema })
                }
            })?;
            if verdict == Verdict::Backup {
                wanted.push(Wanted::new(rule, branch, new.to_commit()));
            }
        }
    }
    Ok(wanted)
}

/// Whether something that `rule` calls schema is different in two commits. A
/// commit that is not there any more is as good as an empty one.
fn changes(repository: &Repository, rule: &Rule, old: Option<Oid>, new: Oid) -> Result<bool, git::Error> {
    let old = old.and_then(|old| repository.commit(old).ok()).map(|commit| commit.tree);
    let new = repository.commit(new)?.tree;
    repository.differs_where(old, Some(new), &mut |path| rule.is_schema(path))
}

/// The backups that `rules` want for the branches as they are, and that have
/// neither a record nor a job.
pub fn lacking(
    repository: &Repository,
    rules: &[Rule],
    backups: &Overview,
    jobs: &[Job],
) -> Result<Vec<Wanted>, git::Error> {
    let mut lacking = Vec::new();
    if rules.is_empty() {
        return Ok(lacking);
    }
    let branches = repository.branches()?;
    for rule in rules {
        let attended = attended(&rule.database, backups, jobs);
        for Branch { name, tip } in branches.iter().filter(|branch| rule.watches(&branch.name)) {
            let walk = Walk { first_parent: true, limit: Some(LOOK_BACK) };
            let line = repository.walk(&[*tip], &[], walk)?;
            let line: Vec<CommitId> = line.into_iter().map(Oid::to_commit).collect();
            let is_lacking = policy::uncovered(
                &line,
                |commit| attended.contains(commit.as_str()),
                |commit| {
                    let commit = Oid::from(commit);
                    changes(repository, rule, repository.commit(commit)?.parents.first().copied(), commit)
                },
            )?;
            if is_lacking {
                lacking.push(Wanted::new(rule, name, tip.to_commit()));
            }
        }
    }
    Ok(lacking)
}

/// The commits for which there is a record or a job of `database`, whatever has
/// become of it: what failed is another's business.
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
    fn what_was_pushed_is_understood_and_what_is_no_branch_is_not() {
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

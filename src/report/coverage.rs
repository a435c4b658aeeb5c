//! Which commits can be restored.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use serde::Serialize;

use crate::domain::{BackupId, BackupType, CommitId, Status, Timestamp};

/// What the backups of one commit come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There is no backup, or none whose bytes are kept.
    NoBackup,
    /// Attempts failed or were interrupted, and there is nothing else.
    Failed,
    /// One is being made, and there is nothing else yet.
    InProgress,
    /// There are completed backups, but each needs one that is not there.
    NoFullBackup,
    /// It can be restored.
    Ok,
}

impl State {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoBackup => "no_backup",
            Self::Failed => "failed",
            Self::InProgress => "in_progress",
            Self::NoFullBackup => "no_full_backup",
            Self::Ok => "ok",
        }
    }
}

/// The coverage of one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The commit.
    pub commit: CommitId,
    /// What its backups come to.
    pub state: State,
    /// One of the backups that make it `ok` was verified.
    pub verified: bool,
    /// How many backups it has, in any state.
    pub backups: usize,
    /// The newest backup that it can be restored from.
    pub restorable_from: Option<BackupId>,
}

/// The coverage of one branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// Its name.
    pub branch: String,
    /// Its tip.
    pub tip: Coverage,
    /// The nearest commit of the branch that can be restored.
    pub nearest: Option<CommitId>,
    /// How many commits the tip is ahead of it.
    pub commits_since: Option<usize>,
}

/// How many backups there are, each counted once however many branches meet at
/// its commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All of them.
    pub backups: usize,
    /// By status; `interrupted` are those whose maker is dead.
    pub by_status: BTreeMap<&'static str, usize>,
    /// What they take in the store.
    pub stored_bytes: u64,
}

/// What has to be known about a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: BackupId,
    /// The schema commit.
    pub commit: CommitId,
    /// What it contains.
    pub kind: BackupType,
    /// How far it has come.
    pub status: Status,
    /// Its maker is dead though it says `in_progress`.
    pub interrupted: bool,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// What it takes in the store.
    pub stored_bytes: u64,
    /// The backup that it cannot be restored without.
    pub needs: Option<BackupId>,
    /// It was verified, with success.
    pub verified: bool,
}

/// The backups by commit, with what is needed to judge them.
pub struct Records {
    /// Of one commit side by side.
    backups: Vec<Known>,
    by_commit: HashMap<CommitId, Range<usize>>,
    by_id: HashMap<BackupId, usize>,
}

impl Records {
    /// Judges these.
    pub fn new(backups: impl IntoIterator<Item = Known>) -> Self {
        let mut backups: Vec<Known> = backups.into_iter().collect();
        backups.sort_by(|a, b| a.commit.cmp(&b.commit));
        let by_id = backups.iter().enumerate().map(|(at, backup)| (backup.id, at)).collect();
        let mut at = 0;
        let range = |group: &[Known]| {
            at += group.len();
            (group[0].commit.clone(), at - group.len()..at)
        };
        let by_commit = backups.chunk_by(|a, b| a.commit == b.commit).map(range).collect();
        Self { backups, by_commit, by_id }
    }

    /// Can the backup be restored, with everything it needs?
    fn restorable(&self, backup: &Known) -> bool {
        let (mut current, mut seen) = (backup, BTreeSet::new());
        loop {
            if current.status != Status::Completed {
                return false;
            }
            let Some(needed) = current.needs else {
                return matches!(current.kind, BackupType::Full | BackupType::Snapshot);
            };
            match self.by_id.get(&needed) {
                Some(parent) if seen.insert(current.id) => current = &self.backups[*parent],
                _ => return false,
            }
        }
    }

    fn coverage(&self, commit: &CommitId) -> Coverage {
        let backups = self.by_commit.get(commit).map_or(&[][..], |range| &self.backups[range.clone()]);
        let restorable: Vec<&Known> = backups.iter().filter(|backup| self.restorable(backup)).collect();
        let has = |status: Status| backups.iter().any(|backup| backup.status == status);
        let running = |backup: &Known| backup.status == Status::InProgress && !backup.interrupted;
        let state = if !restorable.is_empty() {
            State::Ok
        } else if has(Status::Completed) {
            State::NoFullBackup
        } else if backups.iter().any(running) {
            State::InProgress
        } else if has(Status::Failed) || has(Status::InProgress) {
            State::Failed
        } else {
            State::NoBackup
        };
        Coverage {
            commit: commit.clone(),
            state,
            verified: restorable.iter().any(|backup| backup.verified),
            backups: backups.len(),
            restorable_from: restorable
                .iter()
                .map(|backup| (backup.registered_at, backup.id))
                .max()
                .map(|(_, id)| id),
        }
    }

    /// The commits that can be restored.
    pub fn restorable_commits(&self) -> impl Iterator<Item = &CommitId> {
        let restorable =
            |range: &Range<usize>| self.backups[range.clone()].iter().any(|backup| self.restorable(backup));
        self.by_commit.iter().filter(move |(_, range)| restorable(range)).map(|(commit, _)| commit)
    }

    /// All records once.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally { backups: self.by_id.len(), ..Tally::default() };
        for backup in self.by_id.values().map(|at| &self.backups[*at]) {
            let status = if backup.interrupted { "interrupted" } else { backup.status.as_str() };
            *tally.by_status.entry(status).or_default() += 1;
            if matches!(backup.status, Status::Completed | Status::Expired) {
                tally.stored_bytes += backup.stored_bytes;
            }
        }
        tally
    }
}

/// The coverage of each of `commits`.
pub fn commits<'a>(records: &Records, commits: impl IntoIterator<Item = &'a CommitId>) -> Vec<Coverage> {
    commits.into_iter().map(|commit| records.coverage(commit)).collect()
}

/// The coverage of each branch: its name, its tip, and the nearest commit that
/// can be restored with the number of commits that it lacks (see
/// [`History::nearest`](super::History::nearest)).
pub fn branches(
    records: &Records,
    branches: impl IntoIterator<Item = (String, CommitId, Option<(CommitId, usize)>)>,
) -> Vec<Branch> {
    let one = |(branch, tip, nearest): (String, CommitId, Option<(CommitId, usize)>)| {
        let (nearest, commits_since) = nearest.unzip();
        Branch { branch, tip: records.coverage(&tip), nearest, commits_since }
    };
    branches.into_iter().map(one).collect()
}

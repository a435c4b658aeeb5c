//! Which commits can be restored.

use std::collections::BTreeMap;
use std::hash::Hash;

use foldhash::{HashMap, HashMapExt as _};
use serde::Serialize;

use crate::domain::{
    BackupId, BackupType, ChainError, CommitId, Status, Timestamp, VerificationStatus, Verified,
    dependency_chain,
};

/// What the backups of one commit come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum State {
    /// There is no backup, or none whose bytes are kept.
    NoBackup,
    /// Attempts failed or were interrupted, and there is nothing else.
    Failed,
    /// One is being made, and there is nothing else yet.
    InProgress,
    /// There are completed backups, but each needs one that is not there.
    NoFullBackup,
    /// There are completed backups, but the bytes of each, or of one that it needs, are in a place
    /// that does not exist.
    BytesMissing,
    /// They are there, but the latest verdict on each, or on one that it needs, is
    /// `failed`.
    VerificationFailed,
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
            Self::BytesMissing => "bytes_missing",
            Self::VerificationFailed => "verification_failed",
            Self::Ok => "ok",
        }
    }
}

/// The coverage of one commit, which has the name `C`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Coverage")]
pub struct Coverage<C = CommitId> {
    /// The commit.
    pub commit: C,
    /// Whether the commit can be restored, and if not, why.
    pub state: State,
    /// Whether one of the backups that make it `ok` was verified with success.
    pub verified: bool,
    /// The verification of them that proves most, and of several such the latest; null
    /// if there is none.
    pub verification: Option<Verified>,
    /// Number of backups of the commit, in any state.
    pub backups: usize,
    /// The newest backup that the commit can be restored from; null if there is none.
    pub restorable_from: Option<BackupId>,
}

impl<C> Coverage<C> {
    /// The same with another name for the commit.
    pub fn named<D>(self, name: impl FnOnce(C) -> D) -> Coverage<D> {
        let Self { commit, state, verified, verification, backups, restorable_from } = self;
        Coverage { commit: name(commit), state, verified, verification, backups, restorable_from }
    }
}

/// The coverage of one branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Branch {
    /// The name of the branch.
    pub branch: String,
    /// The coverage of the tip of the branch.
    pub tip: Coverage,
    /// The nearest commit of the branch that can be restored; null if there is none.
    pub nearest: Option<CommitId>,
    /// Number of commits that the tip is ahead of it; null if there is none.
    pub commits_since: Option<usize>,
}

/// How many backups there are, each counted once however many branches meet at
/// its commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Tally {
    /// Number of all backups.
    pub backups: usize,
    /// Number of backups by status; `interrupted` are those whose process is dead.
    pub by_status: BTreeMap<&'static str, usize>,
    /// Bytes that they take in the store.
    pub stored_bytes: u64,
}

/// What has to be known about a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<C> {
    /// Its id.
    pub id: BackupId,
    /// The schema commit.
    pub commit: C,
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
    /// What its verifications come to.
    pub verification: Option<Verified>,
    /// True if the place of its bytes does not exist.
    pub missing: bool,
}

/// Why a backup is not one to restore from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    NotCompleted,
    NeedsItself,
    NoBase,
    Unknown,
    BytesMissing,
    VerificationFailed,
}

impl Obstacle {
    fn as_str(self) -> &'static str {
        match self {
            Self::NotCompleted => "is not completed",
            Self::NeedsItself => "needs itself",
            Self::NoBase => "does not say what it builds on",
            Self::Unknown => "is not in the ledger",
            Self::BytesMissing => "has its bytes in a place that is not there",
            Self::VerificationFailed => "has failed its latest verification",
        }
    }
}

/// The backups by commit, with what is needed to judge them.
pub struct Records<C> {
    backups: Vec<Known<C>>,
    /// The last backup of each commit, and for each backup the one before it of
    /// the same commit.
    last: HashMap<C, u32>,
    before: Vec<Option<u32>>,
    /// Sorted, each once.
    by_id: Vec<(BackupId, u32)>,
}

impl<C: Copy + Eq + Hash> Records<C> {
    /// Judges these.
    pub fn new(backups: impl IntoIterator<Item = Known<C>>) -> Self {
        let backups: Vec<Known<C>> = backups.into_iter().collect();
        let mut last = HashMap::with_capacity(backups.len());
        let before = (0..).zip(&backups).map(|(at, backup)| last.insert(backup.commit, at)).collect();
        let mut by_id: Vec<(BackupId, u32)> = backups.iter().map(|backup| backup.id).zip(0..).collect();
        by_id.sort_unstable();
        by_id.dedup_by_key(|(id, _)| *id);
        Self { backups, last, before, by_id }
    }

    /// The backups of a commit, as numbers in the order in which they came; the
    /// last one first.
    pub fn of(&self, commit: &C) -> impl Iterator<Item = usize> {
        let last = self.last.get(commit).copied();
        std::iter::successors(last, |at| self.before[*at as usize]).map(|at| at as usize)
    }

    fn by_id(&self, id: BackupId) -> Option<&Known<C>> {
        let at = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(&self.backups[self.by_id[at].1 as usize])
    }

    /// What the backup comes to, with everything it needs.
    fn state(&self, backup: &Known<C>) -> State {
        match backup.status {
            Status::Completed => match self.chain_of(backup) {
                Ok(_) => State::Ok,
                Err((_, Obstacle::VerificationFailed)) => State::VerificationFailed,
                Err((_, Obstacle::BytesMissing)) => State::BytesMissing,
                Err(_) => State::NoFullBackup,
            },
            Status::InProgress if !backup.interrupted => State::InProgress,
            Status::InProgress | Status::Failed => State::Failed,
            Status::Expired | Status::Deleted => State::NoBackup,
        }
    }

    fn is_restorable(&self, backup: &Known<C>) -> bool {
        self.state(backup) == State::Ok
    }

    /// The backup and everything it needs, the full one first; or why it cannot
    /// be restored.
    pub fn chain(&self, id: BackupId) -> Result<Vec<BackupId>, String> {
        let backup = self.by_id(id).ok_or_else(|| format!("backup {id} is not in the ledger"))?;
        let mut chain = self.chain_of(backup).map_err(|(at, obstacle)| match at == id {
            true => format!("it {}", obstacle.as_str()),
            false => format!("it needs backup {at}, which {}", obstacle.as_str()),
        })?;
        chain.reverse();
        Ok(chain)
    }

    /// Which of the backup and what it needs has failed its latest verification,
    /// when that is all that is in the way.
    pub fn failed_verification(&self, id: BackupId) -> Option<BackupId> {
        match self.chain_of(self.by_id(id)?) {
            Err((at, Obstacle::VerificationFailed)) => Some(at),
            _ => None,
        }
    }

    /// The same, the backup itself first; or which one is in the way. What is not
    /// there comes before what was found bad.
    fn chain_of<'s>(&'s self, backup: &'s Known<C>) -> Result<Vec<BackupId>, (BackupId, Obstacle)> {
        let present = |member: &'s Known<C>| match member.status {
            Status::Completed if member.missing => Err((member.id, Obstacle::BytesMissing)),
            Status::Completed => Ok(member),
            _ => Err((member.id, Obstacle::NotCompleted)),
        };
        let lookup = |id| {
            let member = self.by_id(id).map(present).transpose()?;
            Ok(member.map(|member| (member, member.needs)))
        };
        let mut chain = vec![present(backup)?];
        chain.extend(dependency_chain(backup.id, backup.needs, lookup).map_err(|error| match error {
            ChainError::Missing(id) => (id, Obstacle::Unknown),
            ChainError::Cycle(id) => (id, Obstacle::NeedsItself),
            ChainError::Lookup(obstacle) => obstacle,
        })?);
        let last = chain.last().map_or(backup, |last| *last);
        if !matches!(last.kind, BackupType::Full | BackupType::Snapshot) {
            return Err((last.id, Obstacle::NoBase));
        }
        let failed = |member: &&Known<C>| {
            member.verification.is_some_and(|it| it.status == VerificationStatus::Failed)
        };
        match chain.iter().copied().find(failed) {
            Some(bad) => Err((bad.id, Obstacle::VerificationFailed)),
            None => Ok(chain.iter().map(|member| member.id).collect()),
        }
    }

    /// Can the commit be restored?
    pub fn restorable(&self, commit: &C) -> bool {
        self.of(commit).any(|at| self.is_restorable(&self.backups[at]))
    }

    /// Is there any backup that can be restored?
    pub fn any_restorable(&self) -> bool {
        self.backups.iter().any(|backup| self.is_restorable(backup))
    }

    /// The coverage of a commit.
    pub fn coverage(&self, commit: C) -> Coverage<C> {
        let (mut count, mut verified, mut newest, mut state) = (0, false, None, State::NoBackup);
        let mut verification: Option<Verified> = None;
        for backup in self.of(&commit).map(|at| &self.backups[at]) {
            count += 1;
            let here = self.state(backup);
            // The best of them counts, and they are in that order.
            state = state.max(here);
            if here == State::Ok {
                verified |= backup.verified;
                let proof = backup.verification.filter(|_| backup.verified);
                let rank = |it: &Verified| (it.kind, it.at);
                verification = verification.into_iter().chain(proof).max_by_key(rank);
                newest = newest.max(Some((backup.registered_at, backup.id)));
            }
        }
        let restorable_from = newest.map(|(_, id)| id);
        Coverage { commit, state, verified, verification, backups: count, restorable_from }
    }

    /// All records once.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally { backups: self.by_id.len(), ..Tally::default() };
        for backup in self.by_id.iter().map(|(_, at)| &self.backups[*at as usize]) {
            let status = if backup.interrupted { "interrupted" } else { backup.status.as_str() };
            *tally.by_status.entry(status).or_default() += 1;
            if matches!(backup.status, Status::Completed | Status::Expired) {
                tally.stored_bytes += backup.stored_bytes;
            }
        }
        tally
    }
}

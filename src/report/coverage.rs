//! Coverage: the commits that can be restored from backups.

use std::collections::BTreeMap;
use std::hash::Hash;

use foldhash::{HashMap, HashMapExt as _};
use serde::Serialize;

use crate::domain::{
    BackupId, BackupType, ChainError, CommitId, DatabaseName, Status, Timestamp, VerificationStatus,
    Verified, dependency_chain,
};

/// The summary of the backups of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum State {
    /// There is no backup, or only expired and deleted ones.
    NoBackup,
    /// There are only failed and interrupted backups.
    Failed,
    /// A backup is in progress, and there is no completed one.
    InProgress,
    /// There are completed backups, but each depends on a missing one.
    NoFullBackup,
    /// There are completed backups, but the bytes of each, or of a backup that it depends on, are
    /// in a location that does not exist.
    BytesMissing,
    /// There are completed backups, but the latest verification of each, or of a backup that it
    /// depends on, failed.
    VerificationFailed,
    /// A restore runs migrations after a backup of an older commit, and the schema of the commit is not
    /// known: it could not be compared.
    Unproven,
    /// A restore runs migrations after a backup of an older commit, and compares the schema.
    Reachable,
    /// The commit can be restored without migrations.
    Ok,
}

impl State {
    /// Returns the stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoBackup => "no_backup",
            Self::Failed => "failed",
            Self::InProgress => "in_progress",
            Self::NoFullBackup => "no_full_backup",
            Self::BytesMissing => "bytes_missing",
            Self::VerificationFailed => "verification_failed",
            Self::Unproven => "unproven",
            Self::Reachable => "reachable",
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
    /// The restorability of the commit: `ok`, or the reason why it cannot be restored.
    pub state: State,
    /// True if a verification of one of the backups that make it `ok` passed.
    pub verified: bool,
    /// The verification of them that proves most, and of several such the latest; null
    /// if there is none.
    pub verification: Option<Verified>,
    /// Number of backups of the commit, in any state.
    pub backups: usize,
    /// The newest backup that the commit can be restored from; null if there is none.
    pub restorable_from: Option<BackupId>,
    /// The commit of that backup; null if there is none.
    pub restorable_at: Option<C>,
    /// Number of migrations that a restore runs; null if there is no backup to restore from, or if a
    /// program runs the migrations.
    pub migrations: Option<usize>,
}

impl<C> Coverage<C> {
    /// Returns this coverage with another name of the commit.
    pub fn named<D>(self, name: impl Fn(C) -> D) -> Coverage<D> {
        Coverage {
            commit: name(self.commit),
            state: self.state,
            verified: self.verified,
            verification: self.verification,
            backups: self.backups,
            restorable_from: self.restorable_from,
            restorable_at: self.restorable_at.map(name),
            migrations: self.migrations,
        }
    }

    /// Returns this coverage with the backup of another commit, `from`, from which the commit can be
    /// restored. `migrations` is the number of migrations that a restore runs.
    pub fn covered(self, state: State, from: Self, migrations: Option<usize>) -> Self {
        Self { commit: self.commit, backups: self.backups, state, migrations, ..from }
    }
}

/// The coverage of one branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Branch {
    /// The name of the branch.
    pub branch: String,
    /// The database that is covered worst; absent if the backups of all databases count together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseName>,
    /// The coverage of the tip of the branch.
    pub tip: Coverage,
    /// The nearest commit of the branch that can be restored; null if there is none.
    pub nearest: Option<CommitId>,
    /// Number of commits that the tip is ahead of it; null if there is none.
    pub commits_since: Option<usize>,
}

/// The numbers of backups. Each is counted once, even if its commit is on several branches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Tally {
    /// Number of all backups.
    pub backups: usize,
    /// Number of backups by status; `interrupted` are those whose process does not exist any more.
    pub by_status: BTreeMap<&'static str, usize>,
    /// Bytes that they take in the store.
    pub stored_bytes: u64,
}

/// The facts about a backup that decide about its restorability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFacts<C> {
    /// Its id.
    pub id: BackupId,
    /// The schema commit.
    pub commit: C,
    /// The type of the backup.
    pub kind: BackupType,
    /// The recorded status.
    pub status: Status,
    /// True if it is recorded as `in_progress` and its process does not exist any more.
    pub interrupted: bool,
    /// The time of its registration.
    pub registered_at: Timestamp,
    /// The stored size, in bytes.
    pub stored_bytes: u64,
    /// The backup that it depends on.
    pub needs: Option<BackupId>,
    /// True if a verification passed.
    pub verified: bool,
    /// The summary of its verifications.
    pub verification: Option<Verified>,
    /// True if the location of its bytes does not exist.
    pub missing: bool,
}

/// The reason why a backup cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unrestorable {
    NotCompleted,
    NeedsItself,
    NoBase,
    Unknown,
    BytesMissing,
    VerificationFailed,
}

impl Unrestorable {
    fn as_str(self) -> &'static str {
        match self {
            Self::NotCompleted => "is not completed",
            Self::NeedsItself => "depends on itself",
            Self::NoBase => "has no recorded base",
            Self::Unknown => "is not in the ledger",
            Self::BytesMissing => "has its bytes in a location that does not exist",
            Self::VerificationFailed => "has failed its latest verification",
        }
    }
}

/// An index of backups by commit and id, which decides about their restorability.
pub struct BackupIndex<C> {
    backups: Vec<BackupFacts<C>>,
    /// The last backup of each commit, and for each backup the previous one of the same commit.
    last: HashMap<C, u32>,
    before: Vec<Option<u32>>,
    /// Sorted by id, without duplicates.
    by_id: Vec<(BackupId, u32)>,
}

impl<C: Copy + Eq + Hash> BackupIndex<C> {
    /// Creates an index of `backups`.
    pub fn new(backups: impl IntoIterator<Item = BackupFacts<C>>) -> Self {
        let backups: Vec<BackupFacts<C>> = backups.into_iter().collect();
        let mut last = HashMap::with_capacity(backups.len());
        let before = (0..).zip(&backups).map(|(at, backup)| last.insert(backup.commit, at)).collect();
        let mut by_id: Vec<(BackupId, u32)> = backups.iter().map(|backup| backup.id).zip(0..).collect();
        by_id.sort_unstable();
        by_id.dedup_by_key(|(id, _)| *id);
        Self { backups, last, before, by_id }
    }

    /// Returns the backups of a commit as indexes of the order in which they were added, the last
    /// one first.
    pub fn of(&self, commit: &C) -> impl Iterator<Item = usize> {
        let last = self.last.get(commit).copied();
        std::iter::successors(last, |at| self.before[*at as usize]).map(|at| at as usize)
    }

    fn by_id(&self, id: BackupId) -> Option<&BackupFacts<C>> {
        let at = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(&self.backups[self.by_id[at].1 as usize])
    }

    /// Returns the state of a backup, considering the backups that it depends on.
    fn state(&self, backup: &BackupFacts<C>) -> State {
        match backup.status {
            Status::Completed => match self.chain_of(backup) {
                Ok(_) => State::Ok,
                Err((_, Unrestorable::VerificationFailed)) => State::VerificationFailed,
                Err((_, Unrestorable::BytesMissing)) => State::BytesMissing,
                Err(_) => State::NoFullBackup,
            },
            Status::InProgress if !backup.interrupted => State::InProgress,
            Status::InProgress | Status::Failed => State::Failed,
            Status::Expired | Status::Deleted => State::NoBackup,
        }
    }

    fn is_restorable(&self, backup: &BackupFacts<C>) -> bool {
        self.state(backup) == State::Ok
    }

    /// Returns the chain of a backup, beginning with the full one. Fails with the reason if the
    /// backup cannot be restored.
    pub fn chain(&self, id: BackupId) -> Result<Vec<BackupId>, String> {
        let backup = self.by_id(id).ok_or_else(|| format!("backup {id} is not in the ledger"))?;
        let mut chain = self.chain_of(backup).map_err(|(at, reason)| match at == id {
            true => format!("it {}", reason.as_str()),
            false => format!("it needs backup {at}, which {}", reason.as_str()),
        })?;
        chain.reverse();
        Ok(chain)
    }

    /// Returns the member of the chain of a backup whose latest verification failed, if nothing
    /// else prevents its restore.
    pub fn failed_verification(&self, id: BackupId) -> Option<BackupId> {
        match self.chain_of(self.by_id(id)?) {
            Err((at, Unrestorable::VerificationFailed)) => Some(at),
            _ => None,
        }
    }

    /// Returns the chain, beginning with the backup itself, or the member that prevents its
    /// restore. Missing members take precedence over failed verifications.
    fn chain_of<'s>(&'s self, backup: &'s BackupFacts<C>) -> Result<Vec<BackupId>, (BackupId, Unrestorable)> {
        let present = |member: &'s BackupFacts<C>| match member.status {
            Status::Completed if member.missing => Err((member.id, Unrestorable::BytesMissing)),
            Status::Completed => Ok(member),
            _ => Err((member.id, Unrestorable::NotCompleted)),
        };
        let lookup = |id| {
            let member = self.by_id(id).map(present).transpose()?;
            Ok(member.map(|member| (member, member.needs)))
        };
        let mut chain = vec![present(backup)?];
        chain.extend(dependency_chain(backup.id, backup.needs, lookup).map_err(|error| match error {
            ChainError::Missing(id) => (id, Unrestorable::Unknown),
            ChainError::Cycle(id) => (id, Unrestorable::NeedsItself),
            ChainError::Lookup(reason) => reason,
        })?);
        let last = chain.last().map_or(backup, |last| *last);
        if !matches!(last.kind, BackupType::Full | BackupType::Snapshot) {
            return Err((last.id, Unrestorable::NoBase));
        }
        let failed = |member: &&BackupFacts<C>| {
            member.verification.is_some_and(|it| it.status == VerificationStatus::Failed)
        };
        match chain.iter().copied().find(failed) {
            Some(bad) => Err((bad.id, Unrestorable::VerificationFailed)),
            None => Ok(chain.iter().map(|member| member.id).collect()),
        }
    }

    /// Returns true if the commit can be restored.
    pub fn restorable(&self, commit: &C) -> bool {
        self.of(commit).any(|at| self.is_restorable(&self.backups[at]))
    }

    /// Returns true if any backup can be restored.
    pub fn any_restorable(&self) -> bool {
        self.backups.iter().any(|backup| self.is_restorable(backup))
    }

    /// Returns the coverage of a commit.
    pub fn coverage(&self, commit: C) -> Coverage<C> {
        let (mut count, mut verified, mut newest, mut state) = (0, false, None, State::NoBackup);
        let mut verification: Option<Verified> = None;
        for backup in self.of(&commit).map(|at| &self.backups[at]) {
            count += 1;
            let here = self.state(backup);
            // The variants are ordered from the worst to the best; the best backup counts.
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
        let restorable_at = restorable_from.map(|_| commit);
        let migrations = restorable_from.map(|_| 0);
        Coverage {
            commit,
            state,
            verified,
            verification,
            backups: count,
            restorable_from,
            restorable_at,
            migrations,
        }
    }

    /// Counts all backups, each once.
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

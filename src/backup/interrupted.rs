//! Records that say `in_progress` though nobody works on them any more.

use crate::domain::{Backup, BackupId, Body, Failed, Failure, Line, Owner, Status};
use crate::ledger::{self, Change, Entry, Ledger, is_abandoned, is_interrupted};
use crate::process::{Liveness, is_alive};

/// The state as people are told: that of the record, or `interrupted`.
pub fn displayed_status(backup: &Backup) -> &'static str {
    displayed(backup.status, owner(backup))
}

/// The same of a backup of which only this is known.
pub fn displayed(status: Status, owner: Option<&Owner>) -> &'static str {
    if is_abandoned(status, owner) { "interrupted" } else { status.as_str() }
}

fn owner(backup: &Backup) -> Option<&Owner> {
    backup.attempt.as_ref().and_then(|attempt| attempt.owner.as_ref())
}

/// Why a record is not that of an interrupted backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotInterrupted {
    /// Nobody is at work on it.
    #[error("it is {0}")]
    Over(Status),
    /// Somebody else records what becomes of it.
    #[error("no process of git-pggit makes it")]
    External,
    /// The process lives.
    #[error("process {} is at work on it", .0.pid)]
    Alive(Owner),
    /// The process is on another machine.
    #[error("process {} on {} cannot be seen from here", .0.pid, .0.host)]
    Unseen(Owner),
}

/// Refuses a backup that was not interrupted. With `force`, somebody says that a process that
/// cannot be seen is dead.
pub fn check_interrupted(backup: &Backup, force: bool) -> Result<(), NotInterrupted> {
    if backup.status != Status::InProgress {
        return Err(NotInterrupted::Over(backup.status));
    }
    let Some(owner) = owner(backup) else {
        return if force { Ok(()) } else { Err(NotInterrupted::External) };
    };
    match is_alive(owner) {
        Liveness::Dead => Ok(()),
        Liveness::Alive => Err(NotInterrupted::Alive(owner.clone())),
        Liveness::Unknown if force => Ok(()),
        Liveness::Unknown => Err(NotInterrupted::Unseen(owner.clone())),
    }
}

/// Records that the attempt of a backup was interrupted, if its process is dead and nobody has
/// said so. Returns `None` if there is nothing to say.
pub fn settle_interrupted(ledger: &Ledger<'_>, found: &Entry) -> Result<Option<Entry>, ledger::Error> {
    settle(ledger, found, is_interrupted)
}

/// The same of a process that is dead because somebody says so: the one of the record `found`.
pub fn settle_dead(ledger: &Ledger<'_>, found: &Entry) -> Result<Option<Entry>, ledger::Error> {
    settle(ledger, found, |backup| is_interrupted(backup) || owner(backup) == owner(&found.backup))
}

/// The same of the backup `id`. Without a record there is nothing to say.
pub fn record_interrupted(ledger: &Ledger<'_>, id: BackupId) -> Result<(), ledger::Error> {
    match ledger.by_id(id) {
        Ok(found) => settle_interrupted(ledger, &found).map(drop),
        Err(ledger::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn settle(
    ledger: &Ledger<'_>,
    found: &Entry,
    is_dead: impl Fn(&Backup) -> bool,
) -> Result<Option<Entry>, ledger::Error> {
    let mut settled = false;
    let entry = ledger.append_at(&found.backup.commit, found.backup.id, |entry| {
        settled = entry.backup.status == Status::InProgress && is_dead(&entry.backup);
        Ok(if settled { Body::from(interrupted(&entry.backup)).into() } else { Change::default() })
    })?;
    Ok(settled.then_some(entry))
}

fn interrupted(backup: &Backup) -> Failed {
    let message = match owner(backup) {
        Some(owner) => format!("process {} on {} ended without completing the backup", owner.pid, owner.host),
        None => "its maker ended without completing the backup".to_owned(),
    };
    let error = Failure { code: Line::lossy("interrupted"), message };
    Failed { attempt: backup.attempt.as_ref().map(|attempt| attempt.number), error }
}

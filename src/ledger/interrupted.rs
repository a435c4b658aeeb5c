//! Detects records that are `in_progress` although the process of the backup is dead.

use crate::domain::{Backup, Owner, Status};
use crate::process::{Liveness, is_alive};

/// Returns true if the backup is in progress and its process is dead. A process on another host cannot be
/// checked and counts as alive.
pub fn is_interrupted(backup: &Backup) -> bool {
    let owner = backup.attempt.as_ref().and_then(|attempt| attempt.owner.as_ref());
    is_abandoned(backup.status, owner)
}

/// Returns the same as [`is_interrupted`], from the status and the process of a backup.
pub fn is_abandoned(status: Status, owner: Option<&Owner>) -> bool {
    status == Status::InProgress && owner.is_some_and(|owner| is_alive(owner) == Liveness::Dead)
}

//! Records that say `in_progress` although nobody works on the backup any more.

use crate::domain::{Backup, Owner, Status};
use crate::process::{Liveness, is_alive};

/// Returns true if the process that works on the backup is known to be dead. A process on another
/// machine cannot be seen from here and is believed to live.
pub fn is_interrupted(backup: &Backup) -> bool {
    let owner = backup.attempt.as_ref().and_then(|attempt| attempt.owner.as_ref());
    is_abandoned(backup.status, owner)
}

/// The same of a backup of which only the status and the process are known.
pub fn is_abandoned(status: Status, owner: Option<&Owner>) -> bool {
    status == Status::InProgress && owner.is_some_and(|owner| is_alive(owner) == Liveness::Dead)
}

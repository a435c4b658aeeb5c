//! In-place restores: a restored database or data directory replaces an existing one.
//!
//! The new object is created beside the old one, under a temporary name, like every other restore.
//! When the new object is complete, the two exchange names. Two directories do so in one operation of
//! the file system, two databases in one transaction. The old object is kept under the name `aside`
//! until the user finishes the restore.
//!
//! Each intended step is recorded before its execution ([`Journals`]). The result of a step is not
//! recorded but observed: a directory is identified by its inode and a database by its oid,
//! independently of the name. After a crash the next process therefore resumes or aborts from the
//! observed state:
//!
//! ```text
//!   stage      in place   aside           what may follow
//!   making     old        -               resume (make it again), abort
//!   ready      old | new  new | old       resume, abort
//!   replaced   new        old             finish, abort
//!   aborting   old | new  new | old       abort
//!   finishing  new        old | -         finish
//! ```

mod database;
mod directory;
mod journal;

pub use database::DatabaseSite;
pub use directory::DirectorySite;
pub use journal::{Identity, Journal, Journals, LockedJournal, ReplacedObject, Stage};

use super::Error;
use crate::process::crash_point;

/// The position of the old or the new object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// The original name of the old object.
    InPlace,
    /// The temporary name under which the new object is created.
    Beside,
    /// The name under which the old object is kept.
    Aside,
    /// No name: the object does not exist.
    Gone,
}

/// The positions of both objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    /// The position of the old object.
    pub old: Slot,
    /// The position of the new object; `Gone` until it is complete.
    pub new: Slot,
}

/// Three names for two objects, which are directories or databases.
pub trait SwapTarget {
    /// Returns the position of the object with this identity.
    fn spot(&self, of: Identity) -> Result<Slot, Error> {
        for spot in [Slot::InPlace, Slot::Beside, Slot::Aside] {
            if self.identity(spot)? == Some(of) {
                return Ok(spot);
            }
        }
        Ok(Slot::Gone)
    }
    /// Returns the identity of the object at a position, if there is one.
    fn identity(&self, at: Slot) -> Result<Option<Identity>, Error>;
    /// Exchanges the object in place and the object at `other`. If the system supports it, the
    /// exchange is atomic, so that the original name always exists.
    fn exchange(&self, other: Slot) -> Result<(), Error>;
    /// Renames the object at `from` to `to`. The name `to` must be free.
    fn move_to(&self, from: Slot, to: Slot) -> Result<(), Error>;
    /// Removes the object at a position other than the place itself, with everything that belongs to
    /// it.
    fn remove(&self, at: Slot, outside: &[std::path::PathBuf]) -> Result<(), Error>;
    /// Returns the external directories that belong only to the object at a position.
    fn outside(&self, at: Slot) -> Vec<std::path::PathBuf>;
    /// Removes the leftovers that a crashed restore has left under temporary names.
    fn sweep(&self) -> Result<(), Error>;
}

/// Returns the current positions of both objects.
pub fn stand(journal: &Journal, site: &dyn SwapTarget) -> Result<Positions, Error> {
    let new = journal.new.map_or(Ok(Slot::Gone), |new| site.spot(new))?;
    Ok(Positions { old: site.spot(journal.old)?, new })
}

/// Records that the new object is complete. Fails if the new object does not exist.
pub fn made(open: &mut LockedJournal, site: &dyn SwapTarget) -> Result<(), Error> {
    let Some(new) = site.identity(Slot::Beside)? else {
        return Err(Error::Strange {
            what: open.journal().place.to_string(),
            stand: "cannot be replaced: the restored one is missing",
        });
    };
    open.update(|journal| {
        journal.new = Some(new);
        journal.outside = site.outside(Slot::Beside);
        journal.stage = Stage::Ready;
    })?;
    crash_point("recovery.in-place.ready");
    Ok(())
}

/// Removes the incomplete object of an interrupted attempt.
pub fn clear(open: &LockedJournal, site: &dyn SwapTarget) -> Result<(), Error> {
    if open.journal().stage != Stage::Making {
        return Ok(());
    }
    if site.identity(Slot::Beside)?.is_some_and(|found| found != open.journal().old) {
        site.remove(Slot::Beside, &site.outside(Slot::Beside))?;
    }
    site.sweep()
}

/// Exchanges the names, so that the new object is in place and the old one is aside.
pub fn replace(open: &mut LockedJournal, site: &dyn SwapTarget) -> Result<(), Error> {
    loop {
        match stand(open.journal(), site)? {
            Positions { new: Slot::InPlace, old: Slot::Aside } => break,
            Positions { new: Slot::Beside, old: Slot::InPlace } => site.exchange(Slot::Beside)?,
            Positions { new: Slot::InPlace, old: Slot::Beside } => site.move_to(Slot::Beside, Slot::Aside)?,
            Positions { new: Slot::Beside, old: Slot::Aside } => site.move_to(Slot::Beside, Slot::InPlace)?,
            _ => return Err(strange(open)),
        }
        crash_point("recovery.in-place.moved");
    }
    open.update(|journal| journal.stage = Stage::Replaced)?;
    crash_point("recovery.in-place.replaced");
    Ok(())
}

/// Puts the old object back in place and removes the new one. The restore is then over, without
/// leftovers.
pub fn roll_back(mut open: LockedJournal, site: &dyn SwapTarget) -> Result<(), Error> {
    let before = stand(open.journal(), site)?;
    if matches!(before, Positions { old: Slot::Gone, .. }) {
        return Err(strange(&open));
    }
    clear(&open, site)?;
    open.update(|journal| journal.stage = Stage::Aborting)?;
    loop {
        match stand(open.journal(), site)? {
            Positions { old: Slot::InPlace, new: Slot::Gone } => break,
            Positions { old: Slot::InPlace, new } => site.remove(new, &open.journal().outside)?,
            Positions { old, new: Slot::InPlace } => site.exchange(old)?,
            Positions { old: Slot::Gone, .. } => return Err(strange(&open)),
            Positions { old, .. } => site.move_to(old, Slot::InPlace)?,
        }
        crash_point("recovery.in-place.put-back");
    }
    open.close()
}

/// Removes the old object. The restore is then over.
pub fn finish(mut open: LockedJournal, site: &dyn SwapTarget) -> Result<(), Error> {
    open.update(|journal| journal.stage = Stage::Finishing)?;
    crash_point("recovery.in-place.finishing");
    match stand(open.journal(), site)? {
        Positions { new: Slot::InPlace, old: Slot::Gone } => {}
        Positions { new: Slot::InPlace, old } => site.remove(old, &[])?,
        _ => return Err(strange(&open)),
    }
    crash_point("recovery.in-place.removed");
    open.close()
}

fn strange(open: &LockedJournal) -> Error {
    Error::Strange {
        what: open.journal().place.to_string(),
        stand: "is neither the restored one nor the previous one, or one of them is missing",
    }
}

#[cfg(test)]
mod tests;

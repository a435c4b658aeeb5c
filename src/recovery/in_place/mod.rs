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
pub use journal::{Identity, Journal, Journals, Open, Place, Stage};

use super::Error;
use crate::process::crash_point;

/// The position of the old or the new object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spot {
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
pub struct Stand {
    /// The position of the old object.
    pub old: Spot,
    /// The position of the new object; `Gone` until it is complete.
    pub new: Spot,
}

/// Three names for two objects, which are directories or databases.
pub trait Site {
    /// Returns the position of the object with this identity.
    fn spot(&self, of: Identity) -> Result<Spot, Error> {
        for spot in [Spot::InPlace, Spot::Beside, Spot::Aside] {
            if self.identity(spot)? == Some(of) {
                return Ok(spot);
            }
        }
        Ok(Spot::Gone)
    }
    /// Returns the identity of the object at a position, if there is one.
    fn identity(&self, at: Spot) -> Result<Option<Identity>, Error>;
    /// Exchanges the object in place and the object at `other`. If the system supports it, the
    /// exchange is atomic, so that the original name always exists.
    fn exchange(&self, other: Spot) -> Result<(), Error>;
    /// Renames the object at `from` to `to`. The name `to` must be free.
    fn shift(&self, from: Spot, to: Spot) -> Result<(), Error>;
    /// Removes the object at a position other than the place itself, with everything that belongs to
    /// it.
    fn remove(&self, at: Spot, outside: &[std::path::PathBuf]) -> Result<(), Error>;
    /// Returns the external directories that belong only to the object at a position.
    fn outside(&self, at: Spot) -> Vec<std::path::PathBuf>;
    /// Removes the leftovers that a crashed restore has left under temporary names.
    fn sweep(&self) -> Result<(), Error>;
}

/// Returns the current positions of both objects.
pub fn stand(journal: &Journal, site: &dyn Site) -> Result<Stand, Error> {
    let new = journal.new.map_or(Ok(Spot::Gone), |new| site.spot(new))?;
    Ok(Stand { old: site.spot(journal.old)?, new })
}

/// Records that the new object is complete. Fails if the new object does not exist.
pub fn made(open: &mut Open, site: &dyn Site) -> Result<(), Error> {
    let Some(new) = site.identity(Spot::Beside)? else {
        return Err(Error::Strange {
            what: open.journal().place.to_string(),
            stand: "what was made is gone",
        });
    };
    open.advance(|journal| {
        journal.new = Some(new);
        journal.outside = site.outside(Spot::Beside);
        journal.stage = Stage::Ready;
    })?;
    crash_point("recovery.in-place.ready");
    Ok(())
}

/// Removes the incomplete object of an interrupted attempt.
pub fn clear(open: &Open, site: &dyn Site) -> Result<(), Error> {
    if open.journal().stage != Stage::Making {
        return Ok(());
    }
    if site.identity(Spot::Beside)?.is_some_and(|found| found != open.journal().old) {
        site.remove(Spot::Beside, &site.outside(Spot::Beside))?;
    }
    site.sweep()
}

/// Exchanges the names, so that the new object is in place and the old one is aside.
pub fn replace(open: &mut Open, site: &dyn Site) -> Result<(), Error> {
    loop {
        match stand(open.journal(), site)? {
            Stand { new: Spot::InPlace, old: Spot::Aside } => break,
            Stand { new: Spot::Beside, old: Spot::InPlace } => site.exchange(Spot::Beside)?,
            Stand { new: Spot::InPlace, old: Spot::Beside } => site.shift(Spot::Beside, Spot::Aside)?,
            Stand { new: Spot::Beside, old: Spot::Aside } => site.shift(Spot::Beside, Spot::InPlace)?,
            _ => return Err(strange(open)),
        }
        crash_point("recovery.in-place.moved");
    }
    open.advance(|journal| journal.stage = Stage::Replaced)?;
    crash_point("recovery.in-place.replaced");
    Ok(())
}

/// Puts the old object back in place and removes the new one. The restore is then over, without
/// leftovers.
pub fn put_back(mut open: Open, site: &dyn Site) -> Result<(), Error> {
    let before = stand(open.journal(), site)?;
    if matches!(before, Stand { old: Spot::Gone, .. }) {
        return Err(strange(&open));
    }
    clear(&open, site)?;
    open.advance(|journal| journal.stage = Stage::Aborting)?;
    loop {
        match stand(open.journal(), site)? {
            Stand { old: Spot::InPlace, new: Spot::Gone } => break,
            Stand { old: Spot::InPlace, new } => site.remove(new, &open.journal().outside)?,
            Stand { old, new: Spot::InPlace } => site.exchange(old)?,
            Stand { old: Spot::Gone, .. } => return Err(strange(&open)),
            Stand { old, .. } => site.shift(old, Spot::InPlace)?,
        }
        crash_point("recovery.in-place.put-back");
    }
    open.close()
}

/// Removes the old object. The restore is then over.
pub fn finish(mut open: Open, site: &dyn Site) -> Result<(), Error> {
    open.advance(|journal| journal.stage = Stage::Finishing)?;
    crash_point("recovery.in-place.finishing");
    match stand(open.journal(), site)? {
        Stand { new: Spot::InPlace, old: Spot::Gone } => {}
        Stand { new: Spot::InPlace, old } => site.remove(old, &[])?,
        _ => return Err(strange(&open)),
    }
    crash_point("recovery.in-place.removed");
    open.close()
}

fn strange(open: &Open) -> Error {
    Error::Strange {
        what: open.journal().place.to_string(),
        stand: "is neither what was restored nor what was there before, or one of them is gone",
    }
}

#[cfg(test)]
mod tests;

//! Putting what was restored in the place of what is there.
//!
//! The new one is made beside the old one, under a name of its own, as every
//! restore makes something new. When it is complete, the two change places: two
//! directories in one step of the file system, two databases in one transaction.
//! The old one stays aside until somebody says that nobody needs it any more.
//!
//! What is meant to happen is written down before it is done ([`Journals`]). What
//! has happened is not: it is seen, because a directory and a database are known by
//! their inode and their oid, whatever they are called. So whoever comes after a
//! crash goes on, or back, from where things are:
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

/// Where one of the two is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spot {
    /// In the place that the old one had.
    InPlace,
    /// Under the name that the new one is made under.
    Beside,
    /// Under the name that the old one is kept under.
    Aside,
    /// Nowhere.
    Gone,
}

/// Where both are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// The one that was there.
    pub old: Spot,
    /// The one that was restored; gone as long as it is being made.
    pub new: Spot,
}

/// What has three names, of which two are taken: directories, or databases.
pub trait Site {
    /// Where the one with this identity is.
    fn spot(&self, of: Identity) -> Result<Spot, Error> {
        for spot in [Spot::InPlace, Spot::Beside, Spot::Aside] {
            if self.identity(spot)? == Some(of) {
                return Ok(spot);
            }
        }
        Ok(Spot::Gone)
    }
    /// The identity of what is at a spot.
    fn identity(&self, at: Spot) -> Result<Option<Identity>, Error>;
    /// Lets what is in place and what is at `other` change places, so that nobody
    /// ever sees the place empty where that can be had.
    fn exchange(&self, other: Spot) -> Result<(), Error>;
    /// Moves what is at `from` to `to`, where nothing is.
    fn shift(&self, from: Spot, to: Spot) -> Result<(), Error>;
    /// Removes what is at a spot that is not the place itself, with all that belongs
    /// to it.
    fn remove(&self, at: Spot, outside: &[std::path::PathBuf]) -> Result<(), Error>;
    /// The directories elsewhere that belong to what is at a spot, and to nothing else.
    fn outside(&self, at: Spot) -> Vec<std::path::PathBuf>;
    /// Removes what a restore that died has left under names of its own.
    fn sweep(&self) -> Result<(), Error>;
}

/// Where both are now.
pub fn stand(journal: &Journal, site: &dyn Site) -> Result<Stand, Error> {
    let new = journal.new.map_or(Ok(Spot::Gone), |new| site.spot(new))?;
    Ok(Stand { old: site.spot(journal.old)?, new })
}

/// Says that what was made beside is complete.
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

/// Removes what an attempt that did not come to its end has left beside.
pub fn clear(open: &Open, site: &dyn Site) -> Result<(), Error> {
    if open.journal().stage != Stage::Making {
        return Ok(());
    }
    if site.identity(Spot::Beside)?.is_some_and(|found| found != open.journal().old) {
        site.remove(Spot::Beside, &site.outside(Spot::Beside))?;
    }
    site.sweep()
}

/// Puts the new one in place and the old one aside.
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

/// Puts the old one back in place and removes the new one. Then nothing is left
/// of the restore.
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

/// Removes the old one. Then the restore is over.
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

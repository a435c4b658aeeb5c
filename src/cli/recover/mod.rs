//! From what somebody asks for to what is to be brought back: the one way for all
//! commands that restore.

mod clone;
mod recorded;
mod search;
mod shown;
mod target;

pub(crate) use clone::{Copy, admin_of, attach, make};
pub(crate) use recorded::{Done, place_of_database, place_of_directory, recorded, say_not_marked};
pub(crate) use search::{Wanted, best, search};
pub(crate) use shown::{Shown, Then};
pub(crate) use target::{Asked, Target, arrival, find, target, trusted};

use crate::cli::commands::backup::select;
use crate::cli::{Context, Failure};
use crate::ledger::Overview;
use crate::recovery::in_place::Journals;

/// The restores that have replaced something, or are about to.
pub(crate) fn journals(context: &Context) -> Result<Journals, Failure> {
    Ok(Journals::new(context.repository()?.common_dir().join("pggit/restores")))
}

/// What is known about all backups: all that is decided about a restore is decided
/// by the same, which is read once.
pub(crate) fn snapshot(context: &Context) -> Result<&Overview, Failure> {
    if let Some(known) = context.snapshot.get() {
        return Ok(known);
    }
    let overview = select::overview(context)?;
    Ok(context.snapshot.get_or_init(|| overview))
}

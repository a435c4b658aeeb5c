//! From what somebody asks for to what is to be brought back: the one way for all
//! commands that restore.

mod clone;
mod recorded;
mod search;
mod target;

pub(crate) use clone::{Copy, admin_of, attach, make};
pub(crate) use recorded::{Done, place_of_database, place_of_directory, recorded};
pub(crate) use search::{Wanted, best, search};
pub(crate) use target::{Asked, Target, find, target, trusted};

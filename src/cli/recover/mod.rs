//! From what somebody asks for to what is to be brought back: the one way for all
//! commands that restore.

mod clone;
mod search;
mod shown;
mod target;

pub(crate) use clone::{Copy, admin_of, attach, make};
pub(crate) use search::{Wanted, best, search};
pub(crate) use shown::{Shown, Then};
pub(crate) use target::{Asked, Target, find, target};

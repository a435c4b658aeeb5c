//! Bringing a backup back.
//!
//! Into a new database: the name that was asked for appears in one
//! step when everything is there; until then the data is in a temporary
//! database whose comment says what it is, so that whoever finds it, we or a
//! person, knows that it may go.

mod clones;
mod dump;
mod error;
mod find;
mod forward;
mod log;
mod new_database;
mod proof;
mod swap;

pub use clones::{Clone, CloneNote, clones, drop_clone, sweep_clones};
pub use dump::{Expected, Forward, Restore, Restored};
pub use error::Error;
pub use find::{Candidate, Relation, rank};
pub use forward::{Gap, is_migration, pending};
pub use log::{Reach, Run, reach, runs};
pub use new_database::{Plan, Step, in_scratch_database, into_new_database};
pub use proof::{Leniency, difference};
pub use swap::swap_in;
